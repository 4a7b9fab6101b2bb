"""A whole call, with an api made for the test: words in, lines and an exit code out."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from holdfast.cli.main import run
from holdfast.core import faults
from holdfast.core.key import Key
from holdfast.core.outcome import Outcome, Status
from holdfast.dataset.profiles import PROFILES

KEY = Key(b"SHA256E-s12--00.nii.gz")
UNDECODABLE = b"caf\xe9".decode("utf-8", "surrogateescape")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Makes the api answer with given outcomes, and tells what it was called with."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOLDFAST_DATASET", "HOLDFAST_COLOR", "HOLDFAST_PROGRESS", "HOLDFAST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    opened: dict[str, Any] = {}

    def open_dataset(path: str, settings: dict[str, str]) -> SimpleNamespace:
        opened.update(path=path, settings=settings)
        return SimpleNamespace(
            top=os.fsencode(tmp_path),
            relative=lambda words: [b"" if word == "." else os.fsencode(word) for word in words],
            close=lambda: opened.update(closed=True),
        )

    monkeypatch.setattr("holdfast.api.datasets.open_dataset", open_dataset)

    def answer(verb: str, *outcomes: Outcome | BaseException, module: str = "") -> dict[str, Any]:
        def iterate(*args: Any, **kwargs: Any) -> Iterator[Outcome]:
            opened.update(args=args, **kwargs)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome

        fake = ModuleType(f"holdfast.api.{module or verb}")
        setattr(fake, f"iter_{verb}", iterate)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        return opened

    return answer


def got(path: str, status: Status = Status.OK, **more: Any) -> Outcome:
    return Outcome("get", status, path, **{"size": 10, **more})


UNREACHED = faults.NO_SOURCE(key="bold", answers="tape: could not be asked", next="hold get bold")


def test_what_was_done_is_a_table_with_a_summary(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("get", got("sub-07/T1w.nii.gz", note="from tape"), got("sub-07/a", Status.NOT_NEEDED),
        got("sub-07/bold.nii.gz", Status.IMPOSSIBLE, error=UNREACHED))  # fmt: skip
    assert run(["get", "sub-07"]) == 3
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[:2] == [
        "get  sub-07/T1w.nii.gz   ok          from tape",
        "get  sub-07/bold.nii.gz  impossible  bold could not be had",
    ]
    assert lines[2].startswith("get  1 of 3 items failed, 1 ok, 1 not needed  10 B  0.0 s")
    assert shown.err.splitlines()[0] == "✗ H205  bold could not be had"
    assert len(shown.err.splitlines()) == 4


def test_the_same_failure_of_many_is_explained_once(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("get", *(got(f"f{n}", Status.ERROR, error=UNREACHED) for n in range(1500)))
    assert run(["get"]) == 3
    shown = capsys.readouterr()
    assert shown.err.startswith("✗ H205  bold could not be had  (and 1,499 more)\n")
    assert len(shown.out.splitlines()) == 1501


def test_many_good_items_are_counted_and_not_listed_unless_asked_for(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    many = [got(f"f{n}") for n in range(1000)]
    api("get", *many, got("bad", Status.ERROR, note="no"))
    run(["get"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 103
    assert lines[100].split() == ["get", "bad", "failed", "no"]
    assert lines[101] == "…    900 more, not listed (-v lists them)"
    run(["get", "-v"])
    assert len(capsys.readouterr().out.splitlines()) == 1002
    run(["get", "-q"])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["get", "bad", "failed", "no"]
    ]


def test_json_is_one_outcome_a_line_and_nothing_else(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("get", got(UNDECODABLE, key=KEY), got("b", Status.ERROR, error=UNREACHED))
    assert run(["--json", "get"]) == 3
    shown = capsys.readouterr()
    first, second = map(json.loads, shown.out.splitlines())
    assert first == {
        "action": "get",
        "status": "ok",
        "path": UNDECODABLE,
        "key": KEY.text,
        "size": 10,
    }
    assert second["error"]["code"] == "H205"
    assert shown.err == ""


def test_an_error_is_one_json_object_with_its_code(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("status", faults.BUSY(path="index", waited=""))
    assert run(["status", "--json"]) == 3
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["code"] == "H114"
    assert run(["nothing", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2
    assert run(["get", "--no-such-option", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "H103"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (faults.NO_DATASET(path="/x"), 1, "✗ H101"),
        (faults.TUNED(differences="x"), 4, "✗ H107"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x"),
            3,
            "✗ H401  the disk is full at /x",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            4,
            "✗ H402  /x may not be written",
        ),
    ],
)
def test_errors_end_in_four_lines_and_their_exit_code(
    api: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    says: str,
) -> None:
    api("save", error)
    assert run(["save"]) == code
    shown = capsys.readouterr().err
    assert shown.startswith(says)
    assert "Traceback" not in shown
    run(["save", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_what_nobody_foresaw_keeps_its_traceback_and_is_called_a_bug(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("save", got("a"), ZeroDivisionError("odd"))
    assert run(["save"]) == 1
    shown = capsys.readouterr()
    assert "Traceback" in shown.err
    assert "this is a bug in hold" in shown.err
    assert "1 ok" in shown.out


def test_ctrl_c_says_what_was_kept_and_ends_with_130(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("get", got("a", size=1_800_000_000), KeyboardInterrupt())
    assert run(["get"]) == 130
    assert capsys.readouterr().err.startswith("Stopped. 1 items done, 1.8 GB in ")
    assert run(["get", "--json"]) == 130
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["code"] == "H404"


def test_ctrl_c_before_anything_was_done_says_only_that(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("fsck", KeyboardInterrupt())
    assert run(["fsck"]) == 130
    shown = capsys.readouterr()
    assert shown.err.startswith("Stopped. 0 items done")
    assert "nothing to do" not in shown.out + shown.err


def test_the_help_of_create_has_a_phrase_for_each_profile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with suppress(SystemExit):
        run(["create", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{name}: " in shown for name in PROFILES)


def test_options_of_every_command_may_stand_before_or_after_it(
    api: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    called = api("get", got("a"))
    run(["-c", "annex.jobs=3", "-d", "study", "get", "-c", "annex.thin=true"])
    assert called["settings"] == {"annex.jobs": "3", "annex.thin": "true"}
    assert called["path"] == "study"
    (tmp_path / "sub").mkdir()
    run(["-C", "sub", "get", "x"])
    assert Path.cwd() == tmp_path / "sub"


def test_options_may_stand_between_paths_and_a_path_may_begin_with_a_dash(
    api: Callable[..., dict[str, Any]],
) -> None:
    called = api("get", got("a"))
    assert run(["get", "a", "--from", "tape", "b", "--", "-x", "--json", "--help"]) == 0
    assert called["args"][1] == (b"a", b"b", b"-x", b"--json", b"--help")
    assert called["source"] == "tape"


def test_paths_are_handed_on_from_the_top_of_the_data_set_whatever_their_bytes(
    api: Callable[..., dict[str, Any]],
) -> None:
    called = api("get", got("a"))
    run(["get", UNDECODABLE, "b"])
    assert called["args"][1] == (b"caf\xe9", b"b")
    for words in (["get"], ["get", "a", "."]):
        run(words)
        assert called["args"][1] == ()


def test_a_verb_that_had_nothing_to_do_says_so(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("save")
    assert run(["save"]) == 0
    assert capsys.readouterr().out == "save  nothing to do  0.0 s\n"


def test_the_data_set_is_closed_also_when_the_verb_fails(
    api: Callable[..., dict[str, Any]],
) -> None:
    called = api("get", ZeroDivisionError())
    run(["get"])
    assert called["closed"]


def test_paths_are_shown_from_where_one_stands(
    api: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api("find", Outcome("find", Status.OK, "sub/a"), Outcome("find", Status.OK, "b\n"))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    run(["find"])
    assert capsys.readouterr().out == 'a\n"../b\\n"\n'
    run(["find", "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[0])["path"] == "sub/a"


def test_data_alone_goes_to_standard_output_and_failures_to_the_other(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("status", Outcome("status", Status.OK, "a", facts={"state": "modified"}),
        Outcome("status", Status.IMPOSSIBLE, "b", error=faults.NO_SUCH_PATH(path="b")))  # fmt: skip
    assert run(["status"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "modified   a\n"
    assert shown.err.startswith("✗ H104  b is not known here")
    api("status")
    assert run(["status"]) == 0
    assert capsys.readouterr().err.startswith("Nothing to save")


@pytest.mark.parametrize(
    ("words", "verb", "outcome", "shown"),
    [
        (["status", "--annex"], "status",
         Outcome("status", Status.OK, "a", size=12, facts={"state": "modified", "present": False}),
         "modified   a  12 B  not here"),
        (["log"], "log",
         Outcome("log", Status.OK, facts={"version": "093d2014" * 5, "time": "2026-11-21T10:22:33+00:00",
                                          "author": "Ana <ana@example.org>", "message": "first\n\nmore"}),
         "093d2014  2026-11-21 10:22  Ana  first"),
        (["whereis"], "whereis",
         Outcome("whereis", Status.OK, "a", facts={"places": [{"uuid": "u1", "name": "here", "here": True},
                                                              {"uuid": "u2", "name": "tape"}]}),
         "a  2 copies\n    u1  here  (here)\n    u2  tape"),
        (["diff"], "diff", Outcome("diff", Status.OK, "a", facts={"state": "added"}), "added      a"),
        (["unused"], "unused", Outcome("unused", Status.OK, key=KEY, size=12), f"{KEY.text}  12 B"),
        (["config"], "config", Outcome("config", Status.OK, facts={"name": "annex.thin", "value": "true"}),
         "annex.thin=true"),
        (["info"], "info",
         Outcome("info", Status.OK, facts={"files": 1290, "annexed_bytes": 6200000000, "places": ["tape", "nas"]}),
         "files          1,290\nannexed_bytes  6.2 GB\nplaces         tape\n               nas"),
        (["doctor"], "doctor", Outcome("doctor", Status.OK, note="2.43", facts={"part": "programs", "check": "git"}),
         "Programs\n  ✓ git              2.43\ndoctor  nothing to act on"),
    ],
)  # fmt: skip
def test_each_question_has_its_own_form_of_answer(
    api: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    verb: str,
    outcome: Outcome,
    shown: str,
) -> None:
    api(verb, outcome)
    assert run(words) == 0
    assert capsys.readouterr().out == shown + "\n"


@pytest.mark.parametrize(
    ("words", "verb", "module", "passed"),
    [
        (["create", "--no-annex", "x"], "create", "", {"annex": False, "profile": "mixed"}),
        (
            ["save", "-m", "why", "-u"],
            "save",
            "",
            {"message": "why", "updated": True, "to_git": False},
        ),
        (["clone", "src"], "clone", "", {"args": ("src", None)}),
        (["drop", "--unused"], "drop", "", {"unused": True, "force_reason": None}),
        (["drop", "--force", "made up", "x"], "drop", "", {"force_reason": "made up"}),
        (["unlock", "x"], "unlock", "lock", {}),
        (["lock", "x"], "lock", "", {}),
        (["find", "--larger-than", "1kB"], "find", "", {"largerthan": 1000, "smallerthan": None}),
        (["fsck", "--time-limit", "5h"], "fsck", "", {"time_limit_s": 18000.0, "repair": False}),
        (["config", "--shared", "a.b=1"], "config", "", {"shared": True}),
        (["uninstall", "-d", "x"], "remove", "", {"force_reason": None, "args": ("x",)}),
        (["demo", "--keep", "--json"], "demo", "", {"keep": True}),
    ],
)
def test_each_command_hands_its_options_on(
    api: Callable[..., dict[str, Any]],
    words: list[str],
    verb: str,
    module: str,
    passed: dict[str, object],
) -> None:
    called = api(verb, Outcome(verb, Status.OK), module=module)
    assert run(words) == 0
    assert {name: called[name] for name in passed} == passed


def test_a_drop_of_everything_has_to_be_said(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("drop")
    assert run(["drop"]) == 2
    assert "name what to drop" in capsys.readouterr().err
    assert run(["remove"]) == 2


def test_names_for_other_programs_leave_as_they_came(tmp_path: Path) -> None:
    code = (
        "import sys, types, os\n"
        "from holdfast.core.outcome import Outcome, Status\n"
        "d = types.ModuleType('holdfast.api.datasets')\n"
        "d.open_dataset = lambda path, settings: types.SimpleNamespace(top=os.fsencode(os.getcwd()), relative=list, close=lambda: None)\n"
        "f = types.ModuleType('holdfast.api.find')\n"
        "f.iter_find = lambda *a, **k: iter([Outcome('find', Status.OK, os.fsdecode(b'caf\\xe9\\n'))] * 2)\n"
        "sys.modules['holdfast.api.datasets'], sys.modules['holdfast.api.find'] = d, f\n"
        "from holdfast.cli.main import run\n"
        "sys.exit(run(['find', '-0']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout == b"caf\xe9\n\0caf\xe9\n\0"


@pytest.mark.parametrize(
    "words", [["help"], ["--help"], ["help", "get", "--json"], ["completion", "bash"]]
)
def test_a_reader_who_leaves_is_no_failure_to_speak_of(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in (0, 130)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "holdfast", "help"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert b"H401" in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_any_locale_can_be_talked_to() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "sttaus"], env=environ, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"H103" in done.stderr


def test_help_is_the_same_asked_for_in_either_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "get"]) == 0
    one = capsys.readouterr().out
    assert run(["get", "--help"]) == 0
    assert capsys.readouterr().out == one
    assert run(["clone", "-h"]) == 0
    assert "SOURCE" in capsys.readouterr().out
    assert run(["get", "--version"]) == 0
    assert capsys.readouterr().out.startswith("hold ")


def test_a_request_to_end_stops_as_ctrl_c_does(tmp_path: Path) -> None:
    code = (
        "import sys, types, os, signal\n"
        "d, g = types.ModuleType('holdfast.api.datasets'), types.ModuleType('holdfast.api.get')\n"
        "d.open_dataset = lambda path, settings: types.SimpleNamespace(top=os.fsencode(os.getcwd()), relative=list, close=lambda: None)\n"
        "g.iter_get = lambda *a, **k: (os.kill(os.getpid(), signal.SIGTERM) for _ in range(9))\n"
        "sys.modules['holdfast.api.datasets'], sys.modules['holdfast.api.get'] = d, g\n"
        "from holdfast.cli.main import run\n"
        "sys.exit(run(['get']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr.startswith("Stopped. ")


def test_a_folder_that_is_not_there_cannot_be_worked_in(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    api("get")
    assert run(["-C", "nowhere", "get"]) == 2
    assert "-C nowhere: No such file or directory" in capsys.readouterr().err
    assert run(["-v"]) == 2
    assert run(["-C"]) == 2


def test_a_wrong_setting_is_told_of_and_not_tripped_over(
    api: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api("get")
    monkeypatch.setenv("HOLDFAST_COLOR", "blue")
    assert run(["get"]) == 2
    assert "auto, always or never" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["drop", "--force", "tidy up", ""],
        ["drop", "a", ""],
        ["save", ""],
        ["get", "", "a"],
        ["get", "--", ""],
        ["status", ""],
        ["remove", ""],
        ["remove", "-d", "study", ""],
        ["remove", "-d", ""],
        ["create", ""],
        ["get", "-d", "", "a"],
    ],
)
def test_an_empty_word_names_nothing_and_not_all(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    called = api(words[0], got("a"))
    assert run(words) == 2
    assert "an empty" in capsys.readouterr().err
    assert "args" not in called


def test_force_takes_a_reason_in_words(
    api: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1.dat").symlink_to("nowhere")
    for verb in ("drop", "remove"):
        called = api(verb, got("a"))
        for reason in ("", "  ", "1.dat", "./1.dat"):
            assert run([verb, "--force", reason, "2.dat"]) == 2
            assert f'hold {verb} --force "why it may go" ' in capsys.readouterr().err
        assert run([verb, "--force", "1.dat"]) == 2
        assert "1.dat names a file" in capsys.readouterr().err
        assert "args" not in called
        assert run([verb, "--force", "1.dat is a test", "2.dat"]) == 0
        assert called["force_reason"] == "1.dat is a test"
        called.pop("args")


@pytest.mark.parametrize(
    "words",
    [
        *(["save", "-J", odd] for odd in ("-1", "0", "x", "1.5", "")),
        *(["get", "-J", odd] for odd in ("-1", "0")),
        *(["drop", "a", "-N", odd] for odd in ("-1", "x")),
    ],
)
def test_a_number_that_means_nothing_is_refused(
    api: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    called = api(words[0], got("a"))
    assert run(words) == 2
    assert "is not a whole number" in capsys.readouterr().err
    assert "args" not in called


def test_how_many_at_a_time_may_be_said_in_three_ways(
    api: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_JOBS", "3")
    for verb in ("get", "save"):
        called = api(verb, got("a"))
        for words, jobs in ((["-J", "5"], 5), (["-c", "annex.jobs=4"], 4), ([], 3)):
            assert run([verb, *words]) == 0
            assert called["jobs"] == jobs
    monkeypatch.setenv("HOLDFAST_JOBS", "abc")
    assert run(["get"]) == 2
