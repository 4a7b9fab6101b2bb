"""Pieces and aggregates are what the JavaScript packages of the Filecoin world make of the same bytes.

They run on node: `sh tools/oracles` installs them, or HOLDFAST_NPM says where a folder node_modules
with them is.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.kernels import every_kernel
from holdfast.wire.aggregate import Aggregate
from holdfast.wire.piece import commit

pytestmark = pytest.mark.interop

PROJECT = Path(__file__).resolve().parents[2]
HASHER = "fr32-sha2-256-trunc254-padded-binary-tree-multihash"
NEEDED = ("multiformats", HASHER, "@web3-storage/data-segment")

PROGRAM = """
import fs from 'node:fs'
import * as Hasher from 'fr32-sha2-256-trunc254-padded-binary-tree-multihash'
import * as Digest from 'multiformats/hashes/digest'
import { CID } from 'multiformats/cid'
import * as DS from '@web3-storage/data-segment'
const asked = JSON.parse(fs.readFileSync(0))
const hex = path => path.map(node => Buffer.from(node).toString('hex'))
const read = name => new Uint8Array(fs.readFileSync(name))
const v2 = bytes => {
  const hasher = Hasher.create()
  hasher.write(bytes)
  const out = new Uint8Array(hasher.multihashByteLength())
  hasher.digestInto(out, 0, true)
  hasher.free()
  return CID.createV1(0x55, Digest.decode(out)).toString()
}
const pieces = asked.files.map(name => v2(read(name)))
const parts = asked.parts.map(name => DS.Piece.fromPayload(read(name)))
const whole = DS.Aggregate.build({ pieces: parts, size: DS.Aggregate.Size.from(asked.size) })
const proofs = parts.map(part => {
  const [sub, index] = whole.resolveProof(part.link).ok
  return { path: hex(DS.Proof.path(sub)), entry_path: hex(DS.Proof.path(index)) }
})
const v1 = parts.map(part => part.toInfo().link.toString())
console.log(JSON.stringify({ pieces, v1, whole: whole.link.toString(), proofs }))
"""


@pytest.fixture(scope="module")
def node_modules() -> Path:
    folder = Path(os.environ.get("HOLDFAST_NPM") or PROJECT / ".venv" / "oracles" / "node_modules")
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not all((folder / package).is_dir() for package in NEEDED):
        pytest.skip(f"not all packages are in {folder}; run sh tools/oracles, or set HOLDFAST_NPM")
    return folder


def written(folder: Path, sizes: list[int], seed: int) -> list[str]:
    chance = random.Random(seed)
    names = []
    for number, size in enumerate(sizes):
        path = folder / f"{seed}-{number}"
        path.write_bytes(chance.randbytes(size))
        names.append(str(path))
    return names


def ask(node_modules: Path, folder: Path, asked: dict[str, Any]) -> Any:
    (folder / "node_modules").symlink_to(node_modules)
    (folder / "ask.mjs").write_text(PROGRAM)
    ran = subprocess.run(
        ["node", "ask.mjs"], cwd=folder, input=json.dumps(asked), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_pieces_and_aggregates_agree(node_modules: Path, tmp_path: Path) -> None:
    chance = random.Random(8)
    sizes = [0, 1, 127, 128, 65_023, 65_024, 65_025, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]
    sizes += [chance.randrange(2_000_000) for _ in range(12)]
    files = written(tmp_path, sizes, 1)
    parts = written(tmp_path, [chance.randrange(65, 200_000) for _ in range(7)], 2)
    size = 4 << 20
    theirs = ask(node_modules, tmp_path, {"files": files, "parts": parts, "size": size})
    for name, kernel in every_kernel().items():
        ours = [commit(Path(file).read_bytes(), kernel).v2 for file in files]
        assert ours == theirs["pieces"], name
    pieces = [commit(Path(part).read_bytes()) for part in parts]
    assert [piece.v1 for piece in pieces] == theirs["v1"]
    whole = Aggregate(pieces, size)
    assert whole.piece.v2 == theirs["whole"]
    for number, proof in enumerate(theirs["proofs"]):
        made = whole.prove(number)
        assert [node.hex() for node in made.path] == proof["path"]
        assert [node.hex() for node in made.entry_path] == proof["entry_path"]
