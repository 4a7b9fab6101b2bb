"""Our keys against those of the git-annex installed here."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.core.backends import HASH_BACKENDS, digest_key

SIZES = (0, 1, 63, 64, 65, 1000, 100_000)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex") is None, reason="no git-annex on PATH"),
]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    folder = tmp_path_factory.mktemp("contents")
    chance = random.Random(20261121)
    made = {folder / f"n{size}.tar.gz": chance.randbytes(size) for size in SIZES}
    for path, data in made.items():
        path.write_bytes(data)
    return made


@pytest.mark.parametrize("backend", [name + end for name in HASH_BACKENDS for end in (b"", b"E")])
def test_our_keys_are_those_of_git_annex(backend: bytes, contents: dict[Path, bytes]) -> None:
    told = subprocess.run(
        ["git-annex", "calckey", f"--backend={backend.decode()}", *contents],
        check=True,
        capture_output=True,
    ).stdout.split()
    ours = [digest_key(backend, data, path.name.encode()) for path, data in contents.items()]
    assert told == ours
