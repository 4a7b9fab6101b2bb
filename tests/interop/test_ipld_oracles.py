"""What we write is what ipfs-car and the packages of IPLD write, and they read it back.

They run on node: `sh tools/oracles` installs them, or HOLDFAST_NPM says where a folder node_modules
has them. Skipped, and counted, where they are missing.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from car_maker import CarMade, Leading, Tree, content

from holdfast.api.archive import archive_of_folder, archive_pack
from holdfast.api.archive_serving import ServedArchive
from holdfast.api.served import Rights
from holdfast.core.errors import ProtocolError
from holdfast.site.access import Access
from holdfast.site.archive_server import ArchiveServer
from holdfast.site.http_server import Listening
from holdfast.wire.car_index import encode_index
from holdfast.wire.car_v2 import HEAD_SIZE, CarV2Head, encode_v2_head
from holdfast.wire.cid import Cid, cid_text, raw_cid
from holdfast.wire.dag_cbor import Link, Value, decode_cbor, encode_cbor
from holdfast.wire.dag_pb import decode_node, encode_node
from holdfast.wire.unixfs import Profile

pytestmark = pytest.mark.interop

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("ipld_oracles.mjs")

TREE: Tree = {
    b"CHANGES": b"first version\n",
    b"a b.txt": b"blank",
    b"empty": None,
    b"latest": Leading(b"sub-01/anat/T1w.nii"),
    b"none": b"",
    b"sub-01/anat/T1w.json": content(151),
    b"sub-01/anat/T1w.nii": content((1 << 20) + 1),
    b"sub-01/func/bold.nii": content(3_000_000),
    b"sub-01.txt": b"beside the folder of that name",
    "üñí.txt".encode(): b"not ASCII",
}
FILES: Tree = {path: what for path, what in TREE.items() if isinstance(what, bytes)}
"""What can be compared with packages that follow symlinks and drop empty folders."""


@pytest.fixture(scope="module")
def node_modules() -> Path:
    node = shutil.which("node")
    here = os.environ.get("HOLDFAST_NPM") or PROJECT / ".venv" / "oracles" / "node_modules"
    if node is None or not (Path(here) / "ipfs-car").is_dir():
        pytest.skip(f"no node, or no ipfs-car in {here}; run sh tools/oracles, or set HOLDFAST_NPM")
    return Path(here)


class Oracles:
    """Runs the packages in a folder of the test's own."""

    def __init__(self, node_modules: Path, folder: Path) -> None:
        self.modules = node_modules
        self.folder = folder
        self.script = folder / SCRIPT.name
        shutil.copyfile(SCRIPT, self.script)
        (folder / "node_modules").symlink_to(node_modules, target_is_directory=True)

    def ask(self, verb: str, *words: object, told: str = "") -> list[Any]:
        done = self._run(["node", str(self.script), verb, *map(str, words)], told)
        return [json.loads(line) for line in done.splitlines()]

    def ipfs_car(self, *words: object) -> str:
        program = self.modules / "ipfs-car" / "bin.js"
        return self._run(["node", str(program), *map(str, words)], "").strip()

    def _run(self, words: list[str], told: str) -> str:
        done = subprocess.run(words, input=told, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def oracles(node_modules: Path, tmp_path: Path) -> Oracles:
    folder = tmp_path / "oracles"
    folder.mkdir()
    return Oracles(node_modules, folder)


def write_car(path: Path, car: CarMade, root: Cid) -> Path:
    with path.open("wb") as out:
        out.writelines(car.chunks(root))
    return path


def write_tree(folder: Path, tree: Tree) -> Path:
    for path, what in tree.items():
        file = folder / os.fsdecode(path)
        if what is None:
            file.mkdir(parents=True)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, Leading):
            file.symlink_to(os.fsdecode(what.target))
        else:
            file.write_bytes(what)
    return folder


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_a_file_has_the_car_that_ipfs_car_packs(
    oracles: Oracles, tmp_path: Path, size: int
) -> None:
    file = tmp_path / "content"
    file.write_bytes(content(size))
    root, tsize = (car := CarMade()).put_file(content(size))
    theirs = tmp_path / "theirs.car"
    assert oracles.ipfs_car("pack", file, "--no-wrap", "--output", theirs) == cid_text(root)
    assert theirs.read_bytes() == b"".join(car.chunks(root))
    assert oracles.ask("root", file) == [{"root": cid_text(root), "tsize": tsize}]


