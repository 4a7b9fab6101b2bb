r"""The patterns of `.gitattributes` as regular expressions over bytes. Pure.

`*` and `?` do not match `/`; `**/` at the start or after a slash matches any number of
directories, none too, and `/**` all that is inside; `[a-z]`, `[!a]`, `[[:digit:]]` as in the
shell; a backslash takes a character as it is. For use with `re.DOTALL` and `fullmatch`.
"""

from __future__ import annotations

import re
import string

_NEVER = b"(?!)"
_STARS = re.compile(rb"\*+")
_SPECIAL = re.compile(rb"[*?\[\\]")


def has_wildcard(pattern: bytes) -> bool:
    """Whether a pattern is more than the text it matches."""
    return _SPECIAL.search(pattern) is not None


def literal_prefix(pattern: bytes) -> bytes:
    """What comes before the first wildcard."""
    special = _SPECIAL.search(pattern)
    return pattern if special is None else pattern[: special.start()]


def translate(pattern: bytes) -> bytes:
    """Write a pattern, without the slash it may begin with, as a regular expression."""
    parts: list[bytes] = []
    at = 0
    special = _SPECIAL.search(pattern)
    while special is not None:
        parts.append(re.escape(pattern[at : special.start()]))
        part, at = _translate_special(pattern, special.start())
        parts.append(part)
        special = _SPECIAL.search(pattern, at)
    parts.append(re.escape(pattern[at:]))
    return b"".join(parts)


def _translate_special(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The regular expression of what stands at ``at``, and where it ends."""
    char = pattern[at : at + 1]
    if char == b"?":
        return b"[^/]", at + 1
    if char == b"*":
        return _translate_stars(pattern, at)
    if char == b"[":
        return _translate_bracket(pattern, at + 1)
    taken = pattern[at + 1 : at + 2]
    return (re.escape(taken) if taken else _NEVER), at + 2


def _translate_stars(pattern: bytes, at: int) -> tuple[bytes, int]:
    stars = _STARS.match(pattern, at)
    assert stars is not None
    end = stars.end()
    if end - at == 1 or pattern[at - 1 : at] not in (b"", b"/"):
        return b"[^/]*", end
    if pattern[end : end + 1] == b"/":
        return b"(?:.*/)?", end + 1
    if pattern[end : end + 2] == b"\\/":
        return b".*", end
    return (b".*" if end == len(pattern) else b"[^/]*"), end


def _translate_bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """One that is not closed, or names an unknown class, matches nothing."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    last: int | None = None
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        if at >= len(pattern):
            return _NEVER, len(pattern)
        named = _CLASS.match(pattern, at)
        if named is not None and named[1] not in _CLASSES:
            return _NEVER, len(pattern)
        if named is not None:
            members.update(_CLASSES[named[1]])
            last, at = None, named.end()
        elif _opens_range(pattern, at) and last is not None:
            high, at = _character(pattern, at + 1)
            members.update(range(last, high + 1))
            last = None
        else:
            last, at = _character(pattern, at)
            members.add(last)
        if at > len(pattern):
            return _NEVER, len(pattern)
    if negated:
        members = set(range(256)) - members
    members.discard(0x2F)
    inside = b"".join(b"\\x%02x" % member for member in sorted(members))
    return (b"[%b]" % inside if inside else _NEVER), at + 1


def _opens_range(pattern: bytes, at: int) -> bool:
    return pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"", b"]")


def _character(pattern: bytes, at: int) -> tuple[int, int]:
    """A character in a bracket and where it ends; past the end when there is none."""
    if pattern[at : at + 1] == b"\\":
        at += 1
    return (pattern[at], at + 1) if at < len(pattern) else (0, len(pattern) + 1)


_CLASS = re.compile(rb"\[:([^]]*):\]")


def _class_members() -> dict[bytes, frozenset[int]]:
    letters, digits = string.ascii_letters.encode(), string.digits.encode()
    printing = range(0x20, 0x7F)
    table = {
        b"alnum": letters + digits,
        b"alpha": letters,
        b"blank": b" \t",
        b"cntrl": bytes((*range(0x20), 0x7F)),
        b"digit": digits,
        b"graph": bytes(printing[1:]),
        b"lower": string.ascii_lowercase.encode(),
        b"print": bytes(printing),
        b"punct": string.punctuation.encode(),
        b"space": b" \t\n\v\f\r",
        b"upper": string.ascii_uppercase.encode(),
        b"xdigit": string.hexdigits.encode(),
    }
    return {name: frozenset(members) for name, members in table.items()}


_CLASSES = _class_members()
