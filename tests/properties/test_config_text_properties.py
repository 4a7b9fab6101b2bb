"""What we write into git's configuration files is what we and git read from them."""

from __future__ import annotations

import os
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import ProtocolError
from holdfast.dataset.config import format_sections
from holdfast.wire.config_text import iter_config

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\v\f\b"), max_size=12)
PIECES = st.lists(
    # Older versions of git turn other blanks within a value into spaces.
    st.sampled_from([b"a", b" ", b'"', b"\\", b"\\n", b"\\\n", b"#", b";", b"=", b"b", b"[", b"]"]),
    max_size=10,
).map(b"".join)  # fmt: skip


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5))
def test_sections_that_we_write_are_read_again(pairs: list[tuple[str, str]]) -> None:
    written = format_sections([(f"submodule.{name}", [("path", value)]) for name, value in pairs])
    found = [(item.subsection, item.value) for item in iter_config(written)]
    assert found == [(os.fsencode(name), os.fsencode(value)) for name, value in pairs]


@settings(max_examples=60, deadline=None)
@given(PIECES)
def test_a_value_is_what_git_reads(raw: bytes) -> None:
    text = b"[a]\nb = " + raw + b"\nc = 1\n"
    done = subprocess.run(
        ["git", "config", "--file", "-", "--list", "-z"],
        input=text,
        capture_output=True,
        check=False,
    )
    try:
        ours = [
            (b"a." + item.variable.encode(), item.value) for item in iter_config(text)
        ]  # fmt: skip
    except ProtocolError:
        assert done.returncode != 0
        return
    assert done.returncode == 0
    theirs = [field.partition(b"\n") for field in done.stdout.split(b"\0")[:-1]]
    assert ours == [(name, value if mark else None) for name, mark, value in theirs]
