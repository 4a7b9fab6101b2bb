"""What is said of content, by what places answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.archive.check_report import MENDED, CheckReport, Mended
from holdfast.archive.verdicts import (
    Checked,
    Finding,
    Pointer,
    Totals,
    UrlFinding,
    Verdict,
    needs_mending,
    of_urls,
    verdict_of,
)
from holdfast.cli.text import percent
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence, Trust

HERE, TAPE, SHELF = (Place(PlaceId(name), name) for name in ("here", "tape", "shelf"))
LOOSE = Place(PlaceId("loose"), "loose", Trust.UNTRUSTED)
SEEN, GONE, SILENT = Presence.PRESENT, Presence.ABSENT, Presence.UNKNOWN


def said(place: Place, presence: Presence, *, claimed: bool = True) -> Finding:
    return Finding(place, claimed, presence)


def checked(*findings: Finding, needed: int = 1, name: bytes = b"a") -> Checked:
    pointer = Pointer(Key(b"SHA256-s10--" + name), (name + b".txt",), needed)
    return Checked(pointer, findings)


@pytest.mark.parametrize(
    ("findings", "needed", "verdict"),
    [
        ((), 1, Verdict.DEAD),
        ((said(TAPE, GONE),), 1, Verdict.DEAD),
        ((said(TAPE, GONE), said(SHELF, SILENT)), 1, Verdict.DOUBTFUL),
        ((said(TAPE, SEEN), said(SHELF, SILENT)), 1, Verdict.SAFE),
        ((said(TAPE, SEEN), said(SHELF, SILENT)), 2, Verdict.FEW),
        ((said(TAPE, SEEN), said(SHELF, SEEN)), 2, Verdict.SAFE),
        ((said(TAPE, SEEN, claimed=False),), 1, Verdict.SAFE),
        ((said(LOOSE, SEEN),), 1, Verdict.FEW),
        ((said(LOOSE, SEEN), said(TAPE, SEEN)), 1, Verdict.SAFE),
    ],
)
def test_what_was_seen_decides(
    findings: tuple[Finding, ...], needed: int, verdict: Verdict
) -> None:
    assert verdict_of(findings, needed) is verdict


def test_one_place_reached_in_two_ways_is_one_copy() -> None:
    assert checked(said(TAPE, SEEN), said(TAPE, SEEN), needed=2).verdict is Verdict.FEW


def test_what_is_here_is_not_brought_again() -> None:
    assert not needs_mending(checked(said(HERE, SEEN), needed=2), HERE.id)
    assert needs_mending(checked(said(TAPE, SEEN), needed=2), HERE.id)
    assert needs_mending(checked(said(TAPE, GONE)), HERE.id)
    assert needs_mending(checked(said(TAPE, SILENT)), HERE.id)
    assert not needs_mending(checked(said(TAPE, SEEN)), HERE.id)


def test_what_only_an_unknown_place_has_is_brought_so_that_it_is_hashed() -> None:
    assert needs_mending(checked(said(TAPE, GONE), said(SHELF, SEEN, claimed=False)), HERE.id)


def test_one_good_url_is_enough_and_one_unsure_one_leaves_doubt() -> None:
    dead, unsure = UrlFinding("http://a/", GONE, "404"), UrlFinding("http://b/", SILENT, "500")
    assert of_urls([dead, unsure, UrlFinding("http://c/", SEEN)]) == (SEEN, "")
    assert of_urls([dead, unsure]) == (SILENT, "500")
    assert of_urls([dead]) == (GONE, "404")
    assert of_urls([]) == (GONE, "no URL is known")


def test_places_are_counted_by_what_they_claim_and_answer() -> None:
    totals = Totals()
    totals.add(checked(said(TAPE, SEEN), said(SHELF, GONE), name=b"a"))
    totals.add(checked(said(TAPE, SILENT), said(SHELF, SEEN, claimed=False), name=b"b"))
    tape, shelf = totals.places[TAPE.id], totals.places[SHELF.id]
    assert (tape.claims, tape.confirmed, tape.refuted, tape.unreachable) == (2, 1, 0, 1)
    assert (shelf.claims, shelf.refuted, shelf.found) == (1, 1, 1)
    assert totals.share(Verdict.SAFE) == 1.0 and totals.by_copies[1].keys == 2


def test_a_report_has_every_file_that_is_not_safe_by_path(tmp_path: Path) -> None:
    with CheckReport(bytes(tmp_path)) as report:
        for name in (b"z", b"m", b"a\xff"):
            report.add(checked(said(TAPE, GONE), name=name), prefix="in/")
        report.add(checked(said(TAPE, SEEN), name=b"good"))
        assert report.exit_code == 1
        paths = [trouble.path for trouble in report.iter_troubles(Verdict.DEAD)]
        assert paths == ["in/a\udcff.txt", "in/m.txt", "in/z.txt"]
        assert list(report.iter_troubles(MENDED)) == []
        report.add(checked(said(HERE, SEEN), name=b"b"), Mended("tape", done=True))
        assert [trouble.done for trouble in report.iter_troubles(MENDED)] == ["from tape"]


def test_doubt_alone_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    with CheckReport(bytes(tmp_path)) as report:
        assert report.exit_code == 0
        report.add(checked(said(TAPE, SILENT)))
        assert report.exit_code == 3


def test_nearly_all_is_not_told_as_all() -> None:
    assert [percent(share) for share in (0.0, 0.00001, 0.5, 0.99999, 1.0)] == [
        "0 %", "0.1 %", "50.0 %", "99.9 %", "100 %",
    ]  # fmt: skip
