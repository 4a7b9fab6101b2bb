"""The place of content in archives, opened; and set up in a data set that has none yet."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place
from ..dataset.config import append_settings
from ..dataset.ledger_write import now, record
from ..dataset.room import Room
from ..stores.archives import Archives
from ..wire import logs
from ..wire.archive_uris import ARCHIVES, CONFIG, PROGRAM
from ..wire.branch_paths import REMOTE_LOG, UUID_LOG
from .datasets import Dataset


def open_archives(dataset: Dataset, place: Place, *, cost: float = 500.0) -> Archives:
    """What can be read out of archives that are here."""
    ledger, objects, lock = dataset.ledger, dataset.objects, threading.Lock()
    scratch = dataset.repository.annex_dir + b"/othertmp"
    os.makedirs(scratch, exist_ok=True)

    def uris_of(keys: Sequence[Key]) -> Mapping[Key, Sequence[bytes]]:
        with lock:
            return ledger.urls(keys)

    return Archives(
        place,
        uris_of,
        objects.content_path,
        scratch=scratch,
        admit=admitter(dataset),
        cost=cost,
    )


class admitter:  # noqa: N801 (called like a function)
    """Says whether there is room for more bytes, as annex.diskreserve has it."""

    def __init__(self, dataset: Dataset) -> None:
        self._room = Room.of(dataset.repository)
        self._lock = threading.Lock()

    def __call__(self, size: int) -> HoldError | None:
        """Take room for so many bytes, or say why not."""
        with self._lock:
            return self._room.take("what is in the archive", size)


def set_up(dataset: Dataset) -> None:
    """Make the data set and this clone know the place of content in archives, as DataLad does."""
    known = logs.parse_remotes(dataset.ledger.policy_file(REMOTE_LOG))
    if ARCHIVES not in known:
        moment = now()
        record(
            dataset.repository,
            [
                (REMOTE_LOG, lambda old: logs.set_remote(old, ARCHIVES, CONFIG, moment)),
                (
                    UUID_LOG,
                    lambda old: logs.set_uuid_log(old, ARCHIVES, PROGRAM.encode(), moment),
                ),
            ],
        )
    remotes = dataset.repository.config.sections("remote")
    if not any(settings.get("annex-uuid") == ARCHIVES for settings in remotes.values()):
        settings = [
            ("annex-externaltype", PROGRAM), ("annex-uuid", ARCHIVES),
            ("annex-verified", "verified"), ("skipFetchAll", "true"),
        ]  # fmt: skip
        path = os.path.join(dataset.repository.common_dir, b"config")
        append_settings(path, [(f"remote.{PROGRAM}", settings)])
    dataset.forget()
