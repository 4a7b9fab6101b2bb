"""Templates with places for cells of a table: ``{name}``, ``{0}``; doubled braces stay. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template:
    """A text in which names between braces stand for values."""

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            ValueError: A brace has no partner, or there is no name between two.
        """
        self.text = text
        self.names: frozenset[str] = frozenset(
            found[1] for found in _PART.finditer(text) if found[1] is not None
        )
        for found in _PART.finditer(text):
            if found[0] in "{}" or found[1] == "":
                raise ValueError(f"a lone brace in {text!r}; double those that are to stay")

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with values in their places.

        Raises:
            KeyError: There is no value of a name.
        """
        return _PART.sub(_filler(values), self.text)


def _filler(values: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    def fill(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else values[found[1]]

    return fill
