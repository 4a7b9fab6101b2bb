"""The words that describe a new special remote: which are known, which have to be said. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..core import faults
from ..core.errors import HoldError

COMMON = frozenset(
    (
        "type", "name", "encryption", "chunk", "chunksize", "mac", "keyid", "keyid+", "keyid-",
        "autoenable", "embedcreds", "onlyencryptcreds", "cost", "private", "sameas", "exporttree",
        "importtree", "annexobjects", "cipher", "cipherkeys", "pubkeys", "sameas-uuid",
        "sameas-name", "uuid",
    )
)  # fmt: skip
"""Words that all kinds know: they say who the remote is, how content is cut and encrypted."""


def check_words(
    kind: str, given: Mapping[str, str], required: Collection[str], others: Collection[str] = ()
) -> None:
    """Look whether all words are known, and none of the required ones is missing.

    Raises:
        UsageError: One is missing, empty, or not known.
    """
    for word in required:
        if not given.get(word):
            raise bad_setup(kind, f"{word}= is missing")
    for word in given:
        if word not in COMMON and word not in required and word not in others:
            raise bad_setup(kind, f"{word}= is not known")


def check_one_of(kind: str, given: Mapping[str, str], word: str, values: Collection[str]) -> None:
    """Look whether a word, if it is said, has one of a few values.

    Raises:
        UsageError: It has another.
    """
    if word in given and given[word] not in values:
        detail = f"{word}= is one of {', '.join(sorted(values))}"
        raise bad_setup(kind, detail)


def bad_setup(kind: str, detail: str) -> HoldError:
    """The error that says why a new one cannot be described so."""
    following = f"git annex initremote --whatelse type={kind}    (lists what can be said)"
    return faults.BAD_SETUP(name=f"a place of the type {kind}", detail=detail, next=following)
