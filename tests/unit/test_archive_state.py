"""What is noted of an archive is there again when it is opened again."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from holdfast.archive.commitment import GROUP
from holdfast.archive.known_index import KnownIndex, KnownRow, encode_row
from holdfast.archive.plan_file import Plan, write_plan
from holdfast.archive.plan_records import FolderRecord, OpenedRecord, PlanHead
from holdfast.archive.snapshot_state import DonePiece, SnapshotState
from holdfast.core.errors import ConflictError
from holdfast.dataset.sorted_spill import SortedSpill
from holdfast.wire.cid import Cid, raw_cid

CIDS = [raw_cid(b"%d" % number) for number in range(5)]


def test_cids_are_found_by_number_before_and_after_they_are_on_the_disk(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "snapshot")
    state = SnapshotState(folder)
    for cid in CIDS[:2]:
        state.add(cid)
    state.flush()
    for cid in CIDS[2:]:
        state.add(cid)
    assert [state.cid(number) for number in range(5)] == CIDS
    state.close()
    again = SnapshotState(folder)
    assert [again.cid(number) for number in range(5)] == CIDS
    again.cut(3, 0)
    again.add(CIDS[0])
    assert (again.cid(2), again.cid(3)) == (CIDS[2], CIDS[0])
    again.close()


def test_after_another_start_of_the_machine_only_finished_pieces_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = SnapshotState(os.fsencode(tmp_path))
    state.end_piece(DonePiece(b"cid", 10, CIDS[0], b"a", b"b", b""))
    assert state.resume_at(b"") == 0
    (tmp_path / "piece-1.roots").write_bytes(bytes(32 * 7 + 5))
    assert state.resume_at(b"") == 7 * GROUP
    monkeypatch.setattr("holdfast.archive.snapshot_state._machine", lambda: "another start")
    assert state.resume_at(b"") == 0
    state.close()
    assert len(SnapshotState(os.fsencode(tmp_path)).pieces) == 1


def test_a_piece_whose_file_is_gone_is_made_anew(tmp_path: Path) -> None:
    part = os.fsencode(tmp_path / "part")
    state = SnapshotState(os.fsencode(tmp_path / "state"))
    state.resume_at(part)
    (tmp_path / "state/piece-0.roots").write_bytes(bytes(32))
    (tmp_path / "part").touch()
    assert state.resume_at(part) == GROUP
    (tmp_path / "part").unlink()
    assert state.resume_at(part) == 0
    (tmp_path / "part").touch()
    assert state.resume_at(part) == 0
    state.close()


def test_the_index_finds_what_was_added_and_keeps_what_was_there(tmp_path: Path) -> None:
    index = KnownIndex(os.fsencode(tmp_path / "index"))
    assert index.find(bytes(32)) is None and list(index) == []
    for snapshot in range(2):
        with SortedSpill(os.fsencode(tmp_path)) as rows:
            for number in range(50 * snapshot, 100):
                cid = Cid(CIDS[snapshot])
                rows.add(encode_row(KnownRow(_identity(number), cid, number, snapshot, 0, 59, 1)))
            index.add(rows)
    found = [index.find(_identity(number)) for number in range(100)]
    assert [row and (row.size, row.snapshot) for row in found] == [(n, 0) for n in range(100)]
    assert index.find(_identity(100)) is None
    assert [identity for identity, _ in index] == sorted(map(_identity, range(100)))


def _identity(number: int) -> bytes:
    return (number * 7919 % 257).to_bytes(32, "big")


@pytest.mark.parametrize("damage", [b"", b"x\n", b'["plan",9,{}]\n12345678'])
def test_a_plan_that_cannot_be_read_is_told_in_four_lines(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "plan"
    write_plan(os.fsencode(path), PlanHead("id", 0, "now"), [])
    assert Plan(os.fsencode(path)).head == PlanHead("id", 0, "now")
    path.write_bytes(damage)
    with pytest.raises(ConflictError) as raised:
        Plan(os.fsencode(path))
    assert raised.value.code == "H902"


def test_a_plan_of_the_first_format_which_has_no_runs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    records = [OpenedRecord(b"files"), FolderRecord(0, b"files", b"", 1, None, 59, 40)]
    write_plan(os.fsencode(path), PlanHead("id", 0, "now"), records)
    written = path.read_bytes()
    assert written.startswith(b'["plan", 2, ')
    path.write_bytes(written.replace(b'["plan", 2, ', b'["plan", 1, ', 1))
    assert list(Plan(os.fsencode(path))) == records


def test_an_interrupt_between_two_steps_of_noting_moves_no_cid_to_another_number(
    tmp_path: Path,
) -> None:
    """Python takes an interrupt between any two of its own steps: each of these is tried."""
    steps = 0
    while True:
        steps += 1
        state = SnapshotState(os.fsencode(tmp_path / f"{steps}"))
        state.add(CIDS[0])
        state.flush()
        left = steps

        def trace(frame: FrameType, what: str, _: object) -> object:
            nonlocal left
            if frame.f_code.co_name not in ("add", "add_many"):
                return None
            frame.f_trace_opcodes = True
            if what == "opcode":
                left -= 1
                if not left:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            with suppress(KeyboardInterrupt):
                state.add(CIDS[1])
                state.add_many(CIDS[2:])
        finally:
            sys.settrace(before)
        state.close()
        again = SnapshotState(os.fsencode(tmp_path / f"{steps}"))
        count = again.count
        assert count >= 1 and [again.cid(number) for number in range(count)] == CIDS[:count]
        again.close()
        if left > 0:
            break
    assert steps > 5
