"""A packed store as a place of a data set: content goes there, is dropped here, and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from holdfast.core.place import Place, PlaceId
from holdfast.dataset.config import append_settings
from holdfast.dataset.ledger_write import record
from holdfast.dataset.repository import Repository
from holdfast.stores import packed
from holdfast.stores.special import SpecialRemote

COUNT = 40


def hold(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    main = tmp_path / "main"
    hold(tmp_path, "create", "-q", "--profile", "all-annexed", "main")
    for number in range(COUNT):
        (main / f"{number}.dat").write_bytes(os.urandom(1000 + number))
    (main / "large.dat").write_bytes(os.urandom(3 << 20))
    hold(main, "save", "-q")
    add_place(main, tmp_path / "store")
    return main


def add_place(main: Path, folder: Path) -> None:
    """What setting it up writes: the ledger for all clones, git's configuration for this one."""
    setup = packed.plan_setup({"directory": str(folder), "packsize": "1mib"})
    place = Place(PlaceId(str(uuid.uuid4())), "pack")
    words = " ".join(f"{name}={value}" for name, value in {"name": "pack", **setup.config}.items())
    line = f"{place.id} {words} timestamp=1700000000s\n".encode()
    record(Repository(os.fsencode(main)), [(b"remote.log", lambda before: before + line)])
    settings = [("annex-uuid", place.id), *setup.local.items()]
    append_settings(os.fsencode(main / ".git/config"), [("remote.pack", settings)])
    packed.prepare(SpecialRemote(place, setup.config, setup.local, b"", None))  # type: ignore[arg-type]


def test_content_goes_to_a_packed_store_is_dropped_here_and_comes_back(dataset: Path) -> None:
    before = {path.name: path.read_bytes() for path in dataset.glob("*.dat")}
    hold(dataset, "copy", "-q", "--to", "pack")
    assert "pack" in hold(dataset, "whereis", "large.dat")
    hold(dataset, "drop", "-q", ".")
    assert not any(path.exists() for path in dataset.glob("*.dat"))
    hold(dataset, "get", "-q")
    assert {path.name: path.read_bytes() for path in dataset.glob("*.dat")} == before
    hold(dataset, "drop", "-q", "--from", "pack", "0.dat", "1.dat")
    (told,) = hold(dataset, "packed", "info", "--json", "../store").splitlines()
    info = json.loads(told)
    assert info["records"] == COUNT - 1 and info["garbage_bytes"] > 2000
    assert len(list((dataset.parent / "store").rglob("*"))) < 15
    verified = hold(dataset, "packed", "verify", "--json", "../store").splitlines()
    assert sum(json.loads(line)["records"] for line in verified) == COUNT - 1
    assert "ok" in hold(dataset, "packed", "compact", "--garbage", "1", "../store")
    hold(dataset, "drop", "-q", "2.dat")
    hold(dataset, "get", "-q", "2.dat")
    assert (dataset / "2.dat").read_bytes() == before["2.dat"]


def test_what_is_no_packed_store_is_told_of(tmp_path: Path) -> None:
    told = hold(tmp_path, "packed", "info", "--json", "nowhere", code=3)
    assert json.loads(told)["error"]["code"] == "H354"
    hold(tmp_path, "packed", "turn", ".", code=2)
