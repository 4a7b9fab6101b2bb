"""Our git-annex-shell behind a real sshd: the real git-annex, and hold, as clients."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cutting_proxy import CuttingProxy

import holdfast
from holdfast.core.errors import AccessError, PlaceUnavailableError, PolicyError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.core.policy import CopyRules, DropProof, Hold, Waiver, Witness
from holdfast.stores.ssh import SshAnnex
from holdfast.testing.store_contract import content_of, ignore, key_of

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

SOURCE = str(Path(holdfast.__file__).parents[1])
BIG = os.urandom(6_000_000)
MORE = 300_000
"""So much the protocols around it may take."""


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The console script of this very source, whatever is installed."""
    path = tmp_path_factory.mktemp("bin") / "hold-annex-shell"
    path.write_text(
        f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -m holdfast.site.annex_shell "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def there(tools: Tools, bench: Path) -> Path:
    folder = tools.create("annex", bench / "there")
    tools.write(folder, {"small": b"small\n", "big": BIG})
    tools.save("annex", folder)
    return folder


def over(ssh_command: str) -> dict[str, str]:
    return {"GIT_SSH_COMMAND": ssh_command, "GIT_ANNEX_USE_GIT_SSH": "1"}


def clone_of(tools: Tools, there: Path, folder: Path, ssh: Mapping[str, str], shell: str) -> Path:
    url = f"{getpass.getuser()}@127.0.0.1:{there}"
    tools.git(folder.parent, "clone", "-q", there, folder)
    tools.git(folder, "remote", "set-url", "origin", url)
    tools.git(folder, "config", "remote.origin.annex-shell", shell)
    tools.git(folder, "config", "annex.sshcaching", "false")
    tools.annex(folder, "init", "-q", folder.name, **ssh)
    return folder


def key_of_file(tools: Tools, folder: Path, path: str) -> Key:
    return Key(tools.annex(folder, "lookupkey", path).output.strip())


def test_git_annex_gets_puts_locks_and_drops(
    tools: Tools, there: Path, bench: Path, ssh_command: str, shell: str
) -> None:
    ssh = over(ssh_command)
    tools.annex(there, "unlock", "small")
    tools.git(there, "commit", "-qm", "unlocked")
    clone = clone_of(tools, there, bench / "clone", ssh, shell)
    tools.annex(clone, "get", ".", **ssh)
    assert (clone / "big").read_bytes() == BIG
    tools.annex(clone, "drop", "big", **ssh)
    tools.annex(clone, "drop", "--from", "origin", "small", **ssh)
    assert b"/annex/objects/" in (there / "small").read_bytes()
    tools.write(clone, {"new": b"new\n"})
    tools.save("annex", clone)
    tools.annex(clone, "move", "--to", "origin", "new", **ssh)
    tools.annex(clone, "copy", "--to", "origin", "small", **ssh)
    assert (there / "small").read_bytes() == b"small\n"
    told = tools.annex(there, "whereis", "--all", "--json").records()
    here = tools.uuid(there)
    assert all(here in {place["uuid"] for place in record["whereis"]} for record in told)  # type: ignore[union-attr, index]
    assert len(told) == 3
    assert list(there.rglob("*.rtm")) == []
    tools.annex(there, "fsck", "--all")


def test_git_annexs_own_test_of_remotes_finds_nothing(
    tools: Tools, there: Path, bench: Path, ssh_command: str, shell: str
) -> None:
    ssh = over(ssh_command)
    clone = clone_of(tools, there, bench / "clone", ssh, shell)
    words = ("testremote", "origin", "--fast", "--size", "10kb")
    told = tools._run("git-annex", clone, words, None, ssh).all_text
    # Its remote that cannot be reached is one whose host is unknown; ssh in this test knows one only.
    assert "125 tests" in told, told
    assert re.findall(r"key size .*\n(?:.*OK.*\n)*.*FAIL", told) == []


def test_a_lost_connection_goes_on_where_it_was(
    tools: Tools, there: Path, bench: Path, ssh_command: str, shell: str
) -> None:
    port = int(re.search(r"-p (\d+)", ssh_command)[1])  # type: ignore[index]
    with CuttingProxy(port) as proxy:
        ssh = over(ssh_command.replace(f"-p {port}", f"-p {proxy.port}"))
        clone = clone_of(tools, there, bench / "clone", ssh, shell)
        tools.git(clone, "config", "annex.forward-retry", "0")
        proxy.cut_down = proxy.down + 3_000_000
        tools.annex(clone, "get", "big", exits=1, **ssh)
        # What ssh had not given on when it ended, up to its window of 2 MiB, is lost.
        came = unfinished(clone)
        assert came
        proxy.count_anew()
        tools.annex(clone, "get", "big", **ssh)
        assert proxy.down < len(BIG) - came + MORE
        assert (clone / "big").read_bytes() == BIG
        tools.write(clone, {"up": BIG[::-1]})
        tools.save("annex", clone)
        proxy.count_anew()
        proxy.cut_up = 3_500_000
        tools.annex(clone, "copy", "--to", "origin", "up", exits=1, **ssh)
        wait_until_quiet(there)
        came = unfinished(there)
        assert came
        proxy.count_anew()
        tools.annex(clone, "copy", "--to", "origin", "up", **ssh)
        assert proxy.up < len(BIG) - came + MORE
    assert "1 copy" not in tools.annex(clone, "whereis", "up").text


def unfinished(folder: Path) -> int:
    """How many bytes of content have come so far."""
    return sum(path.stat().st_size for path in folder.glob(".git/annex/tmp/*"))


def wait_until_quiet(folder: Path) -> None:
    """Until a server has read all that came before the cut; much of it fits into the system."""
    sizes = [-1, -2]
    while (sizes[-1] != sizes[-2] or not sizes[-1]) and len(sizes) <= 12:
        time.sleep(0.5)
        sizes.append(unfinished(folder))


@pytest.mark.parametrize("whose", ["git-annex's", "ours"])
def test_what_we_send_goes_on_where_it_was(
    tools: Tools, there: Path, ssh_command: str, shell: str, whose: str
) -> None:
    port = int(re.search(r"-p (\d+)", ssh_command)[1])  # type: ignore[index]
    key = key_of(BIG[::-1], b".dat")
    name = shell if whose == "ours" else "git-annex-shell"
    with CuttingProxy(port) as proxy:
        store = SshAnnex(
            Place(PlaceId(tools.uuid(there)), "there"),
            f"{getpass.getuser()}@127.0.0.1:{there}",
            ssh_command=ssh_command.replace(f"-p {port}", f"-p {proxy.port}"),
            shell=name, stall_s=10,
        )  # fmt: skip
        proxy.cut_up = 3_500_000
        with pytest.raises(PlaceUnavailableError):
            store.send(key, content_of(key, BIG[::-1]), ignore)
        assert store.ask([key])[0].presence is Presence.ABSENT
        wait_until_quiet(there)
        came = unfinished(there)
        assert came
        proxy.count_anew()
        told: list[int] = []
        store.send(key, content_of(key, BIG[::-1]), told.append)
        assert sum(told) == len(BIG)
        assert proxy.up < len(BIG) - came + MORE
        assert store.ask([key])[0].presence is Presence.PRESENT
        store.close()


@pytest.mark.parametrize("whose", ["git-annex's", "ours"])
def test_what_may_not_be_done_is_refused(
    tools: Tools, there: Path, bench: Path, shell: str, whose: str
) -> None:
    key, new = key_of_file(tools, there, "small"), key_of(b"new\n")
    name = shell if whose == "ours" else str(tools._programs["git-annex"]) + "-shell"
    place = Place(PlaceId(tools.uuid(there)), "there")
    waiver = Waiver(key, place.id, "a test", "it is one")
    for setting, may_send in (("READONLY", False), ("APPENDONLY", True)):
        command = ["env", f"GIT_ANNEX_SHELL_{setting}=1", name]
        store = SshAnnex(place, command=command, path=str(there))
        with pytest.raises(AccessError, match="refuses"):
            store.remove(key, waiver)
        if may_send:
            store.send(new, content_of(new, b"new\n"), ignore)
        else:
            with pytest.raises(AccessError):
                store.send(new, content_of(new, b"new\n"), ignore)
            ((_, error),) = store.iter_send([(new, content_of(new, b"new\n"))], ignore)
            assert isinstance(error, AccessError)
        assert store.ask([key])[0].presence is Presence.PRESENT
        store.close()
    elsewhere = SshAnnex(
        place, command=["env", f"GIT_ANNEX_SHELL_DIRECTORY={bench}", name], path=str(there)
    )
    assert elsewhere.ask([key])[0].presence is Presence.UNKNOWN


@pytest.mark.parametrize("whose", ["git-annex's", "ours"])
def test_removal_heeds_locks_and_the_end_of_promises(
    tools: Tools, there: Path, shell: str, whose: str
) -> None:
    key = key_of_file(tools, there, "small")
    name = shell if whose == "ours" else str(tools._programs["git-annex"]) + "-shell"
    place = Place(PlaceId(tools.uuid(there)), "there")
    other = Place(PlaceId("8c0a2b1e-0000-4000-8000-0000000000ff"), "other")

    def proof(until: float) -> DropProof:
        seen = Witness(key, other, Presence.PRESENT, Hold.LOCKED, until=until)
        return DropProof(key, place.id, (seen,), CopyRules())

    store = SshAnnex(place, command=[name], path=str(there))
    vanished = SshAnnex(place, command=[name], path=str(there))
    with store.lock_content(key) as answer:
        assert answer.presence is Presence.PRESENT
        with pytest.raises(PolicyError, match="keeps"):
            store.remove(key, Waiver(key, place.id, "a test", "it is one"))
    with pytest.raises(PolicyError, match="run out"):
        store.remove(key, proof(time.monotonic() + 5))
    with vanished.lock_content(key):
        (connection,) = vanished._connections._all
        connection.kill()
    with pytest.raises(PolicyError, match="keeps"):
        store.remove(key, proof(time.monotonic() + 600))
    for promise in there.rglob("*.rtm"):
        promise.write_bytes(b"1.5s")
    store.remove(key, proof(time.monotonic() + 600))
    assert store.ask([key])[0].presence is Presence.ABSENT
    store.close()


def test_forced_commands_and_gits_own_words_are_understood(
    tools: Tools, there: Path, shell: str
) -> None:
    def call(*words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        environment = {**tools.environment, **more}
        return subprocess.run([shell, *words], env=environment, capture_output=True, input=b"0000")

    line = f"annex.uuid={tools.uuid(there)}\n".encode()
    assert line in call("configlist", str(there)).stdout
    for name in ("git-annex-shell ", "hold-annex-shell ", ""):
        wanted = f"{name}'configlist' '{there}'"
        assert line in call("-c", wanted).stdout
        assert line in call(SSH_ORIGINAL_COMMAND=wanted).stdout
    assert b"refs/heads/git-annex" in call("-c", f"git-upload-pack '{there}'").stdout
    assert b"refs/heads/git-annex" in call("-c", f"git upload-pack '{there}'").stdout
    readonly = call("-c", f"git-receive-pack '{there}'", GIT_ANNEX_SHELL_READONLY="1")
    assert (readonly.returncode, b"refs/heads" in readonly.stdout) == (2, False)
    assert call("-c", "ls /").returncode == 2
    assert call("-c", f"git-upload-pack '{there}'", GIT_ANNEX_SHELL_LIMITED="1").returncode == 2
    key = key_of_file(tools, there, "small").decode()
    assert call("inannex", str(there), key).returncode == 0
    assert call("inannex", str(there), key + "x").returncode == 1


def test_many_small_files_go_ahead_where_hold_is_there(
    tools: Tools, there: Path, shell: str
) -> None:
    contents = {key_of(b"%d" % n * 300): b"%d" % n * 300 for n in range(400)}
    wrong = key_of(b"right")
    items = [(key, content_of(key, data)) for key, data in contents.items()]
    items.insert(200, (wrong, content_of(wrong, b"wrong")))
    big = key_of(BIG[1:])
    items.insert(300, (big, content_of(big, BIG[1:])))
    place = Place(PlaceId(tools.uuid(there)), "there")
    store = SshAnnex(place, command=[shell], path=str(there))
    told: list[int] = []
    answers = dict(store.iter_send(iter(items), told.append))
    assert {key for key, error in answers.items() if error is not None} == {wrong}
    assert len(answers) == 402
    assert sum(told) == sum(map(len, contents.values())) + len(BIG) - 1
    store.close()
    assert list((there / ".git/annex/othertmp").iterdir()) == []
    listed = tools.annex(there, "fsck", "--all", "--fast", "--json").records()
    assert {record["key"] for record in listed} >= {key.decode() for key in contents}
