"""A packed store as a place of a data set: content goes there, is dropped here, and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.api.datasets import open_dataset
from holdfast.api.special_setup import set_up_special

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
    words = {"type": "packed", "directory": str(folder), "packsize": "1mib", "encryption": "none"}
    with open_dataset(str(main)) as dataset:
        set_up = set_up_special(dataset, "pack", words)
        # What git-annex can have of it.
        assert set_up.config["type"] == "external" and set_up.config["externaltype"] == "holdfast"


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
