"""Globs match as git-annex's do, which is not as a shell's."""

from __future__ import annotations

import pytest

from holdfast.core.globs import compile_glob

# Each was decided by `git annex matchexpression`.
MATCHING = [
    ("*", "a/b"), ("*", ""), ("*.txt", "a/B.txt"), ("a?b", "a/b"), ("a/b", "a//b"), ("[/]", "/"), ("?", "é"),
    ("[à-ü]", "é"), ("a\\b", "a\\b"), ("a\\*", "a\\xyz"), ("[a\\]", "\\"), ("[]a]", "]"), ("[!]a]", "b"), ("[]-a]", "^"),
    ("[a-c-e]", "-"), ("[[:alpha:][:digit:]]", "5"), ("[[:word:]]", "_"), ("[[=a=]]", "a"), ("a[[:space:]]b", "a b"),
    ("b.txt", "a\nb.txt"), ("*b", "a\nb"), ("a{2}", "a{2}"), ("a|b", "a|b"), ("]", "]"), ("a/**/b", "a/x/b"),
]  # fmt: skip
OTHER = [
    ("a//b", "a/b"), ("B.txt", "a/B.txt"), ("a/b.TXT", "a/B.txt"), ("??", "é"), ("a.b", "axb"), ("a\\*", "a*"), ("*/b", "b"),
    ("a/**/b", "a/b"), ("[[:foo:]]", "a"), ("[[.a.]]", "a"), ("[[:upper:]]", "É"), ("a*txt", "a\nb.txt"), ("a[!x]b", "a\nb"),
    ("a|b", "a"), ("^a", "a"), ("{a,b}", "a"), ("\\[a]", "[a]"), ("", "a"), ("É", "é"),
]  # fmt: skip


@pytest.mark.parametrize(("glob", "text"), MATCHING)
def test_a_glob_matches(glob: str, text: str) -> None:
    assert compile_glob(glob.encode())(text.encode())


@pytest.mark.parametrize(("glob", "text"), OTHER)
def test_a_glob_does_not_match(glob: str, text: str) -> None:
    assert not compile_glob(glob.encode())(text.encode())


def test_a_byte_that_is_not_utf8_is_one_character() -> None:
    assert compile_glob(b"?")(b"\xff")
    assert compile_glob(b"[!\xff]")(b"\xfe")
    assert compile_glob(b"???")(b"\xed\xa0\x80")


def test_case_counts_only_when_asked_to() -> None:
    assert not compile_glob(b"*smith")(b"Jane Smith")
    assert compile_glob(b"*smith", ignore_case=True)(b"Jane Smith")


@pytest.mark.parametrize("glob", [b"[", b"a/b[xt", b"[]", b"[!]", b"[z-a]"])
def test_a_broken_bracket_is_refused(glob: bytes) -> None:
    with pytest.raises(ValueError, match="is no glob"):
        compile_glob(glob)
