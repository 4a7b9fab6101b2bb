"""Each fault of a program for a special remote: what is told is what docs/faults.md says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_places import below
from network_scene import SECRET, USER, Scene, git, outcome, watched

from holdfast.stores import program
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.fault_table import OF_PROGRAMS

PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.fixture
def scene(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """A data set with a place that the program reaches."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(program, "_GRACE_S", 0.2)
    with FaultProxy(1) as unused:
        scene = Scene(tmp_path / "here", unused, capsys)
        scene.folder.mkdir()
        (there := tmp_path / "there").mkdir()
        scene.hold("create", "--profile", "all-annexed", "--backend", "SHA256E", ".")
        with monkeypatch.context() as known:
            known.setenv("FAULTY_USER", USER)
            known.setenv("FAULTY_SECRET", SECRET)
            scene.hold(
                "siblings", "add", "there", "type=external", "externaltype=faulty",
                f"folder={there}", "encryption=none",
            )  # fmt: skip
        scene.behind = below(there)
        scene.text = ""
        yield scene


def test_what_is_told_of_each_fault_is_what_the_page_says(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ins = {fault: f"in-{fault}.dat" for fault in OF_PROGRAMS}
    outs = {fault: f"out-{fault}.dat" for fault in OF_PROGRAMS}
    scene.write(*ins.values(), *outs.values())
    scene.hold("copy", "-q", "--to", "there", *ins.values())
    scene.hold("drop", "-q", "--force", "it is there", *ins.values())
    told: dict[str, tuple[str, str]] = {}
    with watched() as seen:
        for fault in OF_PROGRAMS:
            monkeypatch.setenv("FAULT", fault)
            # What hangs has to begin first, which a busy machine is slow at.
            patience_s = {"hangs": "2", "mute": "1"}.get(fault, "20")
            git(scene.folder, "config", "remote.there.hold-patience", patience_s)
            (tmp_path / "there/was-ill").unlink(missing_ok=True)
            ran = scene.hold("get", "--json", "--from", "there", ins[fault], exits=None)
            got = outcome(ran, came=scene.is_here(ins[fault]))
            (tmp_path / "there/was-ill").unlink(missing_ok=True)
            ran = scene.hold("copy", "--json", "--to", "there", outs[fault], exits=None)
            told[fault] = (got, outcome_of_sending(scene, ran, outs[fault], fault))
            if fault == "fails":
                scene.hold("get", "-v", "--debug", "--from", "there", ins[fault], exits=None)
    assert told == {fault: row[1:] for fault, row in OF_PROGRAMS.items()}
    kept = scene.kept()
    for text in (" ".join(seen.words), scene.text, kept):
        assert SECRET not in text
    monkeypatch.setenv("FAULT", "")
    lost = outs["says it has"]
    scene.hold("drop", lost, exits=None)
    assert scene.is_here(lost), "a copy that is not there was counted"
    scene.hold("get", *ins.values())
    scene.hold("copy", "--to", "there", *(n for n in outs.values() if n != lost))
    assert all(scene.is_here(name) for name in ins.values())
    assert all(scene.is_there(name) for name in outs.values() if name != lost)


def outcome_of_sending(scene: Scene, ran: object, name: str, fault: str) -> str:
    from network_scene import Ran

    assert isinstance(ran, Ran)
    came = scene.is_there(name)
    if fault == "says it has":
        assert ran.code == 0 and not came
        return "believed"
    assert came or not scene.is_told(name)
    return outcome(ran, came=came)
