"""Real servers to be met through a proxy, and a look at what they have, behind it."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from network_scene import SECRET, USER

from holdfast.api.datasets import open_dataset
from holdfast.api.served import Rights, Served
from holdfast.cli.main import run
from holdfast.core.key import Key, object_path
from holdfast.site.access import Access, Login, hashed
from holdfast.site.http_server import HttpServer, Listening
from holdfast.testing.fault_proxy import FaultProxy, Trouble
from holdfast.testing.rclone_server import find_rclone


class ByName(dict[str, bytes]):
    """Files of a web server, in whichever folder they are asked for."""

    def get(self, path: str, default: object = None) -> bytes | None:  # type: ignore[override]
        return super().get(path.rpartition("/")[2])


@contextmanager
def rclone(kind: str, folder: Path, **environment: str) -> Iterator[int]:
    """`rclone serve`, on a port."""
    program = find_rclone()
    if program is None:
        pytest.skip("rclone, which serves here, is neither beside python nor on PATH")
    port = free_port()
    folder.mkdir()
    process = subprocess.Popen(
        [program, "serve", kind, str(folder), "--addr", f"127.0.0.1:{port}"],
        env={**os.environ, "RCLONE_CONFIG": "/dev/null", **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    pytest.fail("no server came up")


@contextmanager
def rsync_daemon(folder: Path) -> Iterator[int]:
    """rsync's own daemon, with a module ``there`` for one who has a password."""
    program = shutil.which("rsync")
    if program is None:
        pytest.skip("rsync is not installed")
    folder.mkdir()
    port = free_port()
    secrets, settings = folder.with_name("secrets"), folder.with_name("rsyncd.conf")
    secrets.write_text(f"{USER}:{SECRET}\n")
    secrets.chmod(0o600)
    who = f"uid = {os.getuid()}\ngid = {os.getgid()}\n" if os.geteuid() == 0 else ""
    settings.write_text(
        f"use chroot = no\n{who}[there]\npath = {folder}\nread only = no\n"
        f"auth users = {USER}\nsecrets file = {secrets}\n"
    )
    words = ["--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(
        [program, *words, f"--config={settings}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(5)


@contextmanager
def served(folder: Path) -> Iterator[HttpServer]:
    """`hold serve` of a new data set, to one with a login."""
    assert run(["-q", "create", str(folder)]) == 0
    what = Served(open_dataset(folder))
    access = Access(None, logins={USER: Login(USER, Rights.WRITE, hashed(SECRET.encode()))})
    server = HttpServer(what, access, Listening())
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
        what.close()


def below(folder: Path) -> Callable[[str], bytes | None]:
    """Finds the one file below a folder that is called as a key."""

    def find(name: str) -> bytes | None:
        return next((p.read_bytes() for p in folder.rglob(name) if p.is_file()), None)

    return find


def whole(repository: Path) -> Callable[[str], bytes | None]:
    """Finds the content of a repository."""

    def find(name: str) -> bytes | None:
        path = repository / ".git/annex/objects" / os.fsdecode(object_path(Key(name.encode())))
        return path.read_bytes() if path.exists() else None

    return find


@dataclass(frozen=True)
class Sshd:
    """An sshd of this account: its port, and the folder with its keys."""

    port: int
    folder: Path

    @property
    def shell(self) -> Path:
        """What is called there as git-annex-shell."""
        return self.folder / "shell"

    def command(self, port: int) -> str:
        """What to call for ssh, by way of a port."""
        return (
            f"ssh -F none -p {port} -i {self.folder}/id -o BatchMode=yes -o IdentitiesOnly=yes "
            f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={self.folder}/known "
            f"-o HostKeyAlias=there -o LogLevel=ERROR -l {getpass.getuser()}"
        )

    def prepare(self, trouble: Trouble, proxy: FaultProxy) -> None:
        """Let the user's or the host's key be another, where that is the trouble."""
        mine = "host" if trouble is Trouble.EXPIRED else "id"
        host = "id" if trouble is Trouble.UNTRUSTED else "host"
        shutil.copy(self.folder / f"{mine}.pub", self.folder / "authorized")
        (self.folder / "known").write_text(f"there {(self.folder / f'{host}.pub').read_text()}")
        proxy.harmed += trouble in (Trouble.EXPIRED, Trouble.UNTRUSTED)


def run_sshd(folder: Path) -> Iterator[Sshd]:
    """Run an sshd; skips where that cannot be."""
    server = "/usr/sbin/sshd"
    if not (os.path.exists(server) and shutil.which("ssh") and shutil.which("ssh-keygen")):
        pytest.skip("sshd is not installed (package openssh-server)")
    for name in ("host", "id"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    made = Sshd(free_port(), folder)
    call = shlex.join(["env", f"PYTHONPATH={os.pathsep.join(sys.path)}", sys.executable, "-S"])
    made.shell.write_text(f'#!/bin/sh\nexec {call} -m holdfast.site.annex_shell "$@"\n')
    made.shell.chmod(0o700)
    # Below another shell, bash reads nothing of the user's own, which may take long.
    lines = [
        f"Port {made.port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host",
        f"PidFile {folder}/pid", f"AuthorizedKeysFile {folder}/authorized", "StrictModes no",
        "PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no",
        "PermitRootLogin yes", "Subsystem sftp internal-sftp", "SetEnv SHLVL=2",
    ]  # fmt: skip
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    process = subprocess.Popen(
        [server, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(made.port)
        with FaultProxy(made.port, raw=True) as unharmed:
            made.prepare(Trouble.NONE, unharmed)
        words = [*shlex.split(made.command(made.port)), "127.0.0.1", "true"]
        if subprocess.run(words, capture_output=True).returncode:
            pytest.skip("sshd runs, but this account cannot log in")
        yield made
    finally:
        process.terminate()
        process.wait(5)
