"""`git-annex-remote-holdfast`, spoken to line by line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from holdfast_program import write_program

KEY = "SHA256E-s3--ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def talk(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Says lines to the program, all at once, and gives what it says."""
    program = write_program(tmp_path / "bin")

    def run(*lines: str) -> list[str]:
        done = subprocess.run(
            [program], input="".join(f"{line}\n" for line in lines), text=True,
            capture_output=True, timeout=60, cwd=tmp_path, check=False,
        )  # fmt: skip
        return done.stdout.splitlines()

    return run


@pytest.fixture
def host(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A host that answers what the program asks; gives the ends of requests."""
    program = write_program(tmp_path / "bin")
    config = {"store": "directory", "directory": str(tmp_path / "store")}
    (tmp_path / "store").mkdir()

    def ask(*requests: str) -> list[str]:
        running = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert running.stdin is not None and running.stdout is not None

        def say(words: str) -> None:
            running.stdin.write(words + "\n")  # type: ignore[union-attr]
            running.stdin.flush()  # type: ignore[union-attr]

        def hear() -> str:
            return running.stdout.readline().rstrip("\n")  # type: ignore[union-attr]

        assert hear() == "VERSION 1"
        say("EXTENSIONS INFO")
        assert hear().startswith("EXTENSIONS ")
        ends = []
        for request in requests:
            say(request)
            while (said := hear()).startswith(("GET", "PROGRESS")):
                word, _, rest = said.partition(" ")
                if word != "PROGRESS":
                    values = {"GETUUID": "u-1", "GETGITDIR": ".git"}
                    say(f"VALUE {values.get(word, config.get(rest, ''))}")
            ends.append(said)
        running.stdin.close()
        assert running.wait(20) == 0
        return ends

    return ask


def test_it_greets_its_host_as_it_is_greeted_and_ends_with_it(talk) -> None:  # type: ignore[no-untyped-def]
    assert talk("EXTENSIONS INFO ASYNC FLY")[:2] == ["VERSION 1", "EXTENSIONS INFO ASYNC"]
    assert talk("EXTENSIONS INFO") == ["VERSION 1", "EXTENSIONS INFO"]
    assert talk() == ["VERSION 1"]


def test_what_is_no_protocol_is_an_error(talk) -> None:  # type: ignore[no-untyped-def]
    assert talk("hello")[-1].startswith("ERROR ")
    assert talk("TRANSFER UP key file")[-1].startswith("ERROR ")


def test_content_is_checked_both_ways_without_async(host, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a b").write_bytes(b"abc")
    (tmp_path / "wrong").write_bytes(b"abd")
    wrong, stored, there, brought, removed, gone, not_there = host(
        "PREPARE",
        f"TRANSFER STORE {KEY} wrong",
        f"TRANSFER STORE {KEY} a b",
        f"CHECKPRESENT {KEY}",
        f"TRANSFER RETRIEVE {KEY} back again",
        f"REMOVE {KEY}",
        f"CHECKPRESENT {KEY}",
        f"TRANSFER RETRIEVE {KEY} nothing",
    )[1:]
    assert wrong.startswith(f"TRANSFER-FAILURE STORE {KEY} ")
    assert stored == f"TRANSFER-SUCCESS STORE {KEY}"
    assert there == f"CHECKPRESENT-SUCCESS {KEY}"
    assert brought == f"TRANSFER-SUCCESS RETRIEVE {KEY}"
    assert (tmp_path / "back again").read_bytes() == b"abc"
    assert removed == f"REMOVE-SUCCESS {KEY}"
    assert gone == f"CHECKPRESENT-FAILURE {KEY}"
    assert not_there.startswith(f"TRANSFER-FAILURE RETRIEVE {KEY} ")


def test_what_it_does_not_do_it_says(host) -> None:  # type: ignore[no-untyped-def]
    assert host("PREPARE", "EXPORTSUPPORTED", "IMPORTSUPPORTED", "FLY HIGH", "CLAIMURL x:y") == [
        "PREPARE-SUCCESS",
        "EXPORTSUPPORTED-SUCCESS",
        "IMPORTSUPPORTED-FAILURE",
        "UNSUPPORTED-REQUEST",
        "CLAIMURL-FAILURE",
    ]


def test_nothing_is_loaded_before_it_greets() -> None:
    script = (
        "import sys; bare = set(sys.modules); import holdfast.cli.remote_program;"
        "print(*sorted(set(sys.modules) - bare))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"dataclasses", "hashlib", "json", "subprocess", "tempfile", "urllib"}
    assert not {name for name in loaded if name.startswith(("holdfast.stores", "holdfast.api"))}
