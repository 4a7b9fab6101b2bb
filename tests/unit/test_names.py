"""Paths that others named."""

from __future__ import annotations

import pytest

from holdfast.core.names import refusal_of_path, way_out


@pytest.mark.parametrize(
    "path",
    [b"", b"/etc/passwd", b"../x", b"a/../../x", b"a//b", b"./a", b"a/", b"a/.git/config", b".GIT/x",
     b".git /x", b"git~1/x", b"a\0b", b"a\nb", b"x" * 256],
)  # fmt: skip
def test_what_leads_out_is_refused(path: bytes) -> None:
    assert way_out(path)
    assert refusal_of_path(path)


@pytest.mark.parametrize("path", [b".gitattributes", b"a/.gitmodules", b"a/.GitIgnore"])
def test_what_would_steer_git_is_refused_but_leads_nowhere(path: bytes) -> None:
    assert not way_out(path)
    assert "steer" in refusal_of_path(path)


@pytest.mark.parametrize("path", [b"a", b"a/b c", b".hidden/..x", b"a/.gitkeep", b"\xff/\xc3\xa4"])
def test_plain_names_are_good(path: bytes) -> None:
    assert refusal_of_path(path) == ""
