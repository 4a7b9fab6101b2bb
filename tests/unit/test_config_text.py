"""git's configuration text."""

from __future__ import annotations

import pytest

from holdfast.core.errors import ProtocolError
from holdfast.wire.config_text import iter_config


def read(text: bytes) -> list[tuple[object, ...]]:
    return [tuple(item) for item in iter_config(text)]


def test_sections_subsections_and_values_are_read() -> None:
    text = b'# top\n[submodule "in/a \\"b\\""]\n\tpath = in/a # why\n\turl = ./in/a\n[Core]Bare\n'
    assert read(text) == [
        ("submodule", b'in/a "b"', "path", b"in/a"),
        ("submodule", b'in/a "b"', "url", b"./in/a"),
        ("core", None, "bare", None),
    ]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"a b  ", b"a b"),
        (b'" a # b "', b" a # b "),
        (b"a\\\n  b", b"a  b"),
        (b"a \\\n", b"a "),
        (b"a \\\n  ", b"a "),
        (b"a\\tb\\n\\\\", b"a\tb\n\\"),
        (b'a" b "c ; d', b"a b c"),
        (b"", b""),
        (b"x\r", b"x"),
        (b'"a"  "b"', b"a  b"),
    ],
)
def test_values_are_as_git_has_them(raw: bytes, value: bytes) -> None:
    assert read(b"[a]\nb = " + raw + b"\nc = 1\n") == [
        ("a", None, "b", value), ("a", None, "c", b"1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [b"x = 1\n", b"[a\nb = 1\n", b'[a]\nb = "open\n', b"[a]\nb = \\q\n", b"[a]\n1b = 2\n"]
)
def test_what_git_refuses_is_refused(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(text)
