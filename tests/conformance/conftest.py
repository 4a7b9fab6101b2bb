"""Where the golden files are: beside the project, or where HOLDFAST_SHARED says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """What is shared beside the project; it may not be there."""
    return Path(os.environ.get("HOLDFAST_SHARED") or PROJECT.parent / "shared")


@pytest.fixture(scope="session")
def annex_golden(shared_folder: Path) -> Path:
    """The folder of golden files made with git-annex; skips when it is not there."""
    folder = shared_folder / "fixtures" / "git-annex"
    if not folder.is_dir():
        pytest.skip(f"no golden files at {folder}; set HOLDFAST_SHARED to the folder of them")
    return folder


@pytest.fixture(scope="session")
def golden(annex_golden: Path) -> Callable[[str], Any]:
    """Reads one golden JSON file."""

    def read(name: str) -> Any:
        return json.loads((annex_golden / name).read_text(encoding="utf-8"))

    return read
