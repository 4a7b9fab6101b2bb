"""The comparator of real data sets finds what is planted, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CONFORMANCE = Path(__file__).resolve().parents[2] / "bench" / "conformance"
WEB = "00000000-0000-0000-0000-000000000001"
TAPE = "8d2b6e96-ad81-44a5-99b4-0ec37d6b3800"
OLD = "b5dd2e3d-825f-4bc2-b719-cba1059f6bfc"
SCAN = "MD5E-s5663237--4608ffbd6b78ce3a325eb338fa556589.nii.gz"
NOTE = "URL--http&c%%example.org%note"

Records = list[dict[str, Any]]


def load(name: str) -> ModuleType:
    """A script of bench/conformance as a module."""
    spec = importlib.util.spec_from_file_location(name, CONFORMANCE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


real = load("real_datasets")


def place(uuid: str, description: str, *, here: bool = False, urls: tuple[str, ...] = ()) -> Any:
    return {"uuid": uuid, "description": description, "here": here, "urls": list(urls)}


ANNEX_WHEREIS: Records = [
    {
        "command": "whereis",
        "file": "sub-01/T1w.nii.gz",
        "key": SCAN,
        "success": True,
        "untrusted": [place(OLD, "root@old:/data")],
        "whereis": [place(TAPE, "tape [origin]"), place("me", "x", here=True)],
    },
    {
        "command": "whereis",
        "file": "not\ufffdutf8",
        "key": NOTE,
        "success": True,
        "untrusted": [],
        "whereis": [place(WEB, "web", urls=("http://example.org/note",))],
    },
]
ANNEX_FIND: Records = [
    {"file": "sub-01/T1w.nii.gz", "key": SCAN, "backend": "MD5E", "bytesize": "5663237"},
    {"file": "not\ufffdutf8", "key": NOTE, "backend": "URL", "bytesize": "unknown"},
]
ANNEX_INFO: Records = [
    {
        "annexed files in working tree": 2,
        "size of annexed files in working tree": "5663237",
        "local annex keys": 0,
        "semitrusted repositories": [
            place(WEB, "web"),
            place("me", "x", here=True),
            place(TAPE, "tape [origin]"),
        ],
        "trusted repositories": [],
        "untrusted repositories": [place(OLD, "root@old:/data")],
    }
]
TRACKED = [("100644", "README"), ("120000", "sub-01/T1w.nii.gz"), ("160000", "inputs")]
TRACKED_ANNEX: Records = ANNEX_FIND[:1]


def hold_whereis() -> Records:
    """What hold says on the same, as it says it: other names, surrogates for odd bytes."""
    records = [
        {
            "action": "whereis",
            "status": "ok",
            "path": record["file"].replace("\ufffd", "\udcff"),
            "key": record["key"],
            "places": list(reversed(deepcopy(record["whereis"]))),
            "untrusted": deepcopy(record["untrusted"]),
        }
        for record in ANNEX_WHEREIS
    ]
    for known in (p for record in records for p in record["places"]):
        known["description"] = known["description"].removesuffix(" [origin]")
        known["uuid"] = "mine" if known["here"] else known["uuid"]
    return records


def hold_find() -> Records:
    return [
        {
            "action": "find",
            "status": "ok",
            "path": record["file"].replace("\ufffd", "\udcff"),
            "key": record["key"],
            "backend": record["backend"],
            "size": int(record["bytesize"]) if record["bytesize"].isdigit() else None,
            "present": False,
        }
        for record in ANNEX_FIND
    ]


def hold_info() -> Records:
    return [
        {
            "action": "info",
            "status": "ok",
            "annexed_files": 2,
            "annexed_bytes": 5663237,
            "local_keys": 0,
            "uuid": "mine",
            "places": [
                place(OLD, "root@old:/data"),
                place("mine", "here", here=True),
                place(TAPE, "tape"),
            ],
        }
    ]


def hold_status() -> Records:
    scan = {"key": SCAN, "size": 5663237, "present": False}
    return [
        {"action": "status", "status": "ok", "path": "README", "state": "clean", "type": "file"},
        {
            "action": "status",
            "status": "ok",
            "path": "sub-01/T1w.nii.gz",
            "state": "clean",
            "type": "file",
            **scan,
        },
        {"action": "status", "status": "ok", "path": "inputs", "state": "x", "type": "dataset"},
    ]


def compare_whereis(records: Records) -> list[Any]:
    theirs = real.whereis_of_annex(ANNEX_WHEREIS)
    return real.compare("whereis", real.whereis_of_hold(records), theirs)


def compare_find(records: Records) -> list[Any]:
    return real.compare("find", real.find_of_hold(records), real.find_of_annex(ANNEX_FIND))


def compare_info(records: Records) -> list[Any]:
    return real.compare("info", real.info_of_hold(records), real.info_of_annex(ANNEX_INFO))


def compare_status(records: Records) -> list[Any]:
    theirs = real.status_of_git(TRACKED, TRACKED_ANNEX)
    return real.compare("status", real.status_of_hold(records), theirs)


CASES: list[tuple[Callable[[], Records], Callable[[Records], list[Any]]]] = [
    (hold_whereis, compare_whereis),
    (hold_find, compare_find),
    (hold_info, compare_info),
    (hold_status, compare_status),
]


@pytest.mark.parametrize(("said", "compared"), CASES)
def test_equal_answers_in_other_words_do_not_differ(
    said: Callable[[], Records], compared: Callable[[Records], list[Any]]
) -> None:
    assert compared(said()) == []


@pytest.mark.parametrize(("said", "compared"), CASES)
def test_an_answer_left_out_is_found(
    said: Callable[[], Records], compared: Callable[[Records], list[Any]]
) -> None:
    assert len(compared(said()[1:])) >= 1


@pytest.mark.parametrize(("said", "compared"), [CASES[0], CASES[1], CASES[3]])
def test_an_answer_given_twice_is_found(
    said: Callable[[], Records], compared: Callable[[Records], list[Any]]
) -> None:
    records = said()
    assert len(compared([*records, records[0]])) == 1


PLANTED: list[
    tuple[Callable[[], Records], Callable[[Records], list[Any]], tuple[Any, ...], Any]
] = [
    (hold_whereis, compare_whereis, (0, "key"), NOTE),
    (hold_whereis, compare_whereis, (0, "places", 0, "here"), False),
    (hold_whereis, compare_whereis, (0, "places", 1, "uuid"), OLD),
    (hold_whereis, compare_whereis, (0, "places", 1, "description"), "Tape"),
    (hold_whereis, compare_whereis, (0, "untrusted"), []),
    (hold_whereis, compare_whereis, (1, "places", 0, "urls"), []),
    (hold_whereis, compare_whereis, (1, "path"), "not?utf8"),
    (hold_find, compare_find, (0, "size"), 5663238),
    (hold_find, compare_find, (0, "size"), None),
    (hold_find, compare_find, (1, "size"), 0),
    (hold_find, compare_find, (1, "backend"), "WORM"),
    (hold_info, compare_info, (0, "annexed_files"), 3),
    (hold_info, compare_info, (0, "annexed_bytes"), 5663236),
    (hold_info, compare_info, (0, "local_keys"), 1),
    (hold_info, compare_info, (0, "uuid"), ""),
    (hold_info, compare_info, (0, "places", 0, "uuid"), "another"),
    (hold_status, compare_status, (0, "state"), "modified"),
    (hold_status, compare_status, (0, "key"), SCAN),
    (hold_status, compare_status, (1, "state"), "deleted"),
    (hold_status, compare_status, (1, "present"), True),
    (hold_status, compare_status, (1, "size"), 1),
    (hold_status, compare_status, (2, "type"), "file"),
]


@pytest.mark.parametrize(("said", "compared", "where", "value"), PLANTED)
def test_a_planted_difference_is_found(
    said: Callable[[], Records],
    compared: Callable[[Records], list[Any]],
    where: tuple[Any, ...],
    value: Any,
) -> None:
    records: Any = said()
    inner = records
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    assert compared(records)


def test_the_listing_of_git_is_read_with_odd_names() -> None:
    listing = b"100644 abc 0\ta\tb\n\xff\x00160000 def 0\tinputs\x00"
    assert real.read_entries(listing) == [("100644", "a\tb\n\ufffd"), ("160000", "inputs")]
