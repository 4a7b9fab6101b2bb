"""Several programs in one data set at once, ours and git-annex: nothing lost, all told right."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from at_once import at_once, can_be_acted_on
from depth import times
from scenes import (
    BIN,
    HOLD,
    Digests,
    check_ledger,
    contents,
    copy_folder,
    environment,
    fill,
    hold,
    left_locks,
    left_scratch,
    made,
    must,
    objects,
    run,
)

from holdfast.api.datasets import open_dataset
from holdfast.api.save import iter_save
from holdfast.core.key import Key
from holdfast.core.outcome import Status
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.dataset import save
from holdfast.dataset.changes import Change, IndexState
from holdfast.dataset.objects import Objects

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex", path=environment()["PATH"]) is None,
                       reason="the real git-annex is not here"),
]  # fmt: skip


def assert_all_is_well(main: Path, expected: Digests) -> None:
    """Everything is saved, present and told as it is."""
    saved = hold(main, "save", "-q")
    assert saved.code == 0, saved.text
    assert {p: d for p, d in contents(main).items() if p in expected} == expected
    assert not left_locks(main) and not left_scratch(main)
    fsck = run(main, "git", "fsck", "--no-progress")
    assert fsck.code == 0, fsck.text
    assert not must(main, "git", "status", "--porcelain").out
    check_ledger(main)
    checked = run(main, "git", "annex", "fsck")
    assert checked.code == 0 and "fixing location log" not in checked.out, checked.text


@pytest.fixture(scope="module")
def unsaved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `main` is a copy of."""
    folder = tmp_path_factory.mktemp("unsaved")
    made(folder / "main", random.Random(5), 10)
    fill(folder / "main", random.Random(6), 80)
    return folder


@pytest.fixture
def main(unsaved: Path, tmp_path: Path) -> Path:
    """A data set with files to be saved."""
    copy_folder(unsaved, tmp_path / "folder")
    return tmp_path / "folder/main"


def test_two_saves_of_the_same_files_at_once_save_each_file_once(main: Path) -> None:
    before = contents(main)
    for ran in at_once((main, [HOLD, "save"]), (main, [HOLD, "save"])):
        assert can_be_acted_on(ran), ran.text
    assert_all_is_well(main, before)


def test_two_saves_of_different_files_at_once_save_both(main: Path) -> None:
    before = contents(main)
    results = at_once((main, [HOLD, "save", "d0", "d1"]), (main, [HOLD, "save", "d2", "d3"]))
    for ran in results:
        assert ran.code == 0, ran.text
    assert_all_is_well(main, before)


def test_two_saves_and_an_add_by_git_annex_at_once_lose_nothing(main: Path) -> None:
    before = contents(main)
    *ours, _ = at_once(
        (main, [HOLD, "save"]),
        (main, [HOLD, "save", "d1", "d2"]),
        (main, ["git", "annex", "add", "."]),
    )
    for ran in ours:
        assert can_be_acted_on(ran), ran.text
    assert {p: d for p, d in contents(main).items() if p in before} == before
    must(main, "git", "annex", "add", ".")
    assert_all_is_well(main, before)


def test_a_file_that_is_written_to_while_saved_is_left_to_its_writer(main: Path) -> None:
    code = (
        "import sys, time\nend = time.monotonic() + 1.5\nnumber = 0\n"
        "while time.monotonic() < end:\n    number += 1\n"
        "    with open('log.dat.tmp', 'w') as file:\n        file.write(str(number) * 5000)\n"
        "    import os; os.replace('log.dat.tmp', 'log.dat')\n"
    )
    python = str(BIN / "python")
    saved, wrote = at_once((main, [HOLD, "save"]), (main, [python, "-c", code]))
    assert wrote.code == 0, wrote.text
    assert can_be_acted_on(saved), saved.text
    assert_all_is_well(main, contents(main))


