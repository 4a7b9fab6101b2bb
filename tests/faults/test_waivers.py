"""The log of waivers, killed in the middle of a line."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.key import Key
from holdfast.core.place import PlaceId
from holdfast.core.policy import Waiver
from holdfast.dataset.repository import Repository
from holdfast.dataset.waivers import iter_waivers, note_waiver

KEYS = [Key(b"SHA256E-s%d--aa.nii" % number) for number in range(3)]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".git/annex").mkdir()
    repository = Repository(bytes(tmp_path))
    yield repository
    repository.close()


def waive(repository: Repository, key: Key, why: str = "it is spoilt") -> None:
    note_waiver(repository, Waiver(key, PlaceId("laptop"), "Ada", why))


def told(repository: Repository) -> list[str]:
    return [waiver["key"] for waiver in iter_waivers(repository)]


def log_of(repository: Repository) -> Path:
    return Path(repository.annex_dir.decode()) / "hold-waivers.jsonl"


def test_without_a_waiver_there_is_none_to_tell(repository: Repository) -> None:
    assert told(repository) == []


def test_a_log_cut_anywhere_in_its_last_line_is_read_and_goes_on(repository: Repository) -> None:
    for key in KEYS[:2]:
        waive(repository, key)
    whole = log_of(repository).read_bytes()
    begin = whole.index(b"\n") + 1
    for cut in range(begin, len(whole)):
        log_of(repository).write_bytes(whole[:cut])
        assert told(repository) == [KEYS[0].text]
        waive(repository, KEYS[2])
        assert told(repository)[0] == KEYS[0].text
        assert told(repository)[-1] == KEYS[2].text
        assert log_of(repository).read_bytes().startswith(whole[:cut])


def test_a_log_that_begins_with_a_cut_line_is_read(repository: Repository) -> None:
    log_of(repository).write_bytes(b'{"time": "2026')
    assert told(repository) == []
    waive(repository, KEYS[0], "caf\udce9\nin two lines")
    assert told(repository) == [KEYS[0].text]
    [waiver] = iter_waivers(repository)
    assert waiver["why"] == "caf\udce9\nin two lines"
