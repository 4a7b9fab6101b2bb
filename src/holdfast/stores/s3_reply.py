"""What answers of an S3 server say, and which of our faults they are."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass

from ..core import faults
from ..core.errors import HoldError
from ..wire import s3

BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Answers after which the same is asked again."""

_BODY_MAX = 1 << 20
_NEXT = "look at the credentials and at what the bucket allows them; nothing else was tried"
_CREDENTIALS = frozenset(
    (
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    )
)
_CHANGED = frozenset(
    (
        "BadDigest",
        "IncompleteBody",
        "InvalidDigest",
        "RequestTimeout",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    )
)
"""What arrived is not what was signed, or not all of it."""

_FULL = frozenset(("QuotaExceeded", "XMinioStorageFull"))


@dataclass(frozen=True)
class Where:
    """What faults tell of where they happened, and how long was waited."""

    place: str
    bucket: str
    host: str
    stall_s: float


@dataclass(frozen=True)
class Reply:
    """An answer that was read: its status, its headers in lower case, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """What the server calls the fault."""
        return s3.word_of(self.body, "Code")


def read_reply(response: http.client.HTTPResponse) -> Reply:
    """Read an answer, the beginning of it when it is long."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read(_BODY_MAX) or b"")


def size_told(headers: Mapping[str, str]) -> int:
    """How many bytes an object has, by the answer to HEAD."""
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def check(reply: Reply, where: Where) -> None:
    """Raise what an answer says went wrong; what the server was sent is never told."""
    status, code = reply.status, reply.code
    if status in (200, 201, 202, 204, 206):
        return
    reason = code[:60] or http.client.responses.get(status, "")
    detail = f"{where.host} answers {status} {reason}".rstrip()
    if code == "NoSuchBucket":
        detail += f": there is no bucket {where.bucket}"
    if status in (404, 410):
        raise faults.NOT_THERE(place=where.place, key="it", detail=detail)
    # Questions by HEAD are answered without words: 400 is what an expired token gets.
    refused = status in (401, 402, 403, 407) or (status == 400 and not reply.body)
    if refused or code in _CREDENTIALS:
        raise faults.REFUSED(place=where.place, detail=detail, next=_NEXT)
    if code in _FULL or status == 507:
        raise faults.PLACE_FULL(place=where.place, detail=detail)
    if code in _CHANGED:
        raise faults.CHANGED_ON_WAY(place=where.place, detail=detail)
    if status in BUSY or status >= 500:
        raise faults.UNREACHABLE(place=where.place, detail=detail)
    raise faults.BAD_ANSWER(place=where.place, detail=detail)


def translated(error: Exception, where: Where) -> HoldError:
    """What the system or the HTTP library says, as one of our faults."""
    if isinstance(error, TimeoutError):
        return faults.STALLED(place=where.place, waited_s=f"{where.stall_s:g}")
    if isinstance(error, http.client.IncompleteRead | ConnectionError):
        return faults.UNREACHABLE(place=where.place, detail="the connection was cut")
    if isinstance(error, http.client.HTTPException | ValueError):
        return faults.BAD_ANSWER(place=where.place, detail=type(error).__name__)
    detail = str(error.args[-1] if error.args else error)
    return faults.UNREACHABLE(place=where.place, detail=detail)
