"""The git configuration of a repository in a RIA store, which names the storage of its content."""

from __future__ import annotations

import os
from contextlib import suppress

from ..core.errors import HoldError
from ..wire.remote_urls import RemoteConfig, parse_remote_config

_SIZE_MAX = 1 << 20
_PATIENCE_S = 15.0


def read_config(url: str, ssh_command: str | None) -> RemoteConfig | None:
    """Read it by whichever way leads to the repository; None where none does."""
    text = None
    with suppress(HoldError, OSError):
        if url.startswith(("http://", "https://")):
            text = _by_http(f"{url.rstrip('/')}/config")
        elif "://" in url:
            text = _by_sftp(url, ssh_command)
        else:
            with open(os.path.join(url, "config"), "rb") as file:
                text = file.read(_SIZE_MAX)
    return None if text is None else parse_remote_config(text.decode("utf-8", "surrogateescape"))


def _by_http(url: str) -> bytes:
    from .http import HttpClient

    # A person named this server; git has just talked to it.
    client = HttpClient(allowed_addresses="all")
    try:
        with client.open(url) as answer:
            return b"".join(answer.chunks)[:_SIZE_MAX]
    finally:
        client.close()


def _by_sftp(url: str, ssh_command: str | None) -> bytes | None:
    from .ora_sftp import read_small
    from .sftp_connection import SftpConnection
    from .ssh_command import parse_ssh_address, sftp_argv

    address = parse_ssh_address(url)
    argv = sftp_argv(address, shell_command=ssh_command)
    connection = SftpConnection(address.host, argv, connect_s=_PATIENCE_S, stall_s=_PATIENCE_S)
    try:
        path = address.path.removeprefix("/~/").encode("utf-8", "surrogateescape")
        return read_small(connection, path + b"/config")
    finally:
        connection.kill()
        connection.release()
