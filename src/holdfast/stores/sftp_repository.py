"""Where a git-annex repository keeps its content, found out over SFTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from posixpath import join

from ..core.key import Key, object_path, object_path_lower
from ..core.place import PlaceId
from ..wire import sftp
from ..wire.remote_urls import RemoteConfig, parse_remote_config
from .sftp_connection import SftpConnection
from .sftp_file import Allowance, File

_SMALL_MAX = 1 << 20
"""No config that we believe is longer."""

Layout = Callable[[Key], bytes]


@dataclass
class Objects:
    """The folder of content in a repository, and its layouts, the likely one first."""

    root: bytes
    layouts: Sequence[Layout]

    def paths(self, key: Key) -> Iterator[bytes]:
        """Where content of a key may be."""
        return (self.root + layout(key) for layout in self.layouts)

    def learn(self, key: Key, path: bytes) -> None:
        """Content was found at a path: look there first from now on."""
        if path != self.root + self.layouts[0](key):
            self.layouts = self.layouts[::-1]


def find_objects(connection: SftpConnection, path: str, place: PlaceId) -> Objects | None:
    """The content of the repository at a path; None when SFTP cannot tell where it is.

    The path is as ssh remotes have it, ``/~/x`` in the home folder. It has to be the repository
    of ``place``, when that is known, and laid out in the usual way.
    """
    top = _expanded(connection, path)
    if top is None:
        return None
    found = _find_config(connection, top)
    if found is None:
        return None
    folder, config = found
    if config.uuid is None or (place and config.uuid != place) or config.tuned:
        return None
    layouts = (object_path_lower, object_path) if config.bare else (object_path, object_path_lower)
    return Objects(join(folder, b"annex/objects/"), layouts)


def _expanded(connection: SftpConnection, path: str) -> bytes | None:
    raw = path.encode("utf-8", "surrogateescape")
    if not raw.startswith(b"/~"):
        return raw
    if raw.startswith(b"/~/") or raw == b"/~":
        # A server starts in the home folder; where it does not, no repository is found.
        return raw[3:] or b"."
    if sftp.EXPAND_PATH not in connection.extensions:
        return None
    answers: list[sftp.Answer] = []
    connection.ask(answers.append, lambda number: sftp.expand_path(number, raw[1:]))
    while not answers:
        connection.pump()
    answer = answers[0]
    return answer.paths[0] if isinstance(answer, sftp.Names) and answer.paths else None


def _find_config(connection: SftpConnection, top: bytes) -> tuple[bytes, RemoteConfig] | None:
    """The git directory of a repository, and its configuration; looked for where git would."""
    top = top.rstrip(b"/") or b"/"
    inner = join(top, b".git")
    link, shared, *configs = _read_all(
        connection,
        [inner, inner + b"/commondir", inner + b"/config", top + b"/config", top + b".git/config"],
    )
    if link is not None:
        if not link.startswith(b"gitdir: "):
            return None
        inner = join(top, _line(link.removeprefix(b"gitdir: ")))
        shared, configs[0] = _read_all(connection, [inner + b"/commondir", inner + b"/config"])
    if shared is not None:
        # A linked work tree: all is in the git directory it was linked from.
        inner = join(inner, _line(shared))
        (configs[0],) = _read_all(connection, [inner + b"/config"])
    for folder, text in zip((inner, top, top + b".git"), configs, strict=True):
        if text is not None:
            config = parse_remote_config(text.decode("utf-8", "surrogateescape"))
            return (folder, config) if config is not None else None
    return None


def _line(text: bytes) -> bytes:
    return text.rstrip(b"\r\n")


def _read_all(connection: SftpConnection, paths: Sequence[bytes]) -> list[bytes | None]:
    """Small files, asked for at once; None for what is no file that can be read."""
    files = [File(connection, [path], None, Allowance(1)) for path in paths]
    return [_content(file) for file in files]


def _content(file: File) -> bytes | None:
    taken = b""
    for chunk in file.chunks():
        taken += chunk
        if len(taken) > _SMALL_MAX:
            file.abandon()
            return None
    return taken if file.is_open and file.error is None else None
