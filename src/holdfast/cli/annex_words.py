"""Reading a call of git-annex: options may stand anywhere, values may be attached or apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHORT = {
    "-q": "--quiet", "-v": "--verbose", "-J": "--jobs", "-f": "--from", "-t": "--to",
    "-F": "--fast", "-A": "--all", "-N": "--numcopies", "-I": "--include", "-x": "--exclude",
    "-i": "--in", "-b": "--backend", "-u": "--update", "-z": "-z", "-c": "-c",
}  # fmt: skip
GLOBAL_FLAGS = frozenset(
    ("--quiet", "--verbose", "--json", "--json-progress", "--json-error-messages")
)
GLOBAL_VALUED = frozenset(("-c", "--jobs"))
JOINERS = frozenset(("--not", "--and", "--or", "-!", "-&", "-|", "-(", "-)"))
MATCH_FLAGS = frozenset(
    ("--locked", "--unlocked", "--anything", "--nothing", "--want-get", "--want-drop")
)
MATCH_VALUED = frozenset(
    (
        "--in",
        "--include",
        "--exclude",
        "--copies",
        "--inbackend",
        "--largerthan",
        "--smallerthan",
        "--metadata",
        "--want-get-by",
        "--want-drop-by",
    )
)


@dataclass(frozen=True, slots=True)
class Takes:
    """What a verb takes: options that stand alone, options with a value, terms that choose."""

    flags: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    matching: bool = False


@dataclass(slots=True)
class Words:
    """A call, read: its options, the terms that choose among files, and the rest of its words."""

    verb: str
    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    terms: list[tuple[str, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def has(self, flag: str) -> bool:
        """Whether an option that stands alone was given."""
        return flag in self.flags

    @property
    def json(self) -> bool:
        """Whether answers shall be JSON; every option about JSON implies it."""
        return any(flag.startswith("--json") for flag in self.flags)


def find_verb(words: Sequence[str]) -> int | None:
    """Where the verb stands; None when there is none."""
    rest = iter(enumerate(words))
    for position, word in rest:
        if word == "-c":
            next(rest, None)
        elif not word.startswith("-"):
            return position
    return None


def read(words: Sequence[str], takes: Takes) -> Words | None:
    """Read a call; None when there is something in it that we do not know."""
    position = find_verb(words)
    assert position is not None
    found = Words(words[position])
    rest = [*words[:position], *words[position + 1 :]]
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.names += rest
            break
        if not word.startswith("-") or word == "-":
            found.names.append(word)
        elif not _take(word, rest, takes, found):
            return None
    return found


def _take(word: str, rest: list[str], takes: Takes, found: Words) -> bool:
    if takes.matching and (word in JOINERS or word in MATCH_FLAGS):
        found.terms.append((word, ""))
        return True
    name, value = _split(word)
    if value is None and (name in GLOBAL_FLAGS or name in takes.flags):
        found.flags.add(name)
        return True
    chooses = takes.matching and name in MATCH_VALUED
    if not (chooses or name in GLOBAL_VALUED or name in takes.valued):
        return False
    if value is None:
        if not rest:
            return False
        value = rest.pop(0)
    if chooses:
        found.terms.append((name, value))
    elif name == "-c":
        setting, equals, text = value.partition("=")
        found.settings[setting] = text if equals else "true"
    else:
        found.values[name] = value
    return True


def _split(word: str) -> tuple[str, str | None]:
    """``--from=x``, ``-fx`` and ``-f`` as the long name and the value, if one is attached."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return SHORT.get(word[:2], word), word[2:] or None
