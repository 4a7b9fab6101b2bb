"""A file can be sent on its way to the disk early; where that cannot be, nothing happens."""

from pathlib import Path

import pytest

from holdfast.dataset import writeback


def test_a_file_is_as_it_was_when_its_writeback_has_begun(tmp_path: Path) -> None:
    with (tmp_path / "content").open("w+b", buffering=0) as file:
        file.write(b"x" * 100_000)
        writeback.begin_writeback(file.fileno())
        file.write(b"y")
    assert (tmp_path / "content").read_bytes() == b"x" * 100_000 + b"y"


def test_where_a_system_cannot_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "_sync_file_range", lambda: None)
    writeback.begin_writeback(-1)


def test_on_linux_the_call_is_there_and_takes_a_file(tmp_path: Path) -> None:
    call = writeback._sync_file_range()
    if call is None:
        pytest.skip("the system has no sync_file_range")
    with (tmp_path / "content").open("wb", buffering=0) as file:
        file.write(b"x")
        assert call(file.fileno(), 0, 0, 2) == 0
