"""Who may do what over HTTP: logins in a file, hashed, or a token; and what anybody may do.

A line of the file is ``NAME:RIGHTS:scrypt$N$R$P$SALT$HASH`` with rights read, append or write.
Passwords are slow to check on purpose, so what was found right once is remembered, as a hash with
a salt that only this process knows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..api.served import Rights
from ..core import faults
from ..core.errors import HoldError

_N, _R, _P = 1 << 14, 8, 1
_KNOWN_MAX = 1000
_RIGHTS = {"read": Rights.READ, "append": Rights.APPEND, "write": Rights.WRITE}


@dataclass(frozen=True, slots=True)
class Login:
    """A name, what it may do, and the hash of its password."""

    name: str
    rights: Rights
    hashed: str


@dataclass(slots=True)
class Access:
    """What each client may do. ``anybody`` is for those without a login; None is nothing."""

    anybody: Rights | None
    highest: Rights = Rights.WRITE
    """Nobody may do more than this."""
    logins: Mapping[str, Login] = field(default_factory=dict)
    token: str | None = None
    _salt: bytes = field(default_factory=lambda: os.urandom(16))
    _known: dict[bytes, Login] = field(default_factory=dict)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    """To check a password takes much memory and time: many guesses at once must not take all."""

    def rights(self, authorization: str | None) -> tuple[Rights | None, str | None]:
        """The rights and the name behind an Authorization header; no name is anybody."""
        login = self._login(authorization) if authorization else None
        if login is None:
            found, name = self.anybody, None
        else:
            found, name = login.rights, login.name
        return (None if found is None else min(found, self.highest)), name

    def _login(self, authorization: str) -> Login | None:
        seal = hashlib.sha256(self._salt + authorization.encode("utf-8", "replace")).digest()
        if seal in self._known:
            return self._known[seal]
        with self._one_at_a_time:
            found = self._look(*_basic(authorization))
        if found is not None and len(self._known) < _KNOWN_MAX:
            self._known[seal] = found
        return found

    def _look(self, name: str, password: bytes) -> Login | None:
        if self.token is not None and hmac.compare_digest(password, self.token.encode()):
            return Login(name or "token", self.highest, "")
        if not self.logins:
            return None
        # For a name that is not known as much is done, so that nobody can find out names.
        login = self.logins.get(name)
        known = login if login is not None else next(iter(self.logins.values()))
        return login if matches(password, known.hashed) else None


def _basic(authorization: str) -> tuple[str, bytes]:
    """Name and password of a Basic (or the token of a Bearer) header; empty when it is no such."""
    kind, _, rest = authorization.partition(" ")
    if kind.lower() == "bearer":
        return "", rest.strip().encode()
    try:
        raw = base64.b64decode(rest) if kind.lower() == "basic" else b""
    except ValueError:
        return "", b""
    name, _, password = raw.partition(b":")
    return name.decode("utf-8", "replace"), password


def hashed(password: bytes) -> str:
    """A password as it may be written down."""
    salt = os.urandom(16)
    made = hashlib.scrypt(password, salt=salt, n=_N, r=_R, p=_P)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${made.hex()}"


def matches(password: bytes, written: str) -> bool:
    """Whether a password is the one behind what `hashed` gave."""
    _, n, r, p, salt, known = written.split("$")
    made = hashlib.scrypt(
        password, salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), maxmem=1 << 27
    )
    return hmac.compare_digest(made, bytes.fromhex(known))


def login_line(name: str, rights: str, password: bytes) -> str:
    """A line for the file of logins."""
    return f"{name}:{rights}:{hashed(password)}"


def read_logins(path: str) -> dict[str, Login]:
    """The logins in a file; empty lines and those that begin with # are passed over.

    Raises:
        UsageError: It cannot be read, or a line of it is no login.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise faults.BAD_LOGINS(path=path, detail=str(error)) from error
    return {
        login.name: login
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
        for login in (_login(path, number, line),)
    }


def _login(path: str, number: int, line: str) -> Login:
    parts = line.strip().split(":")
    if len(parts) != 3 or not parts[0] or parts[1] not in _RIGHTS:
        raise _bad(path, number)
    try:
        matches(b"", parts[2])
    except ValueError:
        raise _bad(path, number) from None
    return Login(parts[0], _RIGHTS[parts[1]], parts[2])


def _bad(path: str, number: int) -> HoldError:
    detail = f"line {number} is not NAME:read|append|write:HASH"
    return faults.BAD_LOGINS(path=path, detail=detail)
