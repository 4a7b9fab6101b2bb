"""Limits of bandwidth: what git-annex's settings say holds for each kind of place, both ways.

Times are measured in this process, so that nothing but the transfer is in them.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.api.addurl import iter_addurl
from holdfast.api.between import iter_copy, iter_move
from holdfast.api.datasets import open_dataset
from holdfast.api.get import iter_get
from holdfast.core.outcome import Outcome
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.rclone_server import find_rclone

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

RATE = 150_000
SIZE = 100_000
FILES = {f"f{n}.dat": os.urandom(SIZE) for n in range(3)}
LEAST_S = 3 * SIZE / RATE - 0.25
"""What they take within the limit: a quarter of a second is free."""
PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.fixture
def study(tools: Tools, bench: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with three files."""
    monkeypatch.setenv("HOME", tools.environment["HOME"])
    folder = tools.create("hold", bench / "study")
    tools.write(folder, FILES)
    tools.hold(folder, "save")
    return folder


def _took(outcomes: Iterator[Outcome]) -> float:
    began = time.monotonic()
    told = list(outcomes)
    assert [outcome.note for outcome in told if not outcome.good] == []
    return time.monotonic() - began


def _both_ways(
    tools: Tools, study: Path, name: str, monkeypatch: pytest.MonkeyPatch, **environment: str
) -> tuple[float, float]:
    """How long content takes to a place and back, once it is limited."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    tools.git(study, "config", f"remote.{name}.annex-bwlimit", f"{RATE // 1000}kb/1s")
    with open_dataset(study) as dataset:
        there = _took(iter_copy(dataset, to=name, jobs=3))
    tools.annex(study, "drop", "--force", "--quiet", ".", **environment)
    with open_dataset(study) as dataset:
        back = _took(iter_get(dataset, source=name, jobs=3))
    assert {path: (study / path).read_bytes() for path in FILES} == FILES
    return there, back


@pytest.mark.parametrize("kind", ["path", "directory", "directory in chunks", "rsync", "rclone"])
def test_a_limit_holds_both_ways_for_all_lanes_together(
    tools: Tools, study: Path, bench: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = {}
    there = bench / "there"
    if kind == "path":
        tools.clone("annex", study, there)
        words = [str(there)]
    else:
        there.mkdir()
        words = [f"type={kind.split()[0]}", "encryption=none"]
    if kind.startswith("directory"):
        words += [f"directory={there}", *(["chunk=40kB"] if "chunks" in kind else [])]
    elif kind == "rsync":
        if shutil.which("rsync") is None:
            pytest.skip("rsync is not on PATH")
        words += [f"rsyncurl={there}"]
    elif kind == "rclone":
        program = find_rclone()
        if program is None:
            pytest.skip("rclone is neither beside python nor on PATH")
        (bench / "rclone.conf").write_text(f"[far]\ntype = alias\nremote = {there}\n")
        path = f"{Path(program).parent}{os.pathsep}{tools.environment['PATH']}"
        environment = {"RCLONE_CONFIG": str(bench / "rclone.conf"), "PATH": path}
        words += ["rcloneremotename=far", "rcloneprefix=x"]
    tools.hold(study, "siblings", "add", "far", *words, **environment)
    for took in _both_ways(tools, study, "far", monkeypatch, **environment):
        assert took >= LEAST_S


def test_a_limit_holds_over_ssh(
    tools: Tools,
    study: Path,
    bench: Path,
    ssh_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = bench / "there"
    tools.git(bench, "clone", "-q", str(study), str(there))
    tools.annex(there, "init", "-q", "there")
    url = f"ssh://127.0.0.1{there}"
    tools.hold(study, "siblings", "add", "far", url, **ssh_environment)
    for took in _both_ways(tools, study, "far", monkeypatch, **ssh_environment):
        assert took >= LEAST_S


def test_what_comes_from_urls_is_limited(tools: Tools, study: Path, bench: Path) -> None:
    tools.git(study, "config", "annex.security.allowed-ip-addresses", "all")
    tools.git(study, "config", "annex.bwlimit-download", str(RATE))
    with LyingServer({name: content + b"x" for name, content in FILES.items()}) as server:
        urls = [f"{server.url}/{name}" for name in FILES]
        with open_dataset(study) as dataset:
            assert _took(iter_addurl(dataset, urls, folder=b"web")) >= LEAST_S
        tools.annex(study, "drop", "--force", "--quiet", "web")
        with open_dataset(study) as dataset:
            assert _took(iter_get(dataset, [b"web"])) >= LEAST_S


def test_the_limit_of_a_call_is_for_all_its_places_together(
    tools: Tools, study: Path, bench: Path
) -> None:
    for name in ("one", "two", "three"):
        (bench / name).mkdir()
        words = ["type=directory", f"directory={bench / name}", "encryption=none"]
        tools.hold(study, "siblings", "add", name, *words)
    tools.hold(study, "move", "--to", "one", "f0.dat")
    tools.hold(study, "move", "--to", "two", "f1.dat", "f2.dat")
    with open_dataset(study, {"hold.limit-rate": str(RATE)}) as dataset:
        assert _took(iter_get(dataset)) >= LEAST_S
    with open_dataset(study, {"hold.limit-rate": str(RATE)}) as dataset:
        assert _took(iter_move(dataset, to="three")) >= LEAST_S
    told = tools.hold(study, "get", "--limit-rate", "fast", exits=2)
    assert "--limit-rate fast is not a rate" in told.all_text


def test_a_place_that_a_program_reaches_is_told_to_be_beyond_its_limit(
    tools: Tools, study: Path, bench: Path
) -> None:
    pytest.importorskip("annexremote", reason="the package annexremote is not installed")
    path = f"{PROGRAMS}{os.pathsep}{tools.environment['PATH']}"
    words = ["type=external", "externaltype=shelf", "encryption=none", f"folder={bench / 'shelf'}"]
    tools.hold(study, "siblings", "add", "shelf", *words, PATH=path)
    tools.hold(study, "siblings", "configure", "shelf", "--limit", "100kb", PATH=path)
    listed = tools.hold(study, "siblings", PATH=path).text
    assert "upload limit: 100 kB/s (not held: a program of its own moves its content)" in listed
    planned = tools.hold(study, "copy", "--to", "shelf", "--dry-run", PATH=path).text
    assert "the limit of shelf not held" in planned
    for words in (
        ["copy", "--to", "shelf"],
        ["move", "--from", "shelf"],
        ["move", "--to", "shelf"],
    ):
        told = tools.hold(study, *words, PATH=path).text
        if words[1] == "--to":
            assert told.count("its limit is not held: a program of its own") == 1
    told = tools.hold(study, "get", PATH=path).text
    assert told.count("its limit is not held: a program of its own") == 1


def test_a_plan_tells_how_long_it_takes_within_the_limit(
    tools: Tools, study: Path, bench: Path
) -> None:
    (bench / "there").mkdir()
    words = ["type=directory", f"directory={bench / 'there'}", "encryption=none"]
    tools.hold(study, "siblings", "add", "far", *words)
    tools.hold(study, "siblings", "configure", "far", "--limit-upload", "1kb/s")
    planned = tools.hold(study, "copy", "--to", "far", "--dry-run").text
    assert "5 min 0 s or more at its limit" in planned
    assert "at its limit" not in tools.hold(study, "get", "--dry-run").text
    listed = tools.hold(study, "siblings", "--json").records()
    assert listed[1]["limits"] == {"upload": {"rate": 1000.0, "held": True}}
    tools.hold(study, "siblings", "configure", "far", "--limit-upload", "")
    assert "limit" not in tools.hold(study, "siblings").text


@pytest.mark.parametrize("kind", ["path", "directory"])
@pytest.mark.parametrize("way", ["get", "copy"])
def test_ctrl_c_ends_who_waits_for_a_limit_at_once(
    tools: Tools, study: Path, bench: Path, kind: str, way: str
) -> None:
    there = bench / "there"
    if kind == "path":
        tools.clone("annex", study, there)
        words = [str(there)]
    else:
        there.mkdir()
        words = ["type=directory", f"directory={there}", "encryption=none"]
    tools.hold(study, "siblings", "add", "far", *words)
    if way == "get":
        tools.hold(study, "move", "--to", "far")
    tools.git(study, "config", "remote.far.annex-bwlimit", "100")
    with open_dataset(study) as dataset:
        moving = iter_get(dataset, jobs=3) if way == "get" else iter_copy(dataset, to="far", jobs=3)
        stopped_at: list[float] = []

        def stop() -> None:
            stopped_at.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(1.5, stop)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(moving)
        assert time.monotonic() - stopped_at[0] < 2
    assert not any(
        "lane" in thread.name or "send" in thread.name for thread in threading.enumerate()
    )
