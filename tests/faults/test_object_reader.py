"""Reading git objects through one kept process: by turns, broken off, with odd names, killed."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from holdfast.core.errors import HoldError
from holdfast.dataset import object_reader
from holdfast.dataset.git import Git


@pytest.fixture
def git(tmp_path: Path) -> Git:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return Git(bytes(tmp_path))


def put(git: Git, *contents: bytes) -> list[bytes]:
    return [git.run("hash-object", "-w", "--stdin", data=one).strip() for one in contents]


def test_objects_come_in_the_order_they_were_asked_for(git: Git) -> None:
    names = put(git, b"one", b"two\nlines\n", b"")
    many = names * 700
    found = list(git.objects.iter_read(many))
    assert [answer[1] for answer in found if answer] == [b"one", b"two\nlines\n", b""] * 700
    assert [answer[2] for answer in found if answer] == many


def test_what_is_missing_is_none_in_its_place(git: Git) -> None:
    [name] = put(git, b"one")
    found = list(git.objects.iter_read([b"0" * 40, name, b"HEAD"]))
    assert [answer and answer[1] for answer in found] == [None, b"one", None]


def test_a_name_longer_than_a_pipe_holds_is_asked_for(git: Git) -> None:
    [name] = put(git, b"one")
    large = put(git, b"x" * 300_000)[0]
    names = [name, large, b"HEAD:" + b"long" * 50_000, large, b"HEAD:" + b"n" * 3000, name]
    found = [answer and len(answer[1]) for answer in git.objects.iter_read(names)]
    assert found == [3, 300_000, None, 300_000, None, 3]


def test_large_objects_never_leave_both_sides_waiting(git: Git) -> None:
    names = put(git, *(bytes([i]) * 200_000 for i in range(4)))
    sizes = {len(answer[1]) for answer in git.objects.iter_read(names * 100) if answer}
    assert sizes == {200_000}


def test_one_reading_does_not_disturb_another(git: Git) -> None:
    names = put(git, *(b"%d" % i for i in range(200)))
    first, second = git.objects.iter_read(names), git.objects.iter_read(reversed(names))
    for i in range(200):
        one, single, other = next(first), git.objects.read(names[7]), next(second)
        assert one and single and other
        assert (one[1], single[1], other[1]) == (b"%d" % i, b"7", b"%d" % (199 - i))


def test_a_reading_that_is_broken_off_leaves_the_next_one_its_own_answers(git: Git) -> None:
    names = put(git, b"one", b"two", b"three")
    broken = git.objects.iter_read(names)
    assert next(broken) is not None
    broken.close()  # type: ignore[attr-defined]
    answer = git.objects.read(names[2])
    assert answer is not None and answer[1] == b"three"


def test_threads_may_read_at_the_same_time(git: Git) -> None:
    names = put(git, *(b"%d" % i for i in range(50)))
    wrong: list[object] = []

    def read(number: int) -> None:
        for _ in range(20):
            answer = git.objects.read(names[number])
            if answer is None or answer[1] != b"%d" % number:
                wrong.append(answer)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_objects_and_refs_made_since_the_process_started_are_seen(git: Git) -> None:
    assert git.objects.read(b"refs/tags/new") is None
    [name] = put(git, b"made later")
    git.run("update-ref", "refs/tags/new", name)
    answer = git.objects.read(b"refs/tags/new")
    assert answer == (b"blob", b"made later", name)
    git.run("pack-refs", "--all")
    assert git.objects.read(b"refs/tags/new") == answer


def test_a_git_that_was_killed_is_told_and_the_next_one_answers(git: Git) -> None:
    [name] = put(git, b"one")
    assert git.objects.read(name) is not None
    kept = git.objects._contents._process
    assert kept is not None
    kept.kill()
    kept.wait()
    with pytest.raises(HoldError):
        git.objects.read(name)
    assert git.objects.read(name) is not None


def test_many_objects_have_a_process_of_their_own(
    git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_reader, "_FEW", 10)
    names = put(git, *(b"%d" % i for i in range(30)))
    assert [a[1] for a in git.objects.iter_read(names) if a] == [b"%d" % i for i in range(30)]
    assert git.objects._contents._process is None


def test_sizes_are_told_by_the_same_means(git: Git) -> None:
    names = put(git, b"one", b"x" * 300_000)
    sizes = dict(git.objects.iter_sizes([names[0], b"0" * 40, names[1]]))
    assert sizes == {names[0]: 3, names[1]: 300_000}
    assert list(git.objects.iter_sizes([])) == []
    many = names * object_reader._FEW
    assert len(list(git.objects.iter_sizes(many))) == len(many)
