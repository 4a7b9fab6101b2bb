"""Those files of whose content something is said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from ..core import faults
from ..core.facts import YES, Facts
from ..core.terms import VALUED, Test
from ..dataset.annexed import TrackedFile
from ..dataset.said import SaidOf
from .datasets import Dataset
from .reading import readable_ledger

_BLOCK = 4096


def iter_said(
    dataset: Dataset, files: Iterable[TrackedFile], tests: Sequence[str], *, most: bool
) -> Iterator[TrackedFile]:
    """Those of annexed files for which all of these hold: ``field=glob``, ``field>=value``.

    Raises:
        UsageError: A test makes no sense.
    """
    read = [_test(word) for word in tests]
    said = SaidOf(readable_ledger(dataset), most=most)
    rest = iter(files)
    while block := list(islice(rest, _BLOCK)):
        found = said.of([file.key for file in block if file.key is not None])
        for file in block:
            fields = found.get(file.key) if file.key is not None else None
            if fields and all(test(_Said(fields)) is YES for test in read):
                yield file


def _test(word: str) -> Test:
    try:
        return VALUED["metadata"](word)
    except (ValueError, AssertionError):
        error = faults.BAD_FIELD(field=word.partition("=")[0] or word, detail="no such test")
        error.hint = "hold find --metadata 'author=A*'"
        raise error from None


class _Said(Facts):
    """Content of which only its metadata is known."""

    def __init__(self, fields: Mapping[str, Collection[bytes]]) -> None:
        self._fields = {name.lower(): values for name, values in fields.items()}

    def metadata(self, field: str) -> Collection[bytes]:
        """The values of a field."""
        return self._fields.get(field, ())