@pytest.mark.parametrize("left_out", [[b"sub-01.txt"], []])
def test_a_tree_has_the_car_that_ipfs_car_packs(
    oracles: Oracles, tmp_path: Path, left_out: list[bytes]
) -> None:
    tree = {path: what for path, what in FILES.items() if path not in left_out}
    folder = write_tree(tmp_path / "tree", tree)
    root = (car := CarMade()).put_tree(tree)
    theirs = tmp_path / "theirs.car"
    packed = oracles.ipfs_car("pack", folder, "--no-wrap", "--hidden", "--output", theirs)
    assert packed == cid_text(root)
    assert oracles.ask("root", folder)[0]["root"] == cid_text(root)
    # It sorts whole paths, so sub-01.txt comes before sub-01/…; a folder of ours sorts its names.
    is_same = theirs.read_bytes() == b"".join(car.chunks(root))
    assert is_same == bool(left_out)
    assert theirs.stat().st_size == car.size


def test_ipfs_car_unpacks_what_we_write(oracles: Oracles, tmp_path: Path) -> None:
    root = (car := CarMade()).put_tree(FILES)
    ours = write_car(tmp_path / "ours.car", car, root)
    out = tmp_path / "out"
    oracles.ipfs_car("unpack", ours, "--output", out)
    found = {os.fsencode(f.relative_to(out)): f.read_bytes() for f in out.rglob("*") if f.is_file()}
    assert found == FILES


@pytest.mark.parametrize("words", ["car", "car&car-dups=n"])
def test_ipfs_car_unpacks_what_our_gateway_gives(
    oracles: Oracles, tmp_path: Path, words: str
) -> None:
    write_tree(tmp_path / "scans", FILES)
    archive = archive_of_folder(bytes(tmp_path / "scans"), bytes(tmp_path / "state"))
    archive_pack(archive, piece_size=4 << 20)
    served = ServedArchive(archive)
    server = ArchiveServer(served, Access(Rights.READ, Rights.READ), Listening())
    threading.Thread(target=server.serve_until_stopped, daemon=True).start()
    try:
        url = f"{server.url}/ipfs/{cid_text(served.roots[0])}/?format={words}"
        with urlopen(url) as answer:
            (tmp_path / "given.car").write_bytes(answer.read())
    finally:
        server.stop()
    out = tmp_path / "out"
    oracles.ipfs_car("unpack", tmp_path / "given.car", "--output", out)
    files = out / "files"
    found = {
        os.fsencode(f.relative_to(files)): f.read_bytes() for f in files.rglob("*") if f.is_file()
    }
    assert found == FILES


def test_the_exporter_reads_symlinks_and_empty_folders_of_ours(
    oracles: Oracles, tmp_path: Path
) -> None:
    root = (car := CarMade()).put_tree(TREE)
    found = oracles.ask("tree", write_car(tmp_path / "ours.car", car, root))
    by_name = {entry.pop("name").encode(): entry for entry in found}
    for path, what in TREE.items():
        if what is None:
            assert by_name[path] == {"kind": "folder"}
        elif isinstance(what, Leading):
            assert by_name[path] == {"kind": "symlink", "target": what.target.decode()}
        else:
            assert by_name[path] == {"kind": "file", "sha256": sha256(what).hexdigest()}


def test_the_exporter_reads_a_folder_of_five_thousand(oracles: Oracles, tmp_path: Path) -> None:
    tree: Tree = {b"sub-%06d_bold.nii.gz" % n: b"%d" % n for n in range(5000)}
    root = (car := CarMade()).put_tree(tree)
    found = oracles.ask("tree", write_car(tmp_path / "ours.car", car, root))
    assert {entry["name"].encode(): entry.get("sha256") for entry in found if entry["name"]} == {
        path: sha256(what).hexdigest() for path, what in tree.items() if isinstance(what, bytes)
    }
    folder = write_tree(tmp_path / "tree", tree)
    assert oracles.ask("root", folder)[0]["root"] == cid_text(root)


@pytest.mark.parametrize(
    ("chunk", "width", "size"),
    [(256, 4, 1024), (256, 4, 1025), (256, 4, 20_000), (100, 3, 2701), (10, 3, 970)],
)
def test_a_file_of_many_levels_has_the_same_blocks(
    oracles: Oracles, tmp_path: Path, chunk: int, width: int, size: int
) -> None:
    """In another order at the end: they write a node when it happens to be hashed."""
    ours, theirs = blocks_of(oracles, tmp_path, chunk, width, size)
    assert sorted(theirs) == sorted(ours)


