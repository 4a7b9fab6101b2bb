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
    layouts: list[Layout]

    def paths(self, key: Key) -> Iterator[bytes]:
        """Where content of a key may be."""
        return (self.root + layout(key) for layout in self.layouts)

    def learn(self, misses: int) -> None:
        """Something was found at its second place: the next will be, too."""
        if misses:
            self.layouts.reverse()


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
    layouts: list[Layout] = [object_path, object_path_lower]
    if config.bare:
        layouts.reverse()
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
    folders = [join(top, b".git"), top, top + b".git"]
    link, *configs = _read_all(
        connection, [folders[0], *(join(folder, b"config") for folder in folders)]
    )
    for folder, text in zip(folders, configs, strict=True):
        if text is not None:
            return _with_config(folder, text)
        if folder is folders[0] and link is not None:
            return _follow(connection, top, link)
    return None


def _follow(
    connection: SftpConnection, top: bytes, link: bytes
) -> tuple[bytes, RemoteConfig] | None:
    """The git directory that a ``.git`` file names; that of a linked work tree is shared."""
    if not link.startswith(b"gitdir: "):
        return None
    folder = join(top, link.removeprefix(b"gitdir: ").rstrip(b"\r\n"))
    shared, text = _read_all(connection, [join(folder, b"commondir"), join(folder, b"config")])
    if shared is not None:
        folder = join(folder, shared.rstrip(b"\r\n"))
        (text,) = _read_all(connection, [join(folder, b"config")])
    return _with_config(folder, text) if text is not None else None


def _with_config(folder: bytes, text: bytes) -> tuple[bytes, RemoteConfig] | None:
    config = parse_remote_config(text.decode("utf-8", "surrogateescape"))
    return (folder, config) if config is not None else None


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
