"""A throwaway ssh server on a loopback port, for the user who runs this, with keys of its own.

Every program is led to it by one small `ssh` that stands first on PATH, so that git, git-annex and
DataLad need no settings, and nothing of the user's own ~/.ssh is read or written.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

HOST = "holdfast-bench"
_STARTUP_LIMIT_S = 10.0


class NoServerError(Exception):
    """The server can't run here; the text says why."""


@contextlib.contextmanager
def loopback_ssh(folder: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run a server while the body runs; gives the environment in which ``ssh HOST`` reaches it.

    Raises:
        NoServerError: There is no sshd, or it does not start.
    """
    server, client = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin"), shutil.which("ssh")
    if server is None or client is None:
        raise NoServerError("no OpenSSH server on this machine")
    folder.mkdir(mode=0o700)
    port = _free_port()
    _write_keys(folder)
    _write_server_settings(folder, port, environment)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    # sshd insists on its absolute path: it starts itself again for each connection.
    command = [server, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    process = subprocess.Popen(command)
    try:
        _wait_until_it_listens(process, port, folder / "log")
        yield _client_environment(folder, client, port, environment)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_keys(folder: Path) -> None:
    for name in ("host", "id"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    allowed = folder / "allowed"
    allowed.write_bytes((folder / "id.pub").read_bytes())
    allowed.chmod(0o600)


def _write_server_settings(folder: Path, port: int, environment: Mapping[str, str]) -> None:
    path, home = environment["PATH"], environment["HOME"]
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/host",
        "PidFile none",
        f"AuthorizedKeysFile {folder}/allowed",
        "StrictModes no",  # a temporary folder may be open to others; its files are not
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "PermitRootLogin prohibit-password",
        "MaxStartups 100",
        "Subsystem sftp internal-sftp",
        f'SetEnv "PATH={path}" "HOME={home}"',
    )
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + _STARTUP_LIMIT_S
    while time.monotonic() < ends_at and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace").strip() if log.exists() else "nothing"
    raise NoServerError(f"sshd did not start: {said}")


def _client_environment(
    folder: Path, client: str, port: int, environment: Mapping[str, str]
) -> dict[str, str]:
    host_key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"{HOST} {' '.join(host_key)}\n")
    settings = (
        f"Host {HOST}",
        "  HostName 127.0.0.1",
        f"  HostKeyAlias {HOST}",
        f"  Port {port}",
        f"  User {getpass.getuser()}",
        f"  IdentityFile {folder}/id",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {folder}/known",
        "  BatchMode yes",
    )
    (folder / "ssh_config").write_text("\n".join(settings) + "\n")
    (folder / "bin").mkdir()
    front = folder / "bin" / "ssh"
    front.write_text(f'#!/bin/sh\nexec "{client}" -F "{folder}/ssh_config" "$@"\n')
    front.chmod(0o755)
    return {**environment, "PATH": f"{folder}/bin:{environment['PATH']}"}
