"""`hold archive serve`: from what a person wishes to a server of an archive that runs."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import suppress

from ..api.archive import Archive
from ..api.archive_sealing import refuse_without_keys
from ..api.archive_serving import ServedArchive
from ..core.progress import Progress
from .archive_server import ArchiveServer
from .http_server import Listening
from .serve import Wishes, access_of, tell


def serve_archive(
    archive: Archive,
    wishes: Wishes,
    announce: Callable[[str], None],
    *,
    once: bool = False,
    progress: Progress | None = None,
) -> int:
    """Serve until interrupted, or ``once``; ``announce`` is told the address when it is reached.

    Raises:
        PlaceUnavailableError: Nothing can be served there.
        NotFoundError: Nothing is packed.
        ConflictError: What is noted of a snapshot is not what was packed.
        UsageError: What is wished does not fit together.
        AccessError: It is encrypted, and its keys are not here.
    """
    refuse_without_keys(archive.source)
    access = access_of(wishes, os.environ)
    _allow_many_files()
    served = ServedArchive(archive, progress)
    listening = Listening(wishes.bind, wishes.port, wishes.public_url)
    log = tell if wishes.verbose else None
    server = ArchiveServer(served, access, listening, log, once=once)
    announce(f"{server.url}/")
    pieces = f"{served.count:,} piece{'s' if served.count != 1 else ''}"
    tell(f"Serving {pieces} from {os.fsdecode(archive.folder.folder)}. Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):
        server.serve_until_stopped()
    return 0


def _allow_many_files() -> None:
    """Have as many files open as the system allows: each answer needs some."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
