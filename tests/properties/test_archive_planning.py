"""What the packer writes is byte for byte where the plan said it would be."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.archive.commitment import GROUP, piece_cid
from holdfast.archive.entries import Entry, FileRun, key_identity, one_by_one
from holdfast.archive.folder_entries import FolderSources, iter_folder
from holdfast.archive.packing import Packer
from holdfast.archive.piece_making import EMPTY_FOLDER
from holdfast.archive.plan_file import Plan, write_plan
from holdfast.archive.plan_records import (
    FileRecord,
    FolderRecord,
    PieceRecord,
    PlanHead,
    RunRecord,
)
from holdfast.archive.planning import plan_pieces
from holdfast.archive.repeats import Step, iter_steps
from holdfast.archive.snapshot_state import DonePiece, SnapshotState
from holdfast.core.progress import Silence
from holdfast.testing.kernels import every_kernel
from holdfast.wire.archive_manifest import FOOTER_SIZE, MANIFEST_MAX, decode_footer, decode_manifest
from holdfast.wire.archive_rows import PartKind, RowKind, decode_rows
from holdfast.wire.car import CarReader
from holdfast.wire.cid import Cid
from holdfast.wire.file_layout import FileBuilder
from holdfast.wire.piece import PLAIN, Kernel, commit
from holdfast.wire.piece_cid import write_v2
from holdfast.wire.tree_layout import TreeBuilder, tree_order
from holdfast.wire.unixfs import Profile

SMALL = Profile("small", 256, 4, 1 << 18)
HEAD = PlanHead("id", 0, "2026-01-01T00:00:00Z", piece_size=1 << 15)


class Tree:
    """A folder of files, packed into small pieces."""

    def __init__(self, folder: Path, contents: dict[str, bytes], seed: int = 0) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        for name, data in contents.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.out = folder / "out"
        self.out.mkdir()
        self.state_folder = os.fsencode(folder / "state")

    def plan(self, head: PlanHead = HEAD, known: Sequence[tuple[bytes, Cid]] = ()) -> Plan:
        state = SnapshotState(self.state_folder)
        steps = iter_steps(self.entries(), known, self.state_folder)
        write_plan(state.plan_path, head, plan_pieces(head, steps, SMALL))
        state.close()
        return Plan(state.plan_path)

    def entries(self) -> Iterator[Entry]:
        return one_by_one(iter_folder(os.fsencode(self.source)))

    def pack(self, *, write: bool = True) -> tuple[Cid, list[DonePiece]]:
        state = SnapshotState(self.state_folder)
        sources = FolderSources(os.fsencode(self.source), self.state_folder)
        folder = os.fsencode(self.out) if write else b""
        packer = Packer(
            Plan(state.plan_path), state, sources, PLAIN, Silence(),
            folder=folder, profile=SMALL,
        )  # fmt: skip
        try:
            pieces = list(packer.run())
            return packer.root, pieces
        finally:
            state.close()


SIZES = st.one_of(
    st.integers(0, 3000), st.sampled_from([0, 255, 256, 257, 1024, 1025, 1280, 40_000, 70_001])
)
NAMES = st.text("ab.-", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _trees(sizes: dict[str, int]) -> dict[str, int]:
    """Without files that are in the way of folders."""
    folders = {path[:at] for path in sizes for at in range(len(path)) if path[at] == "/"}
    return {path: size for path, size in sizes.items() if path not in folders}


TREES = st.dictionaries(PATHS, SIZES, max_size=12).map(_trees)


def _bytes(sizes: dict[str, int]) -> dict[str, bytes]:
    return {path: random.Random(path).randbytes(size) for path, size in sizes.items()}


@settings(max_examples=40, deadline=None)
@given(TREES)
def test_every_block_is_where_the_plan_said(sizes: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder), _bytes(sizes))
        plan = tree.plan()
        root, pieces = tree.pack()
        ends = [record for record in plan if isinstance(record, PieceRecord)]
        assert len(ends) == len(pieces)
        cars = [Path(os.fsdecode(piece.path)).read_bytes() for piece in pieces]
        for number, (end, piece, car) in enumerate(zip(ends, pieces, cars, strict=True)):
            assert len(car) == end.size == piece.size
            last = number + 1 == len(cars)
            assert CarReader([car]).roots == [root if last else EMPTY_FOLDER]
            _check_tail(end, piece, car, root if last else None)
        _check_files(plan, tree, cars)
        assert _root_of(plan, tree) == root
        assert sorted(os.listdir(tree.out)) == sorted(
            os.path.basename(os.fsdecode(piece.path)) for piece in pieces
        )


def _check_tail(end: PieceRecord, piece: DonePiece, car: bytes, root: Cid | None) -> None:
    sections = list(CarReader([car]))
    roots = PLAIN.roots(car[: len(car) // GROUP * GROUP])
    wanted = piece_cid(
        [roots[at : at + 32] for at in range(0, len(roots), 32)],
        car[len(car) // GROUP * GROUP :],
        len(car),
    )
    assert piece.cid == wanted
    footer = decode_footer(car[-FOOTER_SIZE:], len(car))
    assert (footer.index_offset, footer.index_length) == (end.index_offset, end.index_length)
    assert (footer.manifest_offset, footer.manifest_length) == (
        end.manifest_offset, end.manifest_length,
    )  # fmt: skip
    at = footer.manifest_offset
    manifest = decode_manifest(car[at : at + footer.manifest_length])
    assert manifest.root == root
    assert manifest.number == len(manifest.pieces) == end.number
    by_start = {section.start: section for section in sections}
    for part in manifest.parts:
        assert by_start[part.offset].cid == part.cid
        if part.kind is PartKind.ROWS:
            rows = decode_rows(by_start[part.offset].block)
            assert rows[0].path == part.first


def _check_files(plan: Plan, tree: Tree, cars: list[bytes]) -> None:
    """The sections of each file, joined over the pieces, are those of its layout."""
    piece, found = 0, dict[bytes, bytes]()
    for record in plan:
        if isinstance(record, PieceRecord):
            piece += 1
        elif isinstance(record, FileRecord):
            part = cars[piece][record.offset : record.offset + record.length]
            found[record.path] = found.get(record.path, b"") + part
    for path, sections in found.items():
        data = (tree.source / os.fsdecode(path.removeprefix(b"files/"))).read_bytes()
        leaves = b"".join(
            section.block
            for section in CarReader([cars[0][:59], sections])
            if section.cid[1] == 0x55
        )
        assert leaves == data


def _root_of(plan: Plan, tree: Tree) -> Cid:
    """By the blocks' own code, without pieces."""
    from hashlib import sha256

    builder = TreeBuilder(SMALL)
    for entry in tree.entries():
        if entry.kind is None:
            builder.reach_folder(entry.path)
            continue
        data = (tree.source / os.fsdecode(entry.path.removeprefix(b"files/"))).read_bytes()
        file = FileBuilder(len(data), SMALL)
        for at in range(0, len(data) or 1, SMALL.chunk_size):
            file.add(sha256(data[at : at + SMALL.chunk_size]).digest())
        builder.reach(entry.path)
        builder.add(file.root, file.tsize)
    builder.finish()
    return builder.root.cid


