"""What git calls by itself: the filters of unlocked files, and the hooks.

A filter that fails makes git store the raw bytes, so nothing here fails silently, and all of the
input is read first: git would take a closed pipe for its own trouble.
"""

from __future__ import annotations

import os
import sys

from ..core.errors import HoldError
from ..wire import pkt_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from ..dataset.filters import Filters

    Work = Callable[[bytes, Iterator[bytes]], Iterator[bytes]]

_BLOCK = 1 << 16
_ABLE = ("clean", "smudge")


def filter_process() -> int:
    """Serve git's clean and smudge for all files of one git command."""
    from ..dataset.filters import Filters

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    filters = Filters(os.getcwdb())
    try:
        pkt_line.check_greeting(pkt_line.read_list(source.read))
        _send(sink, pkt_line.welcome())
        _send(sink, pkt_line.agree(pkt_line.read_list(source.read), _ABLE))
        while True:
            request = pkt_line.parse_request(pkt_line.read_list(source.read))
            work = {"clean": filters.clean, "smudge": filters.smudge}.get(request.command)
            _serve(request.path, work, source, sink)
    except EOFError:
        return _finish(filters)
    except (BrokenPipeError, HoldError) as error:
        _complain(b"", error)
        _finish(filters)
        return 1


def _serve(path: bytes, work: Work | None, source: BinaryIO, sink: BinaryIO) -> None:
    content = pkt_line.iter_read_content(source.read)
    try:
        if work is None:
            raise ValueError("git asks for what we did not offer")
        answer = work(path, content)
    except Exception as error:
        for _ in content:
            pass
        _complain(path, error)
        _send(sink, pkt_line.ERROR)
        return
    sink.write(pkt_line.SUCCESS)
    for chunk in answer:
        for packet in pkt_line.iter_content(chunk):
            sink.write(packet)
    _send(sink, pkt_line.END)


def _send(sink: BinaryIO, data: bytes) -> None:
    sink.write(data)
    sink.flush()


def smudge_one(path: bytes) -> int:
    """`smudge PATH`: let a blob through to the folder."""
    return _one(path, clean=False)


def clean_one(path: bytes) -> int:
    """`smudge --clean PATH`: make the blob of a file."""
    return _one(path, clean=True)


def _one(path: bytes, *, clean: bool) -> int:
    from ..dataset.filters import Filters

    filters = Filters(os.getcwdb())
    content = iter(lambda: os.read(0, _BLOCK), b"")
    try:
        if clean:
            sys.stdout.buffer.writelines(filters.clean(path, content))
        else:
            # Whoever smudges one file at a time holds the index; the hook fills in the content.
            for chunk in content:
                sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except Exception as error:
        for _ in content:
            pass
        _complain(path, error)
        _finish(filters)
        return 1
    return _finish(filters)


def _finish(filters: Filters) -> int:
    try:
        filters.finish()
    except Exception as error:
        _complain(b"", error)
        return 1
    return 0


def _complain(path: bytes, error: Exception) -> None:
    """Tell on standard error, as git passes it on; what is no error of ours keeps its traceback."""
    name = os.fsdecode(path).encode("utf-8", "backslashreplace").decode()
    text = str(error)
    if isinstance(error, HoldError):
        text = ": ".join(part for part in (error.what, error.why) if part)
    elif not isinstance(error, OSError):
        from .errors import print_traceback

        print_traceback(error)
    sys.stderr.write(f"hold annex: {name}{': ' if name else ''}{text}\n")
    sys.stderr.flush()


def update() -> int:
    """`smudge --update`: after a checkout or merge, put content where only pointers are."""
    from ..dataset.checkout import fill_all
    from ..dataset.repository import Repository

    repository = Repository(os.getcwdb())
    if repository.uuid is not None and not repository.bare:
        fill_all(repository)
    repository.close()
    return 0


def pre_commit() -> int:
    """`pre-commit`: set links of moved files right before they are committed."""
    from ..dataset.moved_links import mend_staged_links
    from ..dataset.repository import Repository

    repository = Repository(os.getcwdb())
    if repository.uuid is not None and not repository.bare:
        mend_staged_links(repository)
    repository.close()
    return 0
