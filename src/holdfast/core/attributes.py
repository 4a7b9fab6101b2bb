"""What `.gitattributes` files say of a path. Pure: the caller reads the files.

git's rules: in one file the last matching line wins, the file of a deeper directory wins over one
above it, and ``info/attributes`` over all; ``[attr]name …`` at the top level makes a macro, and
``binary`` is one already. Patterns are those of ``.gitignore``, without ``!`` and without a
trailing slash, which never match here.

A tree has few lines and many paths, so lines are read once, those for a whole file extension are
found by the extension, and what is left is one regular expression a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain
from typing import NamedTuple

from .wildmatch import has_wildcard, literal_prefix, translate

LINE_MAX = 2048
"""A longer line is passed over, as git does."""


class Flag(Enum):
    """What an attribute is when it has no text: ``attr``, ``-attr`` and, only read, ``!attr``."""

    SET = "set"
    UNSET = "unset"
    UNSPECIFIED = "unspecified"


State = Flag | bytes
Attributes = Mapping[bytes, State]
"""The attributes of a path by name; one that is unspecified is not in it."""


class Line(NamedTuple):
    """One line: the paths it is for, relative to its file's directory, and what it says of them."""

    pattern: bytes
    states: tuple[tuple[bytes, State], ...]
    macro: bool = False


def parse_attributes(raw: bytes, *, macros: bool = True) -> list[Line]:
    """Read a file's lines, top to bottom; lines that git passes over are left out.

    ``macros`` is false for files below the top directory: there a macro is passed over.
    """
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    lines = []
    for text in raw.split(b"\n"):
        line = _parse_line(text)
        if line is not None and (macros or not line.macro):
            lines.append(line)
    return lines


class AttributeTree:
    """All attribute files of one data set, ready to be asked.

    ``files`` maps a directory, ``b""`` or ``b"sub/dir"``, to its file's bytes; ``info`` is
    `.git/info/attributes`, ``below`` the user's and system's files, weakest first. Asking is
    cheapest in the order of a walk: the files that count for a directory are put together once.
    """

    def __init__(
        self, files: Mapping[bytes, bytes], *, info: bytes = b"", below: Iterable[bytes] = ()
    ) -> None:
        self._macros: dict[bytes, tuple[tuple[bytes, State], ...]] = {
            b"binary": ((b"diff", Flag.UNSET), (b"merge", Flag.UNSET), (b"text", Flag.UNSET))
        }
        outer = [parse_attributes(raw) for raw in below]
        top = parse_attributes(files.get(b"", b""))
        inner = parse_attributes(info)
        for line in (line for lines in (*outer, top, inner) for line in lines if line.macro):
            self._macros[line.pattern] = line.states
        self._outer = [line for lines in outer for line in lines if not line.macro]
        self._inner = [line for line in inner if not line.macro]
        self._files = {
            directory: [line for line in top if not line.macro]
            if directory == b""
            else parse_attributes(raw, macros=False)
            for directory, raw in files.items()
        }
        self._tables: dict[bytes, _Table] = {}
        self._shared: dict[tuple[bytes, ...], _Table] = {}

    def attributes(self, path: bytes) -> Attributes:
        """The attributes of a file, by its path from the top. Do not change what you get."""
        slash = path.rfind(b"/")
        directory = path[:slash] if slash > 0 else b""
        table = self._tables.get(directory)
        if table is None:
            table = self._table(directory)
        return table.attributes(path, path[slash + 1 :])

    def mentions(self, names: Iterable[bytes]) -> bool:
        """Whether any line, or a macro, says something of one of these attributes."""
        said = chain.from_iterable(self._iter_said())
        return not {name for name, _ in said}.isdisjoint(names)

    def _iter_said(self) -> Iterator[tuple[tuple[bytes, State], ...]]:
        yield from self._macros.values()
        for line in chain(self._outer, self._inner, *self._files.values()):
            yield line.states

    def value(self, path: bytes, name: bytes) -> State:
        """One attribute of a file."""
        return self.attributes(path).get(name, Flag.UNSPECIFIED)

    def _table(self, directory: bytes) -> _Table:
        bases = tuple(base for base in _upwards(directory) if base in self._files)
        table = self._shared.get(bases)
        if table is None:
            rules = [(b"", line) for line in self._outer]
            rules += [(base, line) for base in reversed(bases) for line in self._files[base]]
            rules += [(b"", line) for line in self._inner]
            table = self._shared[bases] = _Table(rules, self._macros)
        self._tables[directory] = table
        return table


def _upwards(directory: bytes) -> Iterator[bytes]:
    while directory:
        yield directory
        directory = directory.rpartition(b"/")[0]
    yield b""


