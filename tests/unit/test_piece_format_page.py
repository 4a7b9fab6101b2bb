"""The page on pieces says enough to compute them: its program is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.wire.piece import commit, read_piece

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats" / "piece.md"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 5000])
def test_the_program_on_the_page_computes_the_root(size: int) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(program, names)
    payload = bytes((i * i + 7 * i) % 251 for i in range(size))
    assert names["root"](payload) == commit(payload).root  # type: ignore[operator]


def test_the_piece_cids_on_the_page_are_right() -> None:
    found = dict(re.findall(r"\| (.+?) \| `(bafkzcib\w+)` \|", PAGE.read_text(encoding="utf-8")))
    assert len(found) == 5
    for text in found.values():
        assert read_piece(text).v2 == text
    assert found["128 zeros"] == commit(bytes(128)).v2
