"""git-annex-shell as a source: directly, and through a real sshd on a loopback port."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.abilities import BulkReadable, Stream
from holdfast.core.errors import HoldError, NotFoundError, PlaceUnavailableError
from holdfast.core.key import Key, object_path
from holdfast.core.outcome import Status
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.ssh import SshAnnex
from holdfast.testing.folder_target import FolderTarget
from holdfast.testing.store_contract import key_of
from holdfast.transfer.carry import iter_carry
from holdfast.transfer.plan import Attempts
from holdfast.transfer.receive import receive

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex-shell") is None, reason="git-annex is not installed"
    ),
]

CONTENTS = {key_of(b"content %d\n" % n): b"content %d\n" % n for n in range(250)}
BIG = os.urandom(3_000_000)
BIG_KEY = key_of(BIG)
MISSING = key_of(b"nobody has this")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ssh") / "it's there"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for words in (
        ["config", "user.name", "A Person"],
        ["config", "user.email", "person@example.org"],
        ["annex", "init", "-q", "there"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    for key, content in {**CONTENTS, BIG_KEY: BIG}.items():
        path = folder / ".git/annex/objects" / os.fsdecode(object_path(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return folder


def uuid_of(repository: Path) -> PlaceId:
    words = ["git", "-C", str(repository), "config", "annex.uuid"]
    return PlaceId(subprocess.run(words, capture_output=True, text=True).stdout.strip())


@pytest.fixture
def store(repository: Path) -> Iterator[SshAnnex]:
    place = Place(uuid_of(repository), "there")
    made = SshAnnex(place, command=["git-annex-shell"], path=str(repository), stall_s=10)
    yield made
    made.close()


def test_the_uuid_is_found_out(repository: Path) -> None:
    nameless = Place(PlaceId(""), "there")
    store = SshAnnex(nameless, command=["git-annex-shell"], path=str(repository))
    assert store.discover() == uuid_of(repository)


def test_a_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = SshAnnex(
        Place(PlaceId(""), "there"), command=["git-annex-shell"], path=str(tmp_path / "x")
    )
    with pytest.raises(PlaceUnavailableError) as caught:
        store.discover()
    assert "failed to read git config" in caught.value.why


def test_another_repository_at_the_address_is_no_witness(repository: Path) -> None:
    other = Place(PlaceId("00000000-0000-4000-8000-00000000000a"), "other")
    store = SshAnnex(other, command=["git-annex-shell"], path=str(repository))
    answers = store.ask(list(CONTENTS))
    assert {a.presence for a in answers} == {Presence.UNKNOWN}
    assert "expected repository UUID" in answers[0].remark


def test_hundreds_of_questions_go_ahead(store: SshAnnex) -> None:
    keys = [*CONTENTS, MISSING, *CONTENTS]
    answers = [a.presence for a in store.ask(keys)]
    assert answers.count(Presence.ABSENT) == 1
    assert answers[len(CONTENTS)] is Presence.ABSENT


def test_a_locked_copy_stays_while_it_is_locked(store: SshAnnex, repository: Path) -> None:
    key = next(iter(CONTENTS))
    drop = ["git", "-C", str(repository), "annex", "drop", "--force", "-q", "--key", key.decode()]
    with store.lock_content(key) as answer:
        assert answer.presence is Presence.PRESENT
        assert subprocess.run(drop, capture_output=True).returncode != 0
    with store.lock_content(MISSING) as answer:
        assert answer.presence is Presence.ABSENT
    assert store.ask([key])[0].presence is Presence.PRESENT
    companion = repository / ".git/annex/objects" / os.fsdecode(object_path(key) + b".rtm")
    assert not companion.exists()


def test_a_lock_ends_also_when_the_block_fails(store: SshAnnex, repository: Path) -> None:
    key = next(iter(CONTENTS))
    with pytest.raises(ZeroDivisionError), store.lock_content(key):
        raise ZeroDivisionError
    store.ask([key])
    companion = repository / ".git/annex/objects" / os.fsdecode(object_path(key) + b".rtm")
    assert not companion.exists()


def test_a_broken_transfer_goes_on_from_where_it_was(store: SshAnnex, tmp_path: Path) -> None:
    target = FolderTarget(tmp_path)
    Path(os.fsdecode(target.partial_path(BIG_KEY))).write_bytes(BIG[:1_000_000])
    assert receive(target, BIG_KEY, [store]).size == len(BIG) - 1_000_000
    assert target.content(BIG_KEY) == BIG


def test_many_small_files_come_in_bulk(store: SshAnnex, tmp_path: Path) -> None:
    assert isinstance(store, BulkReadable)
    target = FolderTarget(tmp_path)
    wanted = [(f"f{n}", key) for n, key in enumerate([*CONTENTS, MISSING, BIG_KEY])]
    place = store.place.id
    outcomes = list(
        iter_carry(wanted, lambda key: Attempts(key, (place,)), {place: store}, target, jobs=2)
    )
    bad = [o for o in outcomes if o.status is not Status.OK]
    assert [o.key for o in bad] == [MISSING]
    assert bad[0].error is not None
    assert "sends nothing of it" in bad[0].error.why
    assert all(target.content(key) == content for key, content in CONTENTS.items())
    assert target.content(BIG_KEY) == BIG


def test_saying_success_ahead_leaves_no_trace_in_the_ledger(
    store: SshAnnex, repository: Path
) -> None:
    def ledger() -> str:
        words = ["git", "-C", str(repository), "rev-parse", "git-annex"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    before = ledger()
    for _, found in store.iter_contents([*CONTENTS, MISSING]):
        if isinstance(found, Stream):
            list(found.chunks)
    store.close()
    assert ledger() == before
    assert list((repository / ".git/annex").glob("journal/*")) == []
    transfers = (repository / ".git/annex/transfer").rglob("*")
    assert [path.name for path in transfers if path.is_file()] == []


def test_a_copy_damaged_there_is_not_taken(
    store: SshAnnex, repository: Path, tmp_path: Path
) -> None:
    key = list(CONTENTS)[7]
    path = repository / ".git/annex/objects" / os.fsdecode(object_path(key))
    path.write_bytes(b"x" * len(CONTENTS[key]))
    target = FolderTarget(tmp_path)
    try:
        with pytest.raises(PlaceUnavailableError) as caught:
            receive(target, key, [store])
    finally:
        path.write_bytes(CONTENTS[key])
    assert "sent other bytes" in caught.value.why
    assert target.content(key) is None


def test_when_the_server_dies_every_key_that_was_taken_has_an_answer(store: SshAnnex) -> None:
    taken: list[Key] = []

    def keys() -> Iterator[Key]:
        for key in CONTENTS:
            taken.append(key)
            yield key

    answered: list[Key] = []
    errors = 0
    for key, found in store.iter_contents(keys()):
        answered.append(key)
        if len(answered) == 3:
            (connection,) = store._connections._all
            connection.kill()
        try:
            assert isinstance(found, Stream) or not isinstance(found, NotFoundError)
            _ = list(found.chunks) if isinstance(found, Stream) else None
            errors += not isinstance(found, Stream)
        except HoldError:
            errors += 1
    assert answered == taken
    assert errors > 0
    assert store.ask(list(CONTENTS)[:1])[0].presence is Presence.PRESENT


def test_a_program_that_speaks_something_else_is_told(repository: Path) -> None:
    place = Place(PlaceId(""), "there")
    store = SshAnnex(place, command=["echo", "Welcome!"], path=str(repository))
    (answer,) = store.ask([BIG_KEY])
    assert answer.presence is Presence.UNKNOWN
    assert "not its protocol" in answer.remark


def test_a_mute_program_is_given_up(repository: Path) -> None:
    command = ["sh", "-c", "sleep 60"]
    place = Place(PlaceId(""), "there")
    store = SshAnnex(place, command=command, path=str(repository), connect_s=0.2)
    started = time.monotonic()
    assert "stopped sending" in store.ask([BIG_KEY])[0].remark
    assert time.monotonic() - started < 5


# through sshd


def test_all_of_it_works_through_sshd(ssh_command: str, repository: Path, tmp_path: Path) -> None:
    url = f"{getpass.getuser()}@127.0.0.1:{repository}"
    store = SshAnnex(Place(PlaceId(""), "there"), url, ssh_command=ssh_command)
    uuid = store.discover()
    assert uuid == uuid_of(repository)
    store = SshAnnex(Place(PlaceId(uuid or ""), "there"), url, ssh_command=ssh_command)
    try:
        assert [a.presence.value for a in store.ask([BIG_KEY, MISSING])] == ["present", "absent"]
        with store.lock_content(BIG_KEY) as answer:
            assert answer.presence is Presence.PRESENT
        with store.open_content(BIG_KEY, 2_999_000) as stream:
            assert b"".join(stream.chunks) == BIG[2_999_000:]
        target = FolderTarget(tmp_path)
        place = store.place.id
        wanted = [(f"f{n}", key) for n, key in enumerate(CONTENTS)]
        plan = Attempts(BIG_KEY, (place,))
        outcomes = list(iter_carry(wanted, lambda _: plan, {place: store}, target))
        assert {o.status for o in outcomes} == {Status.OK}
    finally:
        store.close()


def test_a_host_that_refuses_is_told(ssh_command: str) -> None:
    command = ssh_command.replace("IdentitiesOnly=yes", "PubkeyAuthentication=no")
    store = SshAnnex(Place(PlaceId(""), "there"), "127.0.0.1:/x", ssh_command=command)
    with pytest.raises(HoldError) as caught:
        store.discover()
    assert caught.value.code == "H302"
    assert "Permission denied" in caught.value.why
