"""git configuration: read whole in one process, written in one locked rewrite."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from .git_lock import git_lock

_WAIT_S = 10.0

TRUE = frozenset(("true", "yes", "on", "1", ""))

Section = tuple[str, Sequence[tuple[str, str]]]
"""A section, ``core`` or ``remote.NAME``, and its settings: variables and values."""


class Config:
    """The settings git sees in a repository; names as `git config --list` prints them."""

    def __init__(self, listing: bytes, overrides: Mapping[str, str] | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        for item in listing.split(b"\0"):
            if item:
                name, _, value = item.partition(b"\n")
                self._values.setdefault(os.fsdecode(name), []).append(os.fsdecode(value))
        for setting, given in (overrides or {}).items():
            self._values[_fold(setting)] = [given]

    def get(self, name: str) -> str | None:
        """The last value of a setting, or None."""
        values = self._values.get(_fold(name))
        return values[-1] if values else None

    def get_all(self, name: str) -> list[str]:
        """All values of a setting, in git's order."""
        return list(self._values.get(_fold(name), ()))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A setting that is true or false."""
        value = self.get(name)
        return default if value is None else value.lower() in TRUE

    def sections(self, section: str) -> dict[str, dict[str, str]]:
        """Subsections of a section, such as ``remote``: name to its last values."""
        found: dict[str, dict[str, str]] = {}
        start = section.lower() + "."
        for name, values in self._values.items():
            if name.startswith(start) and name.count(".") >= 2:
                subsection, _, variable = name[len(start) :].rpartition(".")
                found.setdefault(subsection, {})[variable] = values[-1]
        return found

    def items(self) -> Iterable[tuple[str, list[str]]]:
        """Every setting with its values."""
        return self._values.items()


def _fold(name: str) -> str:
    first, dot, rest = name.partition(".")
    if not dot:
        return name.lower()
    middle, dot, last = rest.rpartition(".")
    return f"{first.lower()}.{middle}{dot}{last.lower()}"


def append_settings(path: bytes, sections: Iterable[Section]) -> None:
    """Add sections at the end of a git configuration file, under git's own lock of it.

    Raises:
        PlaceUnavailableError: Another program is writing it, and does not end.
    """
    with git_lock(path, wait_s=_WAIT_S) as lock:
        with suppress(FileNotFoundError):
            os.fchmod(lock.file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
        lock.file.write(_read_or_empty(path))
        lock.file.write(format_sections(sections))
        lock.publish()


def format_sections(sections: Iterable[Section]) -> bytes:
    """git configuration text."""
    lines: list[str] = []
    for section, settings in sections:
        kind, dot, name = section.partition(".")
        lines.append(f'[{kind} "{_escape(name)}"]' if dot else f"[{kind}]")
        lines += [f"\t{variable} = {_quote(value)}" for variable, value in settings]
    return os.fsencode("".join(line + "\n" for line in lines))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quote(value: str) -> str:
    escaped = _escape(value).replace("\n", "\\n").replace("\t", "\\t")
    if value != value.strip() or any(sign in value for sign in "#;"):
        return f'"{escaped}"'
    return escaped


def _read_or_empty(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return b""
    return content if content.endswith(b"\n") or not content else content + b"\n"
