"""SFTP servers that lie, break and hang: the right content or none, and another way where there is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.abilities import Stream
from holdfast.core.errors import HoldError, NotFoundError, PlaceUnavailableError
from holdfast.core.key import Key, object_path, object_path_lower
from holdfast.core.outcome import Outcome, Status
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.sftp import SftpAnnex
from holdfast.stores.sftp_file import WINDOW
from holdfast.testing import lying_sftp
from holdfast.testing.folder_target import FolderTarget
from holdfast.testing.lying_sftp import Lie
from holdfast.testing.store_contract import key_of
from holdfast.transfer.carry import iter_carry
from holdfast.transfer.plan import Attempts
from holdfast.transfer.receive import receive

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
SMALL = {key_of(b"content %d\n" % n): b"content %d\n" % n for n in range(300)}
BIG = os.urandom(9_000_000)
BIG_KEY = key_of(BIG)
CONTENTS = {**SMALL, BIG_KEY: BIG}
MISSING = key_of(b"nobody has this")
CONFIG = f"[core]\n\tbare = false\n[annex]\n\tuuid = {PLACE.id}\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("sftp") / "there")


@pytest.fixture
def target(tmp_path: Path) -> FolderTarget:
    return FolderTarget(tmp_path / "here")


def make_repository(folder: Path, config: str = CONFIG, inside: str = ".git") -> Path:
    for number, (key, content) in enumerate(CONTENTS.items()):
        layout = object_path_lower if number % 10 == 3 else object_path
        path = folder / inside / "annex/objects" / os.fsdecode(layout(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    (folder / inside / "config").write_text(config)
    return folder


def open_store(repository: Path | str, lie: Lie = Lie.HONEST) -> SftpAnnex:
    command = lying_sftp.command(lie)
    return SftpAnnex(PLACE, command, str(repository), connect_s=5, stall_s=1)


def carry(store: SftpAnnex, target: FolderTarget, keys: list[Key]) -> list[Outcome]:
    plan = Attempts(BIG_KEY, (PLACE.id,))
    wanted = [(f"f{number}", key) for number, key in enumerate(keys)]
    try:
        return list(iter_carry(wanted, lambda _: plan, {PLACE.id: store}, target, jobs=2))
    finally:
        store.close()


@pytest.mark.parametrize("lie", [Lie.HONEST, Lie.PLAIN, Lie.SHORT, Lie.BACKWARDS])
def test_odd_but_true_servers_are_understood(
    repository: Path, target: FolderTarget, lie: Lie
) -> None:
    outcomes = carry(open_store(repository, lie), target, list(CONTENTS))
    assert {o.status for o in outcomes} == {Status.OK}
    assert all(target.content(key) == content for key, content in CONTENTS.items())


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (Lie.FLIP, "sent other bytes"),
        (Lie.REFUSE, "may not be read there"),
        (Lie.FAIL, "the disk is on fire"),
        (Lie.LONG, "not its protocol"),
        (Lie.NONSENSE, "not its protocol"),
        (Lie.DEAD, "ended with code 0"),
    ],
)
def test_lying_servers_give_no_content_and_a_reason(
    repository: Path, target: FolderTarget, lie: Lie, why: str
) -> None:
    wanted = [*list(SMALL)[:50], BIG_KEY]
    outcomes = carry(open_store(repository, lie), target, wanted)
    assert {o.key for o in outcomes} == set(wanted)
    assert {o.status for o in outcomes} == {Status.ERROR}
    reasons = [o.error.why for o in outcomes if o.error is not None]
    assert any(why in reason for reason in reasons), reasons[0]
    assert all(target.content(key) is None for key in wanted)


@pytest.mark.parametrize("lie", [Lie.OLD, Lie.BANNER, Lie.MUTE, Lie.DEAD])
def test_where_sftp_does_not_lead_there_it_says_so(
    repository: Path, tmp_path: Path, lie: Lie
) -> None:
    where = tmp_path if lie is Lie.DEAD else repository
    store = SftpAnnex(PLACE, lying_sftp.command(lie), str(where), connect_s=0.5, stall_s=1)
    assert not store.can_read()
    assert not store.can_read()
    with pytest.raises(HoldError, match="not its protocol"), store.open_content(BIG_KEY):
        pass


def test_a_program_that_is_not_there_is_no_way(repository: Path) -> None:
    store = SftpAnnex(PLACE, ["/does/not/exist"], str(repository))
    assert not store.can_read()


def test_a_connection_that_breaks_answers_every_key_that_was_taken(repository: Path) -> None:
    store = open_store(repository, Lie.BREAK)
    taken: list[Key] = []

    def keys() -> Iterator[Key]:
        for key in SMALL:
            taken.append(key)
            yield key

    answers = []
    for key, found in store.iter_contents(keys()):
        if isinstance(found, Stream):
            assert b"".join(found.chunks) == SMALL[key]
        answers.append((key, found))
    assert [key for key, _ in answers] == taken
    failures = [found for _, found in answers if isinstance(found, HoldError)]
    assert 0 < len(failures) < len(taken) < len(SMALL)
    assert len(set(map(id, failures))) == 1
    assert isinstance(failures[0], PlaceUnavailableError)
    # The next connection is as good as the first was.
    assert isinstance(next(store.iter_contents(iter(SMALL)))[1], Stream)
    store.close()


def test_a_server_that_breaks_off_is_asked_for_the_rest(
    repository: Path, target: FolderTarget
) -> None:
    store = open_store(repository, Lie.BREAK)
    assert receive(target, BIG_KEY, [store]).size == len(BIG)
    assert target.content(BIG_KEY) == BIG
    store.close()


def test_one_that_breaks_before_it_gave_a_byte_is_no_way_after_two_tries(
    repository: Path,
) -> None:
    store = open_store(repository, Lie.DEAD)
    assert store.can_read()
    for _ in range(2):
        with pytest.raises(PlaceUnavailableError), store.open_content(BIG_KEY) as stream:
            list(stream.chunks)
    assert not store.can_read()
    store.close()


def test_a_broken_transfer_goes_on_from_where_it_was(
    repository: Path, target: FolderTarget
) -> None:
    store = open_store(repository)
    Path(os.fsdecode(target.partial_path(BIG_KEY))).write_bytes(BIG[:5_000_001])
    assert receive(target, BIG_KEY, [store]).size == len(BIG) - 5_000_001
    assert target.content(BIG_KEY) == BIG
    store.close()


def test_a_file_that_is_cut_short_is_not_taken(tmp_path: Path, target: FolderTarget) -> None:
    folder = make_repository(tmp_path / "there")
    path = folder / ".git/annex/objects" / os.fsdecode(object_path(BIG_KEY))
    path.write_bytes(BIG[:-1])
    small = next(iter(SMALL))
    (folder / ".git/annex/objects" / os.fsdecode(object_path(small))).write_bytes(b"")
    outcomes = carry(open_store(folder), target, [BIG_KEY, small])
    assert {o.status for o in outcomes} == {Status.ERROR}
    assert all("it should have" in o.error.why for o in outcomes if o.error is not None)


def test_what_is_kept_ahead_is_bounded(repository: Path) -> None:
    store = open_store(repository)
    with store.open_content(BIG_KEY) as stream:
        next(stream.chunks)
        time.sleep(0.3)
        (connection,) = store._all
        assert len(connection._waiting) <= WINDOW / connection.read_max + 1
    assert isinstance(next(store.iter_contents([BIG_KEY]))[1], Stream)
    store.close()


def test_many_large_files_ahead_do_not_starve_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    contents = {key_of(c): c for c in (os.urandom(3_000_000) for _ in range(8))}
    for number, (key, content) in enumerate(contents.items()):
        # The first is found at its second place, when the others are being read already.
        layout = object_path if number else object_path_lower
        path = folder / ".git/annex/objects" / os.fsdecode(layout(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    (folder / ".git/config").write_text(CONFIG)
    store = open_store(folder, Lie.PLAIN)
    for key, found in store.iter_contents(contents):
        assert isinstance(found, Stream)
        assert b"".join(found.chunks) == contents[key]
    store.close()


def test_presence_is_what_is_there_now(repository: Path, tmp_path: Path) -> None:
    store = open_store(repository)
    answers = store.ask([*CONTENTS, MISSING, *CONTENTS])
    assert [a.presence for a in answers].count(Presence.PRESENT) == 2 * len(CONTENTS)
    assert answers[len(CONTENTS)].presence is Presence.ABSENT
    store.close()
    (answer,) = open_store(tmp_path / "nothing").ask([MISSING])
    assert answer.presence is Presence.UNKNOWN


def test_a_file_of_another_size_is_no_copy(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "there")
    (folder / ".git/annex/objects" / os.fsdecode(object_path(BIG_KEY))).write_bytes(b"x")
    store = open_store(folder)
    (answer,) = store.ask([BIG_KEY])
    assert answer.presence is Presence.ABSENT
    assert "1 bytes there" in answer.remark
    store.close()


# where the repository is


def reads(store: SftpAnnex, key: Key = BIG_KEY) -> bool:
    if not store.can_read():
        return False
    with store.open_content(key) as stream:
        right = b"".join(stream.chunks) == CONTENTS[key]
    with pytest.raises(NotFoundError), store.open_content(MISSING):
        pass
    store.close()
    return right


def test_another_repository_at_the_path_is_not_read(tmp_path: Path) -> None:
    other = CONFIG.replace("8c0a", "9c0a")
    assert not reads(open_store(make_repository(tmp_path / "there", other)))


def test_a_tuned_repository_is_not_read(tmp_path: Path) -> None:
    tuned = f'{CONFIG}[annex "tune"]\n\tobjecthash1 = true\n'
    assert not reads(open_store(make_repository(tmp_path / "there", tuned)))


def test_a_repository_without_an_annex_is_not_read(tmp_path: Path) -> None:
    assert not reads(open_store(make_repository(tmp_path / "there", "[core]\n\tbare = false\n")))


def test_a_bare_repository_is_read_by_its_name_with_and_without_git(tmp_path: Path) -> None:
    bare = CONFIG.replace("false", "true")
    make_repository(tmp_path / "there.git", bare, inside="")
    assert reads(open_store(tmp_path / "there.git"))
    assert reads(open_store(f"{tmp_path}/there.git/"))
    assert reads(open_store(tmp_path / "there"))


def test_a_git_folder_itself_is_read(tmp_path: Path) -> None:
    assert reads(open_store(make_repository(tmp_path / "there") / ".git"))


@pytest.mark.parametrize("absolute", [True, False])
def test_a_git_file_is_followed(tmp_path: Path, absolute: bool) -> None:
    make_repository(tmp_path / "modules", inside="sub")
    (tmp_path / "work").mkdir()
    folder = tmp_path / "modules/sub" if absolute else "../modules/sub"
    (tmp_path / "work/.git").write_text(f"gitdir: {folder}\n")
    assert reads(open_store(tmp_path / "work"))


def test_a_linked_work_tree_is_followed_to_what_it_shares(tmp_path: Path) -> None:
    git = make_repository(tmp_path / "there") / ".git"
    (git / "worktrees/w").mkdir(parents=True)
    (git / "worktrees/w/commondir").write_text("../..\n")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/.git").write_text(f"gitdir: {git}/worktrees/w\n")
    assert reads(open_store(tmp_path / "work"))


def test_a_git_file_that_leads_nowhere_is_no_way(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for said in ("gitdir: ../gone\n", "who knows\n", ""):
        (tmp_path / "work/.git").write_text(said)
        assert not reads(open_store(tmp_path / "work"))


def test_a_path_in_the_home_folder_is_where_the_server_starts(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.parent)
    assert reads(open_store(f"/~/{repository.name}"))
    assert not reads(open_store(f"/~somebody/{repository.name}"))