RUNS = st.lists(st.integers(0, 300), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "a/b", "a/b-c", "d"]), RUNS), st.data())
def test_a_plan_in_runs_says_what_files_one_by_one_would(
    folders: dict[str, list[int]], data: st.DataObject
) -> None:
    entries = [Entry(b"x", None, 0, 0)]
    for folder, sizes in sorted(folders.items(), key=lambda item: tree_order(item[0].encode())):
        for number, size in enumerate(sizes):
            path = f"{folder}/{number:03}.x".encode()
            kind = RowKind.GIT if size % 5 == 0 else RowKind.ANNEXED
            key = None if kind is RowKind.GIT else b"MD5-s%d--%032d" % (size, size)
            identity = b"" if key is None or size % 3 == 0 else key_identity(key)
            entries.append(Entry(path, kind, 0o100644, size, key, "0" * 40, identity))
    entries.sort(key=lambda entry: tree_order(entry.path))
    head = HEAD._replace(piece_size=data.draw(st.sampled_from([1 << 14, 1 << 15, 1 << 22])))
    with tempfile.TemporaryDirectory() as folder:
        steps = list(iter_steps(entries, (), os.fsencode(folder)))
        single = list[Step]()
        for number, what, ref in steps:
            each = what.entries() if isinstance(what, FileRun) else [what]
            single += [Step(number + at, one, ref) for at, one in enumerate(each)]
        path = os.fsencode(folder) + b"/plan"
        write_plan(path, head, plan_pieces(head, steps, SMALL))
        in_runs, summary = list(Plan(path)), Plan(path).summary
        placed = [record for _, record in Plan(path).iter_placed()]
        for run in Plan(path).in_runs():
            if isinstance(run, RunRecord):
                assert [run.record(at) for at in range(len(run.names))] == run.records()
        write_plan(path, head, plan_pieces(head, single, SMALL))
        assert in_runs == placed == list(Plan(path))
        assert summary._replace(starts=()) == Plan(path).summary._replace(starts=())


def test_pieces_are_full_when_there_is_enough(tmp_path: Path) -> None:
    sizes = {f"d{number // 20}/f{number}": 900 for number in range(600)}
    sizes["huge"] = 900_000
    head = HEAD._replace(piece_size=1 << 18)
    ends = [r for r in Tree(tmp_path, _bytes(sizes)).plan(head) if isinstance(r, PieceRecord)]
    assert len(ends) > 5
    for end in ends[:-1]:
        # A leaf and its node are 0.2 % of such a piece.
        assert end.size > 0.99 * head.payload_max


