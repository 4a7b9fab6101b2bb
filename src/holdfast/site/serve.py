"""`hold serve`: from what a person wishes to a server that runs, and who may do what there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from ..api.datasets import Dataset
from ..api.served import Rights, Served
from ..core import faults
from .access import Access, login_line, read_logins
from .http_handler import is_loopback
from .http_server import HttpServer, Listening

TOKEN = "HOLD_SERVE_TOKEN"
"""The variable with a token: who gives it as the password, under any name, may do all."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asks of a server."""

    bind: str = "127.0.0.1"
    port: int = 0
    read_only: bool = False
    append_only: bool = False
    logins: str | None = None
    private: bool = False
    anybody_may_write: bool = False
    public_url: str | None = None
    verbose: bool = False


def access_of(wishes: Wishes, environ: Mapping[str, str]) -> Access:
    """Who may do what. Over the network nobody writes without a login, unless that is wished.

    Raises:
        UsageError: The logins cannot be read, or nobody could ever do anything.
    """
    highest = Rights.WRITE
    if wishes.read_only or wishes.append_only:
        highest = Rights.READ if wishes.read_only else Rights.APPEND
    logins = read_logins(wishes.logins) if wishes.logins else {}
    token = environ.get(TOKEN) or None
    if wishes.private and not logins and token is None:
        what = f"--private needs --logins FILE, or a token in {TOKEN}"
        raise faults.BAD_USAGE(what=what, command="serve")
    anybody: Rights | None = Rights.READ
    # A proxy before us may bring anybody here: what it is called tells that there is one.
    alone = is_loopback(wishes.bind) and not logins and token is None and not wishes.public_url
    if alone or wishes.anybody_may_write:
        anybody = Rights.WRITE
    return Access(None if wishes.private else anybody, highest, logins, token)


def serve(dataset: Dataset, wishes: Wishes, announce: Callable[[str], None]) -> int:
    """Serve until interrupted; ``announce`` is told the address once it can be reached.

    Raises:
        PlaceUnavailableError: Nothing can be served there.
        UsageError: What is wished does not fit together.
    """
    served = Served(dataset)
    log = tell if wishes.verbose else None
    listening = Listening(wishes.bind, wishes.port, wishes.public_url)
    server = HttpServer(served, access_of(wishes, os.environ), listening, log)
    anybody = server.access.rights(None)[0]
    may = "nothing" if anybody is None else ("read", "read and append", "read and write")[anybody]
    announce(f"{server.url}/")
    tell(f"Serving {os.fsdecode(dataset.top)}; without a login one may {may}. Ctrl-C ends it.")
    try:
        with suppress(KeyboardInterrupt):
            server.serve_until_stopped()
    finally:
        served.close()
    return 0


def make_login(name: str, rights: str) -> int:
    """Ask for a password and print a line for the file of logins.

    Raises:
        UsageError: The name cannot be one.
    """
    if not name or ":" in name or name.startswith("#"):
        raise faults.BAD_USAGE(what=f"{name!r} cannot be a login", command="serve")
    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass(f"Password of {name}: ").encode()
    else:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n")
    if not password:
        raise faults.BAD_USAGE(what="an empty password is none", command="serve")
    sys.stdout.write(login_line(name, rights, password) + "\n")
    return 0


def tell(line: str) -> None:
    """Say something to the person who started it."""
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
