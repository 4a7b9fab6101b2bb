"""The expressions of git-annex: `annex.largefiles`, preferred and required content. Pure.

`parse` reads one, `evaluate` asks `Facts` what it needs, in the order it is written and no more
than that. What nobody can tell is UNKNOWN, and stays so unless it makes no difference: then a
required-content rule has to be taken for YES, and a largefiles rule is a question for git-annex.

The grammar is git-annex's, found by experiment: ``and`` and ``or`` bind alike, from left to right;
two terms side by side are joined by ``and``; parentheses need no spaces, so that an attribute can
hold one, and inside of others they join nothing by themselves: ``(a (b or c))`` is ``(a b or c)``,
but ``(a and (b or c))`` is what it says; nothing at all matches, also after an operator; a closing
parenthesis too many is passed over, one too few is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from . import faults
from .balanced import Balanced
from .errors import UsageError
from .facts import NO, OPPOSITE, UNKNOWN, YES, Facts, Verdict
from .terms import PLAIN, VALUED, Test, present, unknown

__all__ = [
    "NATIVE",
    "NO",
    "STANDARD",
    "UNKNOWN",
    "YES",
    "Dialect",
    "Expression",
    "Facts",
    "Verdict",
    "evaluate",
    "is_unstable",
    "parse",
]

DEPTH_MAX = 100
"""How deep parentheses may nest."""


class Dialect(StrEnum):
    """Which terms git-annex allows."""

    LARGEFILES = "largefiles"
    CONTENT = "content"


class _Group(NamedTuple):
    """Operands, each with whether ``or`` joins it to what stands left of it."""

    steps: tuple[_Step, ...]


class _Not(NamedTuple):
    node: _Node


_Node = Test | _Group | _Not
_Step = tuple[bool, _Node]


class Expression(NamedTuple):
    """An expression that was read, and its terms in order.

    ``strange`` holds those that git-annex would not allow in this dialect; they are UNKNOWN.
    """

    text: str
    root: _Group
    terms: tuple[str, ...]
    strange: tuple[str, ...]


def evaluate(expression: Expression, facts: Facts) -> Verdict:
    """Say whether an expression matches; UNKNOWN only where the unknown facts decide."""
    return _evaluate(expression.root, facts)


def _evaluate(node: _Node, facts: Facts) -> Verdict:
    if isinstance(node, _Not):
        return OPPOSITE[_evaluate(node.node, facts)]
    if not isinstance(node, _Group):
        return node(facts)
    verdict = YES
    for either, operand in node.steps:
        decided = YES if either else NO
        if verdict is decided:
            continue
        other = _evaluate(operand, facts)
        if other is decided or verdict is not UNKNOWN:
            verdict = other
    return verdict


def is_unstable(expression: Expression, facts: Facts) -> bool:
    """Whether content would be wanted because it is not there: it would come and go for ever.

    So it is with ``present``, and what leaves content where it is (``balanced``, ``sizebalanced``),
    under ``not``. git-annex takes such an expression for ``nothing``.
    """
    return _is_unstable(expression.root, facts, negated=False)


def _is_unstable(node: _Node, facts: Facts, *, negated: bool) -> bool:
    if isinstance(node, _Not):
        return _is_unstable(node.node, facts, negated=not negated)
    if isinstance(node, _Group):
        return any(_is_unstable(inner, facts, negated=negated) for _, inner in node.steps)
    if isinstance(node, _StandsFor):
        other = node.read(facts)
        if other is not None:
            return _is_unstable(other.root, facts, negated=negated)
        return negated
    return negated and (node is present or (isinstance(node, Balanced) and node.settled))


@lru_cache(maxsize=256)
def parse(
    text: str, dialect: Dialect = Dialect.CONTENT, where: str = "git annex vicfg"
) -> Expression:
    """Read an expression; a term that is strange to the dialect is read too, and is UNKNOWN.

    Raises:
        UsageError: A term has a value it cannot have, or parentheses nest too deep. ``where`` is
            what the message tells to mend.
    """
    found: list[str] = []
    try:
        root = _Group(tuple(_parse_steps(_nest(text), dialect, found, joins=True)))
    except ValueError as error:
        raise faults.BAD_RULE(rule=text, detail=error, where=where) from error
    strange = tuple(word for word in found if not _allowed(word, dialect))
    return Expression(text, root, tuple(found), strange)


_TOKEN = re.compile(r"[()]|[^\s()]+")
_Tree = list["str | _Tree"]


def _nest(text: str) -> _Tree:
    """The words of an expression, with a list for each pair of parentheses."""
    open_lists: list[_Tree] = [[]]
    for token in _TOKEN.findall(text):
        if token == "(":
            inner: _Tree = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
            if len(open_lists) > DEPTH_MAX:
                raise ValueError(f"parentheses nest deeper than {DEPTH_MAX}")
        elif token != ")":
            open_lists[-1].append(token)
        elif len(open_lists) > 1:
            open_lists.pop()
    return open_lists[0]


def _parse_steps(tree: _Tree, dialect: Dialect, found: list[str], *, joins: bool) -> list[_Step]:
    """Read the words between two parentheses; ``joins`` when there are none around them.

    An operator takes what follows it, up to and with the next term; with another operator, or
    nothing, it takes what that would make of "anything". Only outside of all parentheses a group
    side by side with others is joined to them as a whole.
    """
    steps: list[_Step] = []
    operators: list[str] = []
    for item in tree:
        if isinstance(item, str) and item in _OPERATORS:
            operators.append(item)
            continue
        node: _Node
        if isinstance(item, str):
            node = _parse_term(item, dialect, found)
        else:
            inner = _parse_steps(item, dialect, found, joins=False)
            if not (joins or operators):
                steps += inner
                continue
            node = _Group(tuple(inner))
        steps.append(_apply(operators, node))
        operators = []
    if operators:
        steps.append(_apply(operators, _Group(())))
    return steps


_OPERATORS = frozenset(("and", "or", "not"))


def _apply(operators: list[str], node: _Node) -> _Step:
    """Wrap an operand in the operators before it; say whether the first of them is ``or``."""
    for operator in reversed(operators[1:]):
        if operator == "not":
            node = _negate(node)
        elif operator == "or":
            node = _Group(())
    if operators[:1] == ["not"]:
        node = _negate(node)
    return operators[:1] == ["or"], node


def _negate(node: _Node) -> _Node:
    return node.node if isinstance(node, _Not) else _Not(node)


def _parse_term(word: str, dialect: Dialect, found: list[str]) -> Test:
    found.append(word)
    if not _allowed(word, dialect):
        return unknown
    name, _, value = word.partition("=")
    return (_PLAIN.get(name) or VALUED[name])(value)


def _allowed(word: str, dialect: Dialect) -> bool:
    name, equals, _ = word.partition("=")
    if equals and name in _PLAIN:
        return False
    return name in DIALECTS[dialect]


class _StandsFor:
    """A term that stands for another expression, which must not hold the term itself."""

    __slots__ = ("ask", "forbidden")

    def __init__(self, ask: Callable[[Facts], str | None], forbidden: frozenset[str]) -> None:
        self.ask = ask
        self.forbidden = forbidden

    def read(self, facts: Facts) -> Expression | None:
        """That expression; None where there is none that can be read."""
        text = self.ask(facts)
        if text is None:
            return None
        try:
            other = parse(text)
        except UsageError:
            return None
        return None if other.strange or self.forbidden.intersection(other.terms) else other

    def __call__(self, facts: Facts) -> Verdict:
        other = self.read(facts)
        return UNKNOWN if other is None else evaluate(other, facts)


_STANDARD_RULE = _StandsFor(lambda facts: facts.standard(), frozenset(("standard", "groupwanted")))
_GROUP_RULE = _StandsFor(lambda facts: facts.group_wanted(), frozenset(("groupwanted",)))
_PLAIN: dict[str, Callable[[str], Test]] = {
    **PLAIN,
    "standard": lambda value: _STANDARD_RULE,
    "groupwanted": lambda value: _GROUP_RULE,
}

NATIVE = frozenset((*_PLAIN, *VALUED))
"""The terms that are decided here when the facts are known."""

DIALECTS = {
    Dialect.CONTENT: NATIVE - {"mimetype", "mimeencoding"},
    Dialect.LARGEFILES: frozenset(
        {"include", "exclude", "largerthan", "smallerthan", "mimetype", "mimeencoding"}
        | {"anything", "nothing", "unused"}
    ),
}
"""The terms that git-annex allows."""

_WANTED_ONCE = (
    "(include=* and ((exclude=*/archive/* and exclude=archive/*)"
    " or (not (copies=archive:1 or copies=smallarchive:1)))) or approxlackingcopies=1"
)
_UNARCHIVED = "(not (copies=archive:1 or copies=smallarchive:1)) or approxlackingcopies=1"
STANDARD = {
    "client": _WANTED_ONCE,
    "transfer": f"(not (inallgroup=client and copies=client:2) and ({_WANTED_ONCE}))"
    " or approxlackingcopies=1",
    "backup": "anything",
    "incrementalbackup": "((not copies=backup:1) and (not copies=incrementalbackup:1))"
    " or approxlackingcopies=1",
    "smallarchive": f"((include=*/archive/* or include=archive/*) and ({_UNARCHIVED}))"
    " or approxlackingcopies=1",
    "archive": _UNARCHIVED,
    "source": "not (copies=1)",
    "manual": f"present and ({_WANTED_ONCE})",
    "public": "inpreferreddir",
    "unwanted": "not anything",
}
"""What ``standard`` stands for in each of the standard groups."""