@settings(max_examples=30, deadline=None)
@given(TREES, st.data())
def test_a_packer_stopped_anywhere_goes_on_to_the_same_pieces(
    sizes: dict[str, int], data: st.DataObject
) -> None:
    sizes["z"] = 200_000
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder), _bytes(sizes))
        tree.plan(HEAD._replace(piece_size=1 << 17))
        root, pieces = tree.pack()
        for piece in pieces:
            os.unlink(piece.path)
        done = data.draw(st.integers(0, len(pieces) - 1))
        state = SnapshotState(tree.state_folder)
        state.rewind(done, 0)
        state.close()
        assert tree.pack() == (root, pieces)


def test_content_that_is_known_or_repeats_is_only_linked(tmp_path: Path) -> None:
    class Keyed(Tree):
        def entries(self) -> Iterator[Entry]:
            for entry in super().entries():
                if entry.kind is RowKind.PLAIN:
                    data = (self.source / os.fsdecode(entry.path[6:])).read_bytes()
                    yield entry._replace(identity=key_identity(data))
                else:
                    yield entry

    contents = {"a/one": b"1", "a/two": b"2" * 700, "b/one": b"1", "b/two": b"2" * 700, "c": b"3"}
    tree = Keyed(tmp_path, contents)
    plan = tree.plan()
    tree.pack()
    records = [r for r in plan if isinstance(r, FileRecord | FolderRecord)]
    written = [record.path for record in records if record.ref is None]
    assert written == [b"files/a/one", b"files/a/two", b"files/a", b"files/c", b"files", b""]
    assert _root_of(plan, tree) == tree.pack()[0]
    paths = [entry.path for entry in tree.entries()]
    assert paths == sorted(paths, key=tree_order)


def test_any_number_of_threads_and_any_kernel_makes_the_same_pieces(tmp_path: Path) -> None:
    chance = random.Random(3)
    sizes = [0, 1, 100, 65_024, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 9_000_017]
    contents = {f"a/{size}": chance.randbytes(size) for size in sizes}
    contents |= {f"b/{number:04}": chance.randbytes(number % 700) for number in range(1500)}
    tree = Tree(tmp_path, contents)
    state = SnapshotState(tree.state_folder)
    head = HEAD._replace(piece_size=1 << 23)
    steps = iter_steps(tree.entries(), (), tree.state_folder)
    write_plan(state.plan_path, head, plan_pieces(head, steps))
    state.close()
    made = set()
    for kernel in every_kernel().values():
        for lanes in (1, 2, 5):
            state = SnapshotState(tree.state_folder)
            state.rewind(0, 0)
            state.cut(0, 0)
            sources = FolderSources(os.fsencode(tree.source), tree.state_folder)
            packer = Packer(
                Plan(state.plan_path), state, sources, kernel, Silence(),
                folder=os.fsencode(tree.out), lanes=lanes,
            )  # fmt: skip
            pieces = list(packer.run())
            for piece in pieces:
                assert _commitment_of(Path(os.fsdecode(piece.path)), kernel) == piece.cid
            made.add((packer.root, *(piece.cid for piece in pieces)))
            state.close()
    assert len(made) == 1


def _commitment_of(path: Path, kernel: Kernel) -> bytes:
    piece = commit(path.read_bytes(), kernel)
    return write_v2(piece.root, piece.height, piece.padding)


def test_a_piece_ends_before_its_manifest_is_larger_than_it_may_be(tmp_path: Path) -> None:
    count, folder = 300, b"files/" + b"/".join([b"d" * 199] * 19) + b"/"
    assert len(folder) == 6 + 200 * 19

    def entries() -> Iterator[Entry | FileRun]:
        for number in range(count):
            names = [b"%06d" % (512 * number + at) for at in range(512)]
            some = [0o100644] * 512, [0] * 512, [None] * 512, [""] * 512, [b""] * 512
            yield FileRun(folder, names, [int(RowKind.PLAIN)] * 512, *some)

    steps = iter_steps(entries(), [], os.fsencode(tmp_path))
    head = PlanHead("id", 0, "2026-01-01T00:00:00Z")
    pieces, files = [], 0
    for record in plan_pieces(head, steps):
        if isinstance(record, PieceRecord):
            pieces.append(record)
        elif not isinstance(record, FolderRecord):
            files += len(record.names) if isinstance(record, RunRecord) else 1
    assert files == 512 * count
    assert [MANIFEST_MAX * 0.9 < end.manifest_length <= MANIFEST_MAX for end in pieces] == [
        True, False,
    ]  # fmt: skip