def test_nodes_stand_where_ipfs_car_puts_them(oracles: Oracles, tmp_path: Path) -> None:
    """As for a file of 2,052 MiB, in the small: a node follows the 1,025th leaf and the 2,049th."""
    ours, theirs = blocks_of(oracles, tmp_path, 64, 1024, 64 * 2052 - 5)
    assert theirs == ours
    nodes = [place for place, (cid, _) in enumerate(ours) if cid.startswith("bafy")]
    assert nodes == [1025, 2050, 2054, 2055]


def blocks_of(
    oracles: Oracles, folder: Path, chunk: int, width: int, size: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Our blocks of some content, and those of ipfs-car's writer."""
    data = random.Random(size).randbytes(size)
    file = folder / "content"
    file.write_bytes(data)
    root, tsize = (car := CarMade(Profile("small", chunk, width, 1 << 18))).put_file(data)
    (told,) = oracles.ask("blocks", file, chunk, width)
    assert (told["root"], told["tsize"]) == (cid_text(root), tsize)
    return [[cid_text(cid), block.hex()] for cid, block in car.blocks], told["blocks"]


def test_a_car_of_version_2_is_read_by_others(oracles: Oracles, tmp_path: Path) -> None:
    root = (car := CarMade()).put_tree(TREE)
    first = write_car(tmp_path / "first.car", car, root)
    head, *told = oracles.ask("sections", first)
    assert head == {"version": 1, "roots": [cid_text(root)]}
    assert [entry[:2] for entry in told] == [[cid_text(Cid(cid)), at] for cid, at in car.rows]
    second = tmp_path / "second.car"
    places = CarV2Head(HEAD_SIZE, car.size, HEAD_SIZE + car.size)
    second.write_bytes(encode_v2_head(places) + first.read_bytes() + encode_index(car.rows))
    assert oracles.ask("sections", second)[0] == {"version": 2, "roots": [cid_text(root)]}


def test_cbor_is_written_and_refused_as_others_do(oracles: Oracles) -> None:
    values: list[Value] = [
        {"bb": 1, "c": 2, "aaa": 3, "": None, "é": "é", "zz": [True, False, {}]},
        [0, 23, 24, 255, 256, 65535, 65536, 1 << 32, (1 << 53) - 1, -1, -24, -25, -(1 << 32)],
        [0.5, 1e300, -2.25],
        {"link": Link(raw_cid(b"hello world")), "bytes": bytes(300), "text": "x" * 300},
    ]
    raws = [encode_cbor(value) for value in values]
    dice = random.Random(7)
    changed = []
    for _ in range(3000):
        raw = bytearray(dice.choice(raws[:1] + raws[2:]))
        raw[dice.randrange(min(len(raw), 60))] = dice.randrange(256)
        changed.append(bytes(raw))
    told = oracles.ask(
        "again", "@ipld/dag-cbor", told="\n".join(raw.hex() for raw in [*raws, *changed])
    )
    assert told[: len(raws)] == [raw.hex() for raw in raws]
    for raw, theirs in zip(changed, told[len(raws) :], strict=True):
        try:
            decode_cbor(raw)
        except ProtocolError:
            continue
        # JavaScript writes whole floats as integers, and has no numbers between 2^53 and 2^64.
        if b"\xfb" not in raw and b"\x1b" not in raw and b"\x3b" not in raw:
            assert theirs == raw.hex()


def is_text(name: bytes) -> bool:
    return name == name.decode("utf-8", "ignore").encode()


def test_nodes_are_read_and_written_as_others_do(oracles: Oracles) -> None:
    car = CarMade(Profile("small", 64, 5, 300))
    car.put_tree({**FILES, b"sub-01/anat/T1w.nii": content(900), b"sub-01/func/bold.nii": b""})
    raws = [block.data for block in car.blocks if block.cid[1] == 0x70]
    dice = random.Random(8)
    changed = []
    for _ in range(3000):
        raw = bytearray(dice.choice(raws))
        raw[dice.randrange(len(raw))] = dice.randrange(256)
        changed.append(bytes(raw))
    told = oracles.ask(
        "again", "@ipld/dag-pb", told="\n".join(raw.hex() for raw in [*raws, *changed])
    )
    assert told[: len(raws)] == [raw.hex() for raw in raws]
    both = 0
    for raw, theirs in zip(changed, told[len(raws) :], strict=True):
        try:
            node = decode_node(raw)
        except ProtocolError:
            continue
        # JavaScript cannot say a name that is not UTF-8; it is refused later, in folders.
        if theirs is not None and all(is_text(link.name or b"") for link in node.links):
            both += 1
            assert theirs == encode_node(node).hex() == raw.hex()
    assert both > 300
