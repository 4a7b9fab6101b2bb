"""Choosing among annexed files as git-annex's matching options say: ``--in x --and --not …``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from ..core.facts import NO, OPPOSITE, YES, Facts, Verdict
from ..core.place import PlaceId
from ..core.terms import VALUED, Test
from ..dataset.content_facts import Content, ContentFacts, Grounds, seen_here
from ..dataset.wanting import Wanting
from .annex_real import Elsewhere

if TYPE_CHECKING:
    from ..api.datasets import Dataset
    from ..dataset.annexed import TrackedFile

_BLOCK = 4096
_OPENERS = {"-!": "--not", "-&": "--and", "-|": "--or"}


class FileFacts(ContentFacts):
    """What is known of one annexed file; places of a whole block of files are read at once."""

    def __init__(self, grounds: Grounds, file: TrackedFile, places: Sequence[PlaceId]) -> None:
        assert file.key is not None
        super().__init__(grounds, Content(file.key, file.path or None, places))
        self.file = file


def iter_matching(
    dataset: Dataset, files: Iterable[TrackedFile], terms: Sequence[tuple[str, str]]
) -> Iterator[TrackedFile]:
    """Those of some annexed files that the terms choose, in order."""
    test = _Reader(dataset, terms).read()
    grounds = Grounds(dataset.repository, dataset.ledger)
    source = iter(files)
    while block := list(islice(source, _BLOCK)):
        places = dataset.ledger.locations([file.key for file in block if file.key is not None])
        for file in block:
            assert file.key is not None
            if test(FileFacts(grounds, file, places[file.key])) is YES:
                yield file


class _Reader:
    """Makes one test of the terms: from left to right, ``and`` and ``or`` bind alike."""

    def __init__(self, dataset: Dataset, terms: Sequence[tuple[str, str]]) -> None:
        self._dataset = dataset
        self._terms = [(_OPENERS.get(name, name), value) for name, value in terms]

    def read(self) -> Test:
        """The whole of it."""
        test = self._group()
        if self._terms:
            raise Elsewhere
        return test

    def _group(self) -> Test:
        test = self._operand()
        while self._terms and self._terms[0][0] != "-)":
            either = self._terms[0][0] == "--or"
            if self._terms[0][0] in ("--or", "--and"):
                self._terms.pop(0)
            test = _join(test, self._operand(), either=either)
        return test

    def _operand(self) -> Test:
        if not self._terms:
            raise Elsewhere
        name, value = self._terms.pop(0)
        if name == "--not":
            inner = self._operand()
            return lambda facts: OPPOSITE[inner(facts)]
        if name == "-(":
            inner = self._group()
            if not self._terms or self._terms.pop(0)[0] != "-)":
                raise Elsewhere
            return inner
        return self._term(name, value)

    def _term(self, name: str, value: str) -> Test:
        plain: dict[str, Callable[[FileFacts], bool]] = {
            "--anything": lambda facts: True,
            "--nothing": lambda facts: False,
            "--locked": lambda facts: facts.file.locked,
            "--unlocked": lambda facts: not facts.file.locked,
        }
        if name in plain:
            return lambda facts: _verdict(plain[name](_of(facts)))
        if name == "--in":
            return self._in(value)
        if name.startswith("--want-"):
            return self._wanted(name, value)
        try:
            return VALUED[name.removeprefix("--")](value)
        except (KeyError, ValueError):
            raise Elsewhere from None

    def _wanted(self, name: str, value: str) -> Test:
        """Whether a place would have the file, or would not have it any more."""
        place = find_place(self._dataset, value) if name.endswith("-by") else self._dataset.here
        wanting = Wanting(self._dataset.repository, self._dataset.ledger)
        has = self._dataset.objects.has if place == self._dataset.here else None

        def seen(facts: Facts) -> Content:
            content = _of(facts).content
            if has is None:
                return content
            places = seen_here(content.places, place, present=has(content.key))
            return content._replace(places=places)

        if name.startswith("--want-get"):
            return lambda facts: _verdict(wanting.wants(place, seen(facts)))
        return lambda facts: OPPOSITE[_verdict(wanting.wants_to_keep(place, seen(facts)))]

    def _in(self, name: str) -> Test:
        if name in ("here", "."):
            objects = self._dataset.objects

            def is_here(facts: Facts) -> Verdict:
                key = facts.key()
                return YES if key is not None and objects.has(key) else NO

            return is_here
        wanted = find_place(self._dataset, name)

        def is_there(facts: Facts) -> Verdict:
            return YES if any(place.id == wanted for place in facts.holders() or ()) else NO

        return is_there


def _of(facts: Facts) -> FileFacts:
    assert isinstance(facts, FileFacts)
    return facts


def _verdict(answer: object) -> Verdict:
    return YES if answer else NO


def _join(left: Test, right: Test, *, either: bool) -> Test:
    decided = YES if either else NO

    def test(facts: Facts) -> Verdict:
        verdict = left(facts)
        return verdict if verdict is decided else right(facts)

    return test


def find_place(dataset: Dataset, name: str) -> PlaceId:
    """The place called so by remote name, UUID or description; the real git-annex knows more."""
    ledger = dataset.ledger
    for known in (ledger.remote_names, ledger.descriptions):
        found = [uuid for uuid, called in known.items() if called == name]
        if len(found) == 1:
            return found[0]
    if PlaceId(name) in ledger.descriptions:
        return PlaceId(name)
    raise Elsewhere
