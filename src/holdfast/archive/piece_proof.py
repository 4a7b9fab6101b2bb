"""Whether content is in the pieces now, found out without reading all of it.

What a manifest says of a key is its range; that the piece is there and as long as it should be is
looked at. Then the range itself is read where it begins, and where its root is: a block of the size
that has to be there, whose CID is the one that the row has. So a row that lies, a piece that was
replaced and one of which only the end arrived are not taken for copies. Bytes in between may be
damaged all the same: who wants to know reads all (fsck). What no row tells of is read as a whole.
"""

from __future__ import annotations

from collections import deque

from ..core.errors import HoldError, IncompleteError, NotFoundError, ProtocolError
from ..wire.car import BLOCK_MAX, decode_head, encode_head
from ..wire.cid import RAW, parse_cid
from ..wire.file_layout import head_size, root_section
from ..wire.unixfs import PROFILE
from .piece_blocks import FileAt, FilePart, iter_blocks, iter_content
from .pieces import FilePiece, OpenedPiece, damaged, read


def check_there(file: FileAt) -> None:
    """Look whether a file is in the pieces, every part of it in some copy.

    One that is found by its blocks alone is read from start to end.

    Raises:
        NotFoundError, IncompleteError: A piece is gone.
        HoldError: A piece is not what it was, or cannot be read.
    """
    if file.blocks is not None:
        deque(iter_content(file), maxlen=0)
        return
    for number, part in enumerate(file.parts):
        failures: list[HoldError] = []
        for piece in part.copies:
            try:
                _check_part(piece, file, part, is_last=number + 1 == len(file.parts))
                break
            except HoldError as error:
                failures.append(error)
        else:
            # One that is there and wrong may be right again; then it is not known to be gone.
            raise min(failures, key=is_gone)


def is_gone(error: HoldError) -> bool:
    """Whether an error says that there is no such piece any more."""
    return isinstance(error, NotFoundError | IncompleteError)


def _check_part(piece: OpenedPiece, file: FileAt, part: FilePart, *, is_last: bool) -> None:
    if isinstance(piece, FilePiece):
        piece.check_size()  # of others every answer tells it
    chunk = PROFILE.chunk_size
    leaf = min(chunk, file.size - part.start)
    begin = read(piece, part.offset, head_size(leaf))
    if not _fits(begin, file, leaf):
        raise damaged(piece.name, part.offset, "the block there is not of the file")
    if is_last and file.size > chunk:
        length = root_section(file.size)
        at = max(part.offset, part.offset + part.length - length)
        if [block.cid for block in iter_blocks(piece, at, length)] != [file.cid]:
            raise damaged(piece.name, at, "the block there is not the root of the file")


def _fits(begin: bytes, file: FileAt, leaf: int) -> bool:
    """Whether a section that begins so is that of a leaf of the file."""
    if file.size <= PROFILE.chunk_size:
        return begin == encode_head(file.cid, leaf)
    try:
        head = decode_head(begin, block_max=BLOCK_MAX)
        return head.end - head.start == leaf and parse_cid(head.cid).codec == RAW
    except ProtocolError:
        return False
