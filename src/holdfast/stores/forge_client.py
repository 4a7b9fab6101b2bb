"""Questions to the REST API of a site that hosts repositories: JSON both ways, over checked TLS.

Nothing is redirected: what we say has a token in it. Errors never hold it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.parse import urlsplit

from ..core import faults
from ..version import __version__
from ..wire.forges import Request, message_of

PATIENCE_S = 30.0
_ANSWER_MAX = 4 << 20


class ForgeClient:
    """Asks one site."""

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        """Nothing is asked yet. ``headers`` say who we are."""
        self.host = urlsplit(base).netloc
        self._base = base
        self._headers = {
            **headers, "Accept": "application/json", "User-Agent": f"holdfast/{__version__}",
            "Content-Type": "application/json",
        }  # fmt: skip
        self._opener = urllib.request.build_opener(_Straight())

    def find(self, request: Request) -> dict[str, object] | None:
        """Ask for something that need not be there; None when it is not."""
        status, answer = self._ask(request)
        if status == 404:
            return None
        return self._checked(status, answer)

    def get(self, request: Request) -> dict[str, object]:
        """Ask for something, or for something to be done.

        Raises:
            AccessError: The site refuses.
            PlaceUnavailableError: It cannot be reached, or is out of order.
            RemoteProtocolError: It answers with what is no JSON object.
        """
        return self._checked(*self._ask(request))

    def _checked(self, status: int, answer: object) -> dict[str, object]:
        if status >= 500 or status == 429:
            detail = f"it answers {status} {message_of(answer)}".rstrip()
            raise faults.UNREACHABLE(place=self.host, detail=detail)
        if status == 401:
            detail = "it does not know the token, or the token has expired"
            next_step = "make a new access token there, and give it in the same way"
            raise faults.FORGE_REFUSES(host=self.host, detail=detail, next=next_step)
        if status >= 300:
            detail = f"it answers {status} {message_of(answer)}".rstrip()
            next_step = "look whether the token may make repositories, and the owner is right"
            raise faults.FORGE_REFUSES(host=self.host, detail=detail, next=next_step)
        if not isinstance(answer, dict):
            raise faults.BAD_ANSWER(place=self.host, detail="what it says is no JSON object")
        return answer

    def _ask(self, request: Request) -> tuple[int, object]:
        data = None if request.body is None else json.dumps(request.body).encode()
        asked = urllib.request.Request(
            self._base + request.path, data, dict(self._headers), method=request.method
        )
        try:
            with self._opener.open(asked, timeout=PATIENCE_S) as answer:
                return answer.status, _read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(error)
        except (urllib.error.URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise faults.UNREACHABLE(place=self.host, detail=str(reason)[:300]) from None


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _read(answer: IO[bytes]) -> object:
    try:
        return json.loads(answer.read(_ANSWER_MAX))
    except ValueError:
        return None
