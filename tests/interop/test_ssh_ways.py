"""Which program on the other side takes what is sent, and how many logins that costs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import holdfast
from holdfast.core.place import Place, PlaceId
from holdfast.stores.ssh import SshAnnex
from holdfast.testing.store_contract import content_of, ignore, key_of

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

SOURCE = str(Path(holdfast.__file__).parents[1])
CONTENTS = {key_of(data): data for data in [b"%d" % n * 400 for n in range(30)]}
LARGE = os.urandom(3_000_000)


class Host:
    """Stands for ssh and the other machine: runs what a login would run there, and counts logins."""

    def __init__(self, folder: Path, repository: Path, uuid: str) -> None:
        self.folder = folder
        self.place = Place(PlaceId(uuid), "there")
        self._repository = repository
        self._programs = folder / "programs"
        self._programs.mkdir(parents=True)
        self.login_shell("/bin/sh -c")

    def install(self, name: str, script: str) -> None:
        path = self._programs / name
        path.write_text(f"#!/bin/sh\necho {name} >>'{self.folder}/called'\n{script}\n")
        path.chmod(0o755)

    def login_shell(self, shell: str) -> None:
        ssh = self.folder / "ssh"
        ssh.write_text(
            '#!/bin/sh\n[ "$1" = -G ] && exit 1\n'
            f"echo login >>'{self.folder}/logins'\n"
            f"PATH='{self._programs}:/usr/bin:/bin' exec {shell} \"$2\"\n"
        )
        ssh.chmod(0o755)

    def store(self, *, known: bool = True) -> SshAnnex:
        place = self.place if known else Place(PlaceId(""), "there")
        return SshAnnex(place, f"host:{self._repository}", ssh_program=str(self.folder / "ssh"))

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def host(tools: Tools, bench: Path) -> Iterator[Host]:
    there = tools.create("annex", bench / "there")
    host = Host(bench / "host", there, tools.uuid(there))
    real = shutil.which("git-annex-shell", path=tools.environment["PATH"])
    host.install("git-annex-shell", f'exec {real} "$@"')
    yield host
    tools.annex(there, "fsck", "--all")


def install_hold(host: Host) -> None:
    call = f'exec {sys.executable} -m holdfast.site.annex_shell "$@"'
    host.install("hold-annex-shell", f"PYTHONPATH={SOURCE} {call}")


def send_all(store: SshAnnex) -> None:
    big = key_of(LARGE)
    items = [(key, content_of(key, data)) for key, data in CONTENTS.items()]
    answers = dict(store.iter_send([*items, (big, content_of(big, LARGE))], ignore))
    assert answers == dict.fromkeys([*CONTENTS, big])
    store.close()


def test_one_login_tells_which_place_it_is_and_takes_all(host: Host) -> None:
    install_hold(host)
    store = host.store(known=False)
    assert store.discover() == host.place.id
    store.place = host.place
    store.get_ready()
    send_all(store)
    assert host.lines("logins") == ["login"]
    assert host.lines("called") == ["hold-annex-shell"]


def test_a_login_that_was_begun_is_the_one_that_is_used(host: Host) -> None:
    install_hold(host)
    store = host.store()
    store.get_ready()
    store.get_ready()
    send_all(store)
    assert host.lines("logins") == ["login"]


def test_without_our_program_there_git_annex_shell_takes_all_in_the_same_login(host: Host) -> None:
    send_all(host.store())
    assert host.lines("logins") == ["login"]
    assert host.lines("called") == ["git-annex-shell"]


def test_one_that_may_only_call_git_annex_shell_sends_by_it(host: Host) -> None:
    install_hold(host)
    host.login_shell("git-annex-shell -c")
    store = host.store()
    store.get_ready()
    send_all(store)
    assert host.lines("logins") == ["login", "login"]
    assert set(host.lines("called")) == {"git-annex-shell"}


def test_an_installation_of_ours_that_does_not_run_is_passed_over(host: Host) -> None:
    host.install("hold-annex-shell", "echo broken >&2; exit 1")
    send_all(host.store())
    assert host.lines("called") == ["hold-annex-shell", "git-annex-shell"]


def test_what_our_program_must_not_touch_git_annex_shell_serves(host: Host, tools: Tools) -> None:
    install_hold(host)
    tools.git(host.folder.parent / "there", "config", "annex.pidlock", "true")
    send_all(host.store())
    assert host.lines("logins") == ["login"]
    assert host.lines("called") == ["hold-annex-shell", "git-annex-shell"]


def test_what_is_only_asked_is_asked_of_git_annex_shell(host: Host) -> None:
    install_hold(host)
    store = host.store()
    store.ask(list(CONTENTS))
    store.close()
    assert host.lines("called") == ["git-annex-shell"]
