"""Attributes are found as git finds them."""

from __future__ import annotations

import pytest

from holdfast.core.attributes import AttributeTree, Flag, parse_attributes

DATALAD = {
    b"": b"* annex.backend=MD5E\n**/.git* annex.largefiles=nothing\n* annex.largefiles=((mimeencoding=binary)and(largerthan=0))\nREADME.md annex.largefiles=nothing\n",
    b".datalad": b"config annex.largefiles=nothing\n",
    b"code": b"* annex.largefiles=nothing\n",
}


def test_the_last_line_and_the_deepest_file_win() -> None:
    tree = AttributeTree(DATALAD)
    rule = b"annex.largefiles"
    assert tree.value(b"sub-01/x.nii.gz", rule) == b"((mimeencoding=binary)and(largerthan=0))"
    assert tree.value(b"sub-01/README.md", rule) == b"nothing"
    assert tree.value(b".datalad/config", rule) == b"nothing"
    assert tree.value(b"code/sub/run.py", rule) == b"nothing"
    assert tree.value(b"code/x", b"annex.backend") == b"MD5E"


def test_info_attributes_win_over_all_and_outer_files_over_none() -> None:
    tree = AttributeTree({b"": b"a x=top"}, info=b"a x=info", below=[b"a x=system y=system"])
    assert tree.attributes(b"a") == {b"x": b"info", b"y": b"system"}


def test_an_attribute_may_be_set_unset_or_unspecified() -> None:
    tree = AttributeTree({b"": b"* a b c d=\n* -b !c"})
    assert tree.attributes(b"x") == {b"a": Flag.SET, b"b": Flag.UNSET, b"d": b""}
    assert tree.value(b"x", b"c") is Flag.UNSPECIFIED


def test_macros_expand_where_they_are_set() -> None:
    tree = AttributeTree(
        {
            b"": b"[attr]scan filter=annex -text\n*.nii scan\n*.bin binary\n",
            b"sub": b"[attr]own a\n*.nii own",
        }
    )
    assert tree.attributes(b"a.nii") == {
        b"scan": Flag.SET,
        b"filter": b"annex",
        b"text": Flag.UNSET,
    }
    assert tree.value(b"a.bin", b"diff") is Flag.UNSET
    assert tree.value(b"sub/a.nii", b"a") is Flag.UNSPECIFIED


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"*.gz", b"a/b/x.gz"), (b"/x", b"x"), (b"a/*", b"a/x"), (b"a/**", b"a/b/x"), (b"**/x", b"x"), (b"a/**/x", b"a/x"), (b"a/**/x", b"a/b/c/x"),
        (b"[!b]", b"a"), (b"\\!a", b"!a"), (b'"a b"', b"a b"), (b'"\\303\\251"', "é".encode()), (b"[[:digit:]]", b"5"), (b"a**/b", b"ab"),
    ],
)  # fmt: skip
def test_a_pattern_matches(pattern: bytes, path: bytes) -> None:
    assert AttributeTree({b"": pattern + b" hit"}).attributes(path) == {b"hit": Flag.SET}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"/x", b"a/x"),
        (b"a/*", b"a/b/x"),
        (b"a/", b"a/x"),
        (b"!a", b"!a"),
        (b"a/b", b"c/a/b"),
        (b"[a", b"a"),
        (b"a\\", b"a\\"),
        (b"A", b"a"),
    ],
)
def test_a_pattern_does_not_match(pattern: bytes, path: bytes) -> None:
    assert AttributeTree({b"": pattern + b" hit"}).attributes(path) == {}


def test_a_file_below_counts_only_for_its_directory() -> None:
    tree = AttributeTree({b"a": b"x hit\nb/y hit"})
    assert [tree.attributes(p) for p in (b"x", b"ab/x", b"b/y", b"a/c/b/y")] == [{}] * 4
    assert all(tree.attributes(p) for p in (b"a/x", b"a/c/x", b"a/b/y"))


def test_lines_that_git_passes_over_are_passed_over() -> None:
    raw = b"\xef\xbb\xbf# comment\n\n!a x\n* a@b\n* -\n" + b"a" * 2048 + b" x\n[attr]-m x\n"
    assert parse_attributes(raw) == []


def test_a_tree_knows_which_attributes_its_lines_and_macros_speak_of() -> None:
    tree = AttributeTree(
        {b"": b"[attr]kept annex.numcopies=2\n*.dat kept\n", b"sub": b"* -text\n"},
        info=b"*.csv annex.backend=MD5\n",
    )
    assert tree.mentions((b"annex.numcopies", b"annex.mincopies"))
    assert tree.mentions((b"annex.backend",))
    assert tree.mentions((b"text",))
    assert not tree.mentions((b"annex.mincopies", b"eol"))
