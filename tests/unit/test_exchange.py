"""Putting a file in the place of the one that was seen, and of no other."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from holdfast.dataset import exchange
from holdfast.dataset.exchange import still_there, take_place


@pytest.fixture(
    params=["in one step", "where the system cannot", "in a sandbox", "without the call"]
)
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the system can do."""
    refusals = {"where the system cannot": errno.EINVAL, "in a sandbox": errno.EPERM}
    if request.param in refusals:
        monkeypatch.setattr(exchange, "_call", lambda: lambda *_: refusals[request.param])
    if request.param == "without the call":
        monkeypatch.setattr(exchange, "_call", lambda: None)
    return str(request.param)


@pytest.fixture
def names(tmp_path: Path) -> tuple[bytes, bytes]:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "it").write_bytes(b"seen")
    return bytes(tmp_path / "new"), bytes(tmp_path / "it")


def content(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_the_file_that_was_seen_gives_way(how: str, names: tuple[bytes, bytes]) -> None:
    new, path = names
    ours = os.lstat(new)
    assert take_place(new, path, os.lstat(path))
    assert content(path) == b"new"
    assert not os.path.exists(new)
    now = still_there(path, ours)
    assert now is not None and now.st_ino == ours.st_ino


def test_a_link_gives_way_too(how: str, names: tuple[bytes, bytes], tmp_path: Path) -> None:
    new, path = names
    os.unlink(path)
    os.symlink(b"nowhere", path)
    assert take_place(new, path, os.lstat(path))
    assert content(path) == b"new" and not os.path.islink(path)


def test_one_that_was_written_to_or_is_another_or_gone_stays_as_it_is(
    how: str, names: tuple[bytes, bytes]
) -> None:
    new, path = names
    seen = os.lstat(path)
    os.utime(path, ns=(1, 1))
    assert not take_place(new, path, seen)
    os.rename(path, path + b".away")
    assert not take_place(new, path, seen)
    assert not os.path.lexists(path)
    with open(path, "wb") as file:
        file.write(b"else")
    os.utime(path, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    assert not take_place(new, path, seen)
    assert content(path) == b"else" and content(new) == b"new"
    assert still_there(path, seen) is None


def test_one_that_comes_at_the_last_moment_is_put_back(
    names: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new, path = names
    swap, calls = exchange.exchange, []

    def late(one: bytes, other: bytes) -> bool:
        if not calls:
            (tmp_path / "late").write_bytes(b"late")
            os.rename(tmp_path / "late", other)
        calls.append(one)
        return swap(one, other)

    monkeypatch.setattr(exchange, "exchange", late)
    seen = os.lstat(path)
    if not swap(new, path):
        pytest.skip("this system exchanges no names")
    swap(new, path)
    assert not take_place(new, path, seen)
    assert content(path) == b"late" and content(new) == b"new"
    assert len(calls) == 2
