"""The HTTP server of an archive: ranges of its pieces, and blocks as trustless gateways give them.

Only for reading. What fails before the first byte is an answer of its own; what fails later cuts
the answer short, so a client sees that it does not have all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus

from ..api.archive_serving import ServedArchive
from ..api.served import Rights
from ..core.errors import HoldError, PlaceUnavailableError, ProtocolError
from ..wire.cid import cid_text
from ..wire.gateway import PREFIX
from .access import Access
from .archive_blocks import answer_blocks
from .archive_pieces import PIECES, answer_piece
from .http_handler import BaseHandler
from .http_server import Listening, Server

CONNECTIONS_MAX = 100
"""Each takes three MiB at most while it is answered."""


class ArchiveServer(Server):
    """Serves one archive. With ``once``, it ends after one answer with content."""

    def __init__(
        self,
        served: ServedArchive,
        access: Access,
        listening: Listening,
        log: Callable[[str], None] | None = None,
        *,
        once: bool = False,
    ) -> None:
        """Begin to listen.

        Raises:
            PlaceUnavailableError: Nothing can be served there.
        """
        super().__init__(ArchiveHandler, access, listening, log, CONNECTIONS_MAX)
        self.served = served
        self.once = once


class ArchiveHandler(BaseHandler):
    """Answers for one archive."""

    server: ArchiveServer

    def route(self) -> None:
        """Hand the request to whom it concerns."""
        if self.command == "POST":
            self.reply(405, b"only for reading", headers={"Allow": "GET, HEAD"})
            return
        self.need(Rights.READ)
        self.server.served.refresh()
        path = self.path.partition("?")[0]
        if path == "/":
            self.reply(200, "".join(_welcome(self)).encode())
            return
        if path.startswith(PIECES):
            has_sent = answer_piece(self, path[len(PIECES) :])
        elif path.startswith(PREFIX):
            has_sent = answer_blocks(self)
        else:
            self.refuse(404, "not found")
            return
        self.wfile.flush()
        if has_sent and self.server.once:
            threading.Thread(target=self.server.stop, name="end", daemon=True).start()

    def status_of(self, error: HoldError) -> int:
        """A source that is another than it was may be right again later."""
        if isinstance(error, PlaceUnavailableError):
            return HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(error, ProtocolError):
            # Every block is right: so it is not of the kind that the request says.
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.INTERNAL_SERVER_ERROR


def _welcome(handler: ArchiveHandler) -> Iterator[str]:
    served = handler.server.served
    yield "An archive, served by hold.\n\n"
    for piece in served.pieces():
        yield f"/piece/{piece.text}  {piece.size}\n"
    yield "\n"
    for root in served.roots:
        yield f"/ipfs/{cid_text(root)}?format=car\n"