def test_a_file_that_is_away_for_a_moment_is_saved(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git-annex takes it away when it has that content already."""
    look, timers = save._look, []
    file, away = main / "new.dat", main.parent / "away"
    file.write_bytes(b"new\n" * 20_000)

    def take_away(path: bytes) -> object:
        if path == bytes(file) and not timers:
            file.rename(away)
            timers.append(threading.Timer(0.05, away.rename, [file]))
            timers[0].start()
        return look(path)

    monkeypatch.setattr(save, "_look", take_away)
    with open_dataset(main) as dataset:
        assert [o.status for o in iter_save(dataset, [b"new.dat"])] == [Status.OK]
    assert timers


def test_a_staged_link_that_is_unlocked_meanwhile_is_saved_as_it_was_staged(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another program, between git's look at the folder and ours."""
    take, taken = save.Taker._take_staged, []
    (main / "sub").mkdir()
    (main / "new.dat").write_bytes(b"new\n" * 20_000)
    must(main, HOLD, "save", "new.dat")
    must(main, "git", "mv", "new.dat", "sub/new.dat")

    def late(self: save.Taker, change: Change, staged: IndexState) -> save.Taken:
        path = main / "sub/new.dat"
        data = (main / ".git/annex/objects").glob(f"*/*/*/{os.readlink(path).rpartition('/')[2]}")
        content = next(data).read_bytes()
        path.unlink()
        path.write_bytes(content)
        taken.append(path)
        return take(self, change, staged)

    monkeypatch.setattr(save.Taker, "_take_staged", late)
    with open_dataset(main) as dataset:
        outcomes = list(iter_save(dataset, [b"sub/new.dat"]))
    assert taken and {one.status for one in outcomes} == {Status.OK}
    assert must(main, "git", "show", "HEAD:sub/new.dat").out.count("annex/objects") == 1
    assert (main / "sub/new.dat").read_bytes() == b"new\n" * 20_000
    assert must(main, "git", "status", "--porcelain", "sub").out.startswith(" ")


# clones


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `clones` is a copy of."""
    folder = tmp_path_factory.mktemp("related")
    made(folder / "origin", random.Random(7), 16)
    for name, other in (("a", "b"), ("b", "a")):
        must(folder, HOLD, "clone", "-q", "origin", name)
        must(folder / name, "git", "remote", "add", other, str(folder / other))
    return folder


@pytest.fixture
def clones(related: Path, tmp_path: Path) -> Path:
    """A folder with ``origin``, and two clones ``a`` and ``b`` that know each other."""
    copy_folder(related, tmp_path / "clones")
    return tmp_path / "clones"


def test_two_gets_at_once_bring_everything_once(clones: Path) -> None:
    a = clones / "a"
    for ran in at_once((a, [HOLD, "get"]), (a, [HOLD, "get"])):
        assert can_be_acted_on(ran), ran.text
    must(a, HOLD, "get", "-q")
    assert_all_is_well(a, contents(clones / "origin"))


def test_a_get_by_hold_and_one_by_git_annex_at_once_bring_everything(clones: Path) -> None:
    a = clones / "a"
    ours, theirs = at_once((a, [HOLD, "get"]), (a, ["git", "annex", "get", "."]))
    assert can_be_acted_on(ours), ours.text
    must(a, HOLD, "get", "-q")
    assert_all_is_well(a, contents(clones / "origin"))
    assert theirs.code in (0, 1)


def test_a_get_and_a_drop_at_once_leave_a_true_ledger(clones: Path) -> None:
    a, good = clones / "a", contents(clones / "origin")
    must(a, HOLD, "get", "-q", "d0", "d1")
    for _ in range(times(2, 10)):
        for ran in at_once((a, [HOLD, "get"]), (a, [HOLD, "drop", "."])):
            assert can_be_acted_on(ran), ran.text
        assert contents(clones / "origin") == good
        check_ledger(a)
    must(a, HOLD, "get", "-q")
    assert_all_is_well(a, good)


REMOVE = """
import sys
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.dataset.objects import Objects

objects = Objects(sys.argv[1].encode(), Place(PlaceId("there"), "there"), bare=False)
held = objects.hold(Key(sys.argv[2].encode()))
print("held", flush=True)
sys.stdin.readline()
objects.remove(held)
print("removed", flush=True)
"""


KEY = Key(b"SHA256E-s4--%064d" % 1)


def with_content(folder: Path) -> Objects:
    """An annex in a folder that has content of `KEY`."""
    there = Objects(bytes(folder), Place(PlaceId("there"), "there"), bare=False)
    (folder / "content").write_bytes(b"same")
    there.commit(KEY, bytes(folder / "content"))
    return there


def test_content_that_leaves_while_we_look_at_it_is_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes it does so after our first look, and is done before our second."""
    there = with_content(tmp_path)
    words = [sys.executable, "-c", REMOVE, str(tmp_path), KEY.text]
    remover = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert remover.stdin is not None and remover.stdout is not None
    assert remover.stdout.readline() == b"held\n"
    access, calls = os.access, []

    def look(path: bytes, mode: int) -> bool:
        seen = access(path, mode)
        if not calls:
            calls.append(path)
            remover.communicate(b"go\n", timeout=30)
        return seen

    monkeypatch.setattr(os, "access", look)
    assert there.ask([KEY])[0].presence is not Presence.PRESENT
    assert calls and remover.returncode == 0


def test_content_that_leaves_as_we_are_about_to_keep_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes it takes its folder away too."""

    def late(there: Objects, path: bytes) -> None:
        unprotect(there, path)
        shutil.rmtree(os.path.dirname(path))

    def early(there: Objects, path: bytes) -> None:
        late(there, path)
        unprotect(there, path)

    unprotect = Objects.unprotect
    for gone in (late, early):
        there = with_content(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(Objects, "unprotect", gone)
            with there.lock_content(KEY) as answer:
                assert answer.presence is Presence.ABSENT
        assert not there.has(KEY)


def test_two_clones_that_drop_from_each_other_at_once_leave_one_copy(clones: Path) -> None:
    a, b = clones / "a", clones / "b"
    good = contents(clones / "origin")
    annexed = set(objects(clones / "origin"))
    must(a, HOLD, "get", "-q")
    must(b, HOLD, "get", "-q")
    origin = must(clones / "origin", "git", "config", "annex.uuid").out.strip()
    for name in (a, b):
        must(name, "git", "remote", "remove", "origin")
        must(name, "git", "annex", "dead", origin)
    for _ in range(times(5, 40)):
        for ran in at_once((a, [HOLD, "drop", "."]), (b, [HOLD, "drop", "."])):
            assert can_be_acted_on(ran), ran.text
        assert set(objects(a)) | set(objects(b)) == annexed
        for name in (a, b):
            must(name, HOLD, "get", "-q")
    for name in (a, b):
        check_ledger(name)
        assert contents(name) == good


def test_hold_and_git_annex_that_drop_from_each_other_at_once_leave_one_copy(
    clones: Path,
) -> None:
    a, b = clones / "a", clones / "b"
    annexed = set(objects(clones / "origin"))
    must(a, HOLD, "get", "-q")
    must(b, HOLD, "get", "-q")
    for name in (a, b):
        must(name, "git", "remote", "remove", "origin")
    for _ in range(times(2, 10)):
        ours, _ = at_once(
            (a, [HOLD, "drop", "."]), (b, ["git", "annex", "drop", ".", "--numcopies=1"])
        )
        assert can_be_acted_on(ours), ours.text
        assert set(objects(a)) | set(objects(b)) == annexed
        for name in (a, b):
            must(name, HOLD, "get", "-q")


# the branch, and locks on content


def test_no_update_of_the_branch_is_lost_beside_git_annex(main: Path) -> None:
    """Every commit of ours, and every one of git-annex, stays in the history of the branch."""
    before = contents(main)
    theirs = ["sh", "-c", "for n in 1 2 3 4 5 6 7 8; do git annex numcopies 1; "
              "git annex mincopies 1; git annex numcopies 2; done; git annex numcopies 1"]  # fmt: skip
    parts = ["d0", "d1", "d2", "d3", "."]
    ours = ["sh", "-c", "; ".join(f"{HOLD} save -q {part} || exit 9" for part in parts)]
    for ran in at_once((main, theirs), (main, ours)):
        assert ran.code == 0, ran.text
    assert_all_is_well(main, before)
    history = must(main, "git", "log", "--format=%H", "-p", "git-annex", "--", "numcopies.log")
    assert len(re.findall(r"^\+\d+s [12]$", history.out, re.MULTILINE)) >= 16


@contextmanager
def locked_by_shell(folder: Path, key: str) -> Iterator[None]:
    """Content that a git-annex server has promised to keep."""
    uuid = must(folder, "git", "config", "annex.uuid").out.strip()
    server = subprocess.Popen(
        ["git-annex-shell", "p2pstdio", str(folder), "00000000-0000-4000-8000-000000000000",
         "--uuid", uuid],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    try:
        server.stdin.write(f"VERSION 1\nLOCKCONTENT {key}\n".encode())
        server.stdin.flush()
        ends_at = time.monotonic() + 30
        for line in server.stdout:
            if line == b"SUCCESS\n":
                break
            assert b"FAILURE" not in line and time.monotonic() < ends_at, line
        yield
        server.stdin.write(b"UNLOCKCONTENT\n")
        server.stdin.close()
        server.wait(30)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_content_that_a_server_has_promised_to_keep_is_not_dropped(clones: Path) -> None:
    a = clones / "a"
    must(a, HOLD, "get", "-q")
    key = sorted(objects(a))[3]
    with locked_by_shell(a, key):
        ran = hold(a, "drop", ".")
        assert ran.code != 0 and can_be_acted_on(ran), ran.text
        assert "H207" in ran.err
        assert list(objects(a)) == [key]
        check_ledger(a)
    must(a, HOLD, "drop", "-q", ".")
    assert not objects(a)
    check_ledger(a)