class _Table:
    """The lines that may count in some directories, weakest first, sorted by how to match them."""

    def __init__(
        self,
        rules: Sequence[tuple[bytes, Line]],
        macros: Mapping[bytes, tuple[tuple[bytes, State], ...]],
    ) -> None:
        self._lines = [line for _, line in rules]
        self._macros = macros
        self._results: dict[tuple[int, ...], Attributes] = {}
        self._always: list[int] = []
        self._names: dict[bytes, list[int]] = {}
        suffixes: list[tuple[int, bytes]] = []
        names: list[tuple[int, bytes]] = []
        paths: list[tuple[int, bytes]] = []
        for index, (base, line) in enumerate(rules):
            pattern = line.pattern
            if pattern.startswith(b"**/") and b"/" not in pattern[3:]:
                pattern = pattern[3:]
            if not pattern or pattern.endswith(b"/"):
                continue
            if b"/" in pattern:
                paths.append((index, translate_path(base, pattern)))
            elif not pattern.strip(b"*"):
                self._always.append(index)
            elif not has_wildcard(pattern):
                self._names.setdefault(pattern, []).append(index)
            elif pattern[:1] == b"*" and not has_wildcard(pattern[1:]):
                suffixes.append((index, pattern[1:]))
            else:
                names.append((index, translate(pattern)))
        self._suffixes = suffixes
        self._suffix_any = tuple(suffix for _, suffix in suffixes)
        self._name_any, self._name_each = _compile(names)
        self._path_any, self._path_each = _compile(paths)
        self._usual = self._merge(reversed(self._always))

    def attributes(self, path: bytes, name: bytes) -> Attributes:
        found = self._names.get(name)
        matched = self._always if found is None else self._always + found
        if self._suffix_any and name.endswith(self._suffix_any):
            matched = matched + [i for i, suffix in self._suffixes if name.endswith(suffix)]
        if self._name_any is not None and self._name_any(name):
            matched = matched + [i for i, matches in self._name_each if matches(name)]
        if self._path_any is not None and self._path_any(path):
            matched = matched + [i for i, matches in self._path_each if matches(path)]
        if matched is self._always:
            return self._usual
        lines = tuple(matched)
        result = self._results.get(lines)
        if result is None:
            result = self._results[lines] = self._merge(sorted(lines, reverse=True))
        return result

    def _merge(self, strongest_first: Iterable[int]) -> Attributes:
        states: dict[bytes, State] = {}
        for index in strongest_first:
            self._fill(states, self._lines[index].states)
        return {name: state for name, state in states.items() if state is not Flag.UNSPECIFIED}

    def _fill(self, states: dict[bytes, State], said: tuple[tuple[bytes, State], ...]) -> None:
        """Take what a line says of attributes that no stronger line spoke of."""
        for name, state in reversed(said):
            if name not in states:
                states[name] = state
                if state is Flag.SET and name in self._macros:
                    self._fill(states, self._macros[name])


def translate_path(base: bytes, pattern: bytes) -> bytes:
    """A regular expression for whole paths from a pattern with a slash, in a file in ``base``."""
    pattern = pattern.removeprefix(b"/")
    # git compares what comes before the first wildcard by itself, so that in `a**/b` the stars
    # stand at the start for it.
    plain = literal_prefix(pattern)
    start = base + b"/" + plain if base else plain
    return re.escape(start) + translate(pattern[len(plain) :])


def _compile(rules: Sequence[tuple[int, bytes]]) -> tuple[_Match | None, list[tuple[int, _Match]]]:
    """One matcher that most paths fail, and one for each rule."""
    if not rules:
        return None, []
    each = [(index, _matcher(regex)) for index, regex in rules]
    return _matcher(b"|".join(b"(?:%b)" % regex for _, regex in rules)), each


def _matcher(regex: bytes) -> _Match:
    matches: _Match = re.compile(regex, re.DOTALL).fullmatch
    return matches


_Match = Callable[[bytes], object]

_BLANK = b" \t\r\n"
_NAME = re.compile(rb"[A-Za-z0-9_.][-A-Za-z0-9_.]*")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\(?:[abfnrtv\\"]|[0-3][0-7]{2}))*)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(?:([0-3][0-7]{2})|(.))", re.DOTALL)
_ESCAPES = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
_MACRO = b"[attr]"


def _parse_line(text: bytes) -> Line | None:
    """One line, or None when git passes it over."""
    if len(text) >= LINE_MAX:
        return None
    text = text.split(b"\0", 1)[0].strip(_BLANK)
    if not text or text.startswith(b"#"):
        return None
    quoted = _QUOTED.match(text)
    if quoted is not None:
        pattern, rest = _ESCAPED.sub(_unescape, quoted[1]), text[quoted.end() :]
    else:
        pattern, rest = _split(text)
    macro = pattern.startswith(_MACRO) and pattern != _MACRO
    if macro:
        pattern = pattern.removeprefix(_MACRO).lstrip(_BLANK)
        if not _NAME.fullmatch(pattern):
            return None
    elif pattern.startswith(b"!"):
        return None
    states = _parse_states(rest)
    return None if states is None else Line(pattern, states, macro)


def _split(text: bytes) -> tuple[bytes, bytes]:
    words = _SPLIT.split(text, maxsplit=1)
    return words[0], words[1] if len(words) > 1 else b""


def _unescape(found: re.Match[bytes]) -> bytes:
    octal, letter = found.groups()
    return bytes((int(octal, 8) if octal else _ESCAPES.get(letter[0], letter[0]),))


def _parse_states(text: bytes) -> tuple[tuple[bytes, State], ...] | None:
    """What a line says of each attribute; None when one of them is no attribute."""
    states: list[tuple[bytes, State]] = []
    for word in _SPLIT.split(text):
        if not word:
            continue
        flag = {b"-": Flag.UNSET, b"!": Flag.UNSPECIFIED}.get(word[:1])
        name, equals, value = (word[1:] if flag else word).partition(b"=")
        if not _NAME.fullmatch(name):
            return None
        states.append((name, flag or (value if equals else Flag.SET)))
    return tuple(states)


_SPLIT = re.compile(rb"[ \t\r\n]+")
