"""Reading over SFTP from real git-annex repositories, through a real sshd; and where that is not."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.abilities import Stream
from holdfast.core.errors import AccessError, HoldError, NotFoundError, PlaceUnavailableError
from holdfast.core.key import Key, object_path
from holdfast.core.outcome import Status
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.p2p_connection import P2pConnection
from holdfast.stores.ssh import SshAnnex
from holdfast.testing.folder_target import FolderTarget
from holdfast.testing.store_contract import key_of
from holdfast.transfer.carry import iter_carry
from holdfast.transfer.plan import Attempts
from holdfast.transfer.receive import receive

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex-shell") is None, reason="git-annex is not installed"
    ),
]

BIG = os.urandom(6_000_000)
FILES = {f"sub {n % 7}/file {n}.txt": b"content %d\n" % n for n in range(300)} | {"big.dat": BIG}
MISSING = key_of(b"nobody has this")


@pytest.fixture(scope="module")
def there(tools: Tools, shelf: Path) -> Path:
    """A repository with a work tree, made by git-annex."""
    folder = shelf / "it's there"
    folder.mkdir()
    tools.git(folder, "init", "-q")
    tools.annex(folder, "init", "-q", "there")
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    tools.annex(folder, "add", "-q", ".")
    tools.git(folder, "commit", "-q", "-m", "all")
    return folder


@pytest.fixture(scope="module")
def keys(tools: Tools, there: Path) -> dict[str, Key]:
    return {os.fsdecode(name): Key(key) for name, key in tools.keys(there).items()}


class Counting(SshAnnex):
    """Tells whether git-annex-shell was ever started."""

    connected = 0

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        take = self._connections.take

        def counted(place: Place, *, sending: bool = False) -> P2pConnection:
            self.connected += 1
            return take(place, sending=sending)

        self._connections.take = counted  # type: ignore[method-assign]


@pytest.fixture
def opened() -> Iterator[list[SshAnnex]]:
    stores: list[SshAnnex] = []
    yield stores
    for store in stores:
        store.close()


def open_store(
    tools: Tools, folder: Path, ssh_command: str, opened: list[SshAnnex], path: str = ""
) -> Counting:
    url = f"{getpass.getuser()}@127.0.0.1:{path or folder}"
    place = Place(PlaceId(tools.uuid(folder)), "there")
    opened.append(Counting(place, url, ssh_command=ssh_command, stall_s=10))
    return opened[-1]  # type: ignore[return-value]


def carry(store: SshAnnex, target: FolderTarget, keys: dict[str, Key]) -> list[Status]:
    plan = Attempts(MISSING, (store.place.id,))
    readers = {store.place.id: store}
    outcomes = list(iter_carry(keys.items(), lambda _: plan, readers, target, jobs=2))
    print([o.error.as_record() for o in outcomes if o.error][:3])  # shown when a test fails
    return [o.status for o in outcomes]


def all_there(target: FolderTarget, keys: dict[str, Key]) -> bool:
    return all(target.content(key) == FILES[name] for name, key in keys.items())


def test_all_content_comes_over_sftp_and_git_annex_shell_is_not_started(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str,
    opened: list[SshAnnex], bench: Path,
) -> None:  # fmt: skip
    store, target = open_store(tools, there, ssh_command, opened), FolderTarget(bench)
    assert set(carry(store, target, keys)) == {Status.OK}
    assert all_there(target, keys)
    with pytest.raises(NotFoundError), store.open_content(MISSING):
        pass
    assert not store.connected


def test_presence_and_locks_are_still_git_annex_shells_word(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str, opened: list[SshAnnex]
) -> None:
    store = open_store(tools, there, ssh_command, opened)
    key = keys["big.dat"]
    assert [a.presence for a in store.ask([key, MISSING])] == [Presence.PRESENT, Presence.ABSENT]
    with store.lock_content(key) as answer:
        assert answer.presence is Presence.PRESENT
    assert store.connected == 2


def test_without_the_subsystem_git_annex_shell_serves_all(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command_without_sftp: str,
    opened: list[SshAnnex], bench: Path,
) -> None:  # fmt: skip
    store = open_store(tools, there, ssh_command_without_sftp, opened)
    target = FolderTarget(bench)
    assert set(carry(store, target, keys)) == {Status.OK}
    assert all_there(target, keys)
    assert store.connected


def test_a_quiet_ssh_that_does_not_say_why_is_fallen_back_from(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command_without_sftp: str,
    opened: list[SshAnnex],
) -> None:  # fmt: skip
    quiet = ssh_command_without_sftp.replace("LogLevel=ERROR", "LogLevel=QUIET")
    store = open_store(tools, there, quiet, opened)
    with store.open_content(keys["big.dat"]) as stream:
        assert b"".join(stream.chunks) == BIG


def test_one_that_may_only_call_git_annex_shell_is_served_by_it(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str,
    opened: list[SshAnnex], bench: Path,
) -> None:  # fmt: skip
    folder = Path(ssh_command.split(" -i ")[1].split()[0]).parent
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(bench / "limited")]
    subprocess.run(words, check=True)
    shell = shutil.which("git-annex-shell")
    limit = f'command="{shell} -c \\"$SSH_ORIGINAL_COMMAND\\"",restrict '
    with (folder / "authorized").open("a") as allowed:
        allowed.write(limit + (bench / "limited.pub").read_text())
    limited = ssh_command.replace(str(folder / "id"), str(bench / "limited"))
    store = open_store(tools, there, limited, opened)
    target = FolderTarget(bench / "here")
    some = dict(list(keys.items())[:20])
    assert set(carry(store, target, some)) == {Status.OK}
    assert all_there(target, some)
    assert store.connected


def test_another_repository_at_the_address_is_refused_as_ever(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str
) -> None:
    url = f"{getpass.getuser()}@127.0.0.1:{there}"
    other = Place(PlaceId("00000000-0000-4000-8000-00000000000a"), "other")
    store = SshAnnex(other, url, ssh_command=ssh_command)
    with pytest.raises(AccessError) as caught, store.open_content(keys["big.dat"]):
        pass
    assert "expected repository UUID" in caught.value.why


def test_a_host_that_does_not_answer_is_told_as_ever(there: Path) -> None:
    command = "ssh -o BatchMode=yes -p 1"
    store = SshAnnex(Place(PlaceId("a"), "there"), f"127.0.0.1:{there}", ssh_command=command)
    with pytest.raises(PlaceUnavailableError) as caught, store.open_content(MISSING):
        pass
    assert "Connection refused" in caught.value.why


def test_a_host_that_refuses_is_asked_once(there: Path, ssh_command: str, bench: Path) -> None:
    count = bench / "count"
    (bench / "ssh").write_text(
        "#!/bin/sh\n"
        f'case " $* " in *" -G "*) ;; *) echo >> {count};; esac\n'  # that one connects to nobody
        f'exec {ssh_command} -o PubkeyAuthentication=no "$@"\n'
    )
    (bench / "ssh").chmod(0o755)
    store = SshAnnex(Place(PlaceId("a"), "x"), "127.0.0.1:/x", ssh_command=str(bench / "ssh"))
    with pytest.raises(AccessError), store.open_content(MISSING):
        pass
    assert count.read_text() == "\n"


@pytest.mark.parametrize("kind", ["bare", "git-file", "linked", "crippled"])
def test_repositories_of_all_kinds_are_read(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str,
    opened: list[SshAnnex], bench: Path, kind: str,
) -> None:  # fmt: skip
    other, path = bench / "other", bench / "other"
    if kind == "bare":
        other = path = bench / "other.git"
        tools.git(bench, "clone", "-q", "--bare", str(there), str(other))
    elif kind == "git-file":
        tools.git(bench, "clone", "-q", "--separate-git-dir", str(bench / "g"), there, other)
    else:
        tools.git(bench, "clone", "-q", str(there), str(other))
    if kind == "crippled":
        # As on a file system without symlinks: then content lies in either layout.
        tools.git(other, "config", "annex.crippledfilesystem", "true")
    tools.annex(other, "init", "-q", "other")
    if kind == "linked":
        path = bench / "linked"
        tools.git(other, "worktree", "add", "-q", str(path), "-b", "linked")
    names = [name for name in keys if name.startswith("sub 3/")] + ["big.dat"]
    words = ["--all"] if kind == "bare" else names
    tools.annex(other, "get", "-q", *words)
    store, target = open_store(tools, other, ssh_command, opened, str(path)), FolderTarget(bench)
    some = {name: keys[name] for name in names}
    assert set(carry(store, target, some)) == {Status.OK}
    assert all_there(target, some)
    assert not store.connected


def test_a_path_in_the_home_folder_is_read(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str, opened: list[SshAnnex]
) -> None:
    home = subprocess.run(
        [*ssh_command.split(), f"{getpass.getuser()}@127.0.0.1", "pwd"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    relative = os.path.relpath(there, home)
    for path in (relative, f"~/{relative}", f"~{getpass.getuser()}/{relative}"):
        store = open_store(tools, there, ssh_command, opened, path)
        with store.open_content(keys["big.dat"]) as stream:
            assert b"".join(stream.chunks) == BIG
        assert not store.connected, path


def test_a_transfer_goes_on_mid_file(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str,
    opened: list[SshAnnex], bench: Path,
) -> None:  # fmt: skip
    store, target = open_store(tools, there, ssh_command, opened), FolderTarget(bench)
    Path(os.fsdecode(target.partial_path(keys["big.dat"]))).write_bytes(BIG[:4_000_000])
    assert receive(target, keys["big.dat"], [store]).size == len(BIG) - 4_000_000
    assert target.content(keys["big.dat"]) == BIG


def test_a_connection_that_is_killed_mid_way_is_made_anew(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str,
    opened: list[SshAnnex], bench: Path,
) -> None:  # fmt: skip
    store, target = open_store(tools, there, ssh_command, opened), FolderTarget(bench)
    killed: list[int] = []

    def until_killed(amount: int) -> None:
        assert store._sftp is not None
        if not killed:
            (connection,) = store._sftp._all
            killed.append(connection._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    received = receive(target, keys["big.dat"], [store], until_killed)
    assert killed
    assert received.fresh
    assert target.content(keys["big.dat"]) == BIG


def test_a_copy_damaged_there_is_not_taken(
    tools: Tools, there: Path, keys: dict[str, Key], ssh_command: str,
    opened: list[SshAnnex], bench: Path,
) -> None:  # fmt: skip
    key = keys["sub 1/file 1.txt"]
    path = there / ".git/annex/objects" / os.fsdecode(object_path(key))
    path.chmod(0o644)
    path.write_bytes(b"x" * (key.size or 0))
    store, target = open_store(tools, there, ssh_command, opened), FolderTarget(bench)
    try:
        with pytest.raises(PlaceUnavailableError) as caught:
            receive(target, key, [store])
        assert carry(store, target, {"f": key}) == [Status.ERROR]
    finally:
        path.write_bytes(FILES["sub 1/file 1.txt"])
    assert "sent other bytes" in caught.value.why
    assert target.content(key) is None


def test_content_without_a_hash_comes_by_git_annex_shell(
    tools: Tools, there: Path, ssh_command: str, opened: list[SshAnnex]
) -> None:
    (there / "w").write_bytes(b"no hash")
    tools.annex(there, "add", "-q", "--backend=WORM", "w")
    worm = Key(tools.keys(there)[b"w"])
    store = open_store(tools, there, ssh_command, opened)
    with store.open_content(worm) as stream:
        assert b"".join(stream.chunks) == b"no hash"
    assert store.connected == 1
    found = []
    for key, stream_or_error in store.iter_contents([MISSING, worm, worm]):
        assert isinstance(stream_or_error, Stream | HoldError)
        whole = isinstance(stream_or_error, Stream) and b"".join(stream_or_error.chunks)
        found.append((key, whole))
    assert found == [(MISSING, False), (worm, b"no hash"), (worm, b"no hash")]
    tools.git(there, "rm", "-q", "-f", "w")


def test_hold_get_brings_all_from_a_clone_by_ssh(
    tools: Tools, there: Path, ssh_command: str, bench: Path
) -> None:
    url = f"ssh://{getpass.getuser()}@127.0.0.1{str(there).replace(' ', '%20')}"
    tools.hold(bench, "clone", url, str(bench / "here"), GIT_SSH_COMMAND=ssh_command)
    records = tools.hold(
        bench / "here", "get", "--json", ".", GIT_SSH_COMMAND=ssh_command
    ).records()
    assert {r["status"] for r in records if r.get("path")} == {"ok"}
    for name, content in FILES.items():
        assert (bench / "here" / name).read_bytes() == content
    tools.settled(bench / "here")
    assert list((bench / "here/.git/annex/othertmp").iterdir()) == []
    assert not list((bench / "here/.git/annex/tmp").glob("*"))


@pytest.mark.parametrize("program", ["hold", "annex"])
def test_what_the_remote_needs_of_ssh_is_read_from_its_settings(
    tools: Tools, there: Path, ssh_command: str, bench: Path, program: str
) -> None:
    here = bench / program
    url = f"ssh://{getpass.getuser()}@127.0.0.1{str(there).replace(' ', '%20')}"
    tools.git(bench, "clone", "-q", url, str(here), GIT_SSH_COMMAND=ssh_command)
    shell = shutil.which("git-annex-shell", path=tools.environment["PATH"])
    assert shell is not None
    options = ssh_command.removeprefix("ssh ")
    tools.git(here, "config", "remote.origin.annex-uuid", tools.uuid(there))
    tools.git(here, "config", "remote.origin.annex-ssh-options", options)
    tools.git(here, "config", "remote.origin.annex-shell", shell)
    call = tools.hold if program == "hold" else tools.annex
    call(here, "get", "big.dat")
    assert (here / "big.dat").read_bytes() == BIG
    call(here, "drop", "big.dat")
    call(here, "get", "big.dat")
    tools.git(here, "config", "remote.origin.annex-shell", "/nowhere/git-annex-shell")
    call(here, "drop", "big.dat", exits=4 if program == "hold" else 1)
    assert (here / "big.dat").read_bytes() == BIG
