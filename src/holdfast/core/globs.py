r"""The globs of git-annex's rules: ``include=*.nii.gz``, ``metadata=author=*Smith``.

They differ from the shell's: ``*`` and ``?`` match ``/`` too, a leading dot is nothing special,
``/`` matches a run of slashes, ``\`` stands for itself, and there is no ``**`` or ``{a,b}``.
A character is a decoded one: ``?`` matches ``é``, and each byte that is not UTF-8. A name with a
line break matches where one of its lines does. Case counts, unless told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Matches = Callable[[bytes], bool]
"""Says whether some bytes match."""

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": r"a-zA-Z0-9_",
    "xdigit": "0-9a-fA-F",
}
_NAMED = re.compile(r"\[:([^]]*?):\]|\[=(.)=\]|\[\.(.*?)\.\]", re.DOTALL)
_SPECIAL = re.compile(r"[*?/\[]")
_NEVER = r"(?!)"


@lru_cache(maxsize=1024)
def compile_glob(glob: bytes, *, ignore_case: bool = False) -> Matches:
    """Make a matcher of a glob.

    Raises:
        ValueError: A bracket is not closed, or a range in one runs backwards.
    """
    text = glob.decode("utf-8", "surrogateescape")
    if text == "*" or (text and not text.strip("*")):
        return _anything
    pattern = translate(text)
    try:
        search = re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0)).search
    except re.error as error:
        raise ValueError(f"{text!r} is no glob: {error.msg}") from error

    def matches(raw: bytes) -> bool:
        return search(raw.decode("utf-8", "surrogateescape")) is not None

    if ignore_case or _SPECIAL.search(text):
        return matches
    # Most words of an expression are plain, and most names are one line.
    return lambda raw: raw == glob or (b"\n" in raw and matches(raw))


def translate(glob: str) -> str:
    """Write a glob as a regular expression, for `re.MULTILINE` and text.

    Raises:
        ValueError: A bracket is not closed, or a range in one runs backwards.
    """
    parts: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "[":
            part, at = _bracket(glob, at)
            parts.append(part)
        elif char == "*" and parts[-1:] == [".*"]:
            continue
        else:
            parts.append(_MEANINGS.get(char) or re.escape(char))
    return "^" + "".join(parts) + "$"


_MEANINGS = {"*": ".*", "?": ".", "/": "/+"}


def _anything(raw: bytes) -> bool:
    return True


def _bracket(glob: str, at: int) -> tuple[str, int]:
    """The regular expression of the bracket that opens before ``at``, and where it ends."""
    negated = glob[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    first = True
    while at < len(glob) and (first or glob[at] != "]"):
        first = False
        part, at = _member(glob, at)
        members.append(part)
    if at >= len(glob):
        raise ValueError(f"{glob!r} is no glob: a [ is not closed")
    inside = "".join(members)
    if negated:
        return f"[^{inside}\\n]", at + 1
    return (f"[{inside}]" if inside else _NEVER), at + 1


def _member(glob: str, at: int) -> tuple[str, int]:
    """One class, range or character in a bracket, and where it ends."""
    named = _NAMED.match(glob, at)
    if named is not None:
        name, equal, _ = named.groups()
        return (_CLASSES.get(name, "") if name else re.escape(equal or "")), named.end()
    low = glob[at]
    if glob[at + 1 : at + 2] == "-" and glob[at + 2 : at + 3] not in ("", "]"):
        high = glob[at + 2]
        if high < low:
            raise ValueError(f"{glob!r} is no glob: the range {low}-{high} runs backwards")
        return f"{re.escape(low)}-{re.escape(high)}", at + 3
    return re.escape(low), at + 1
