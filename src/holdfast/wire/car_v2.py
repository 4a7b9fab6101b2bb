"""CAR, version 2: a CAR of version 1 with a head before it, and an index of its blocks. Pure code.

0   11 bytes  the pragma: a header of a CAR that says version 2
11  16 bytes  characteristics: the highest bit says that the index has every block
27  u64 LE    where the CAR of version 1 begins;  35  u64 LE  its length
43  u64 LE    where the index begins; 0 when there is none
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from ..core.errors import LocalProtocolError, ProtocolError

PRAGMA = bytes.fromhex("0aa16776657273696f6e02")
HEAD_SIZE = 51
"""How long pragma and head are."""

_HEAD = Struct("<16sQQQ")
_OFFSET_MAX = (1 << 63) - 1


class CarV2Head(NamedTuple):
    """Where in the file the CAR of version 1 and its index are."""

    data_offset: int
    data_size: int
    index_offset: int = 0
    characteristics: bytes = bytes(16)

    @property
    def data_end(self) -> int:
        return self.data_offset + self.data_size


def encode_v2_head(head: CarV2Head) -> bytes:
    """Pragma and head.

    Raises:
        LocalProtocolError: The parts overlap, or lie out of reach.
    """
    if fault := _fault(head):
        raise LocalProtocolError(f"no CAR of version 2: {fault}")
    data_offset, data_size, index_offset, characteristics = head
    return PRAGMA + _HEAD.pack(characteristics, data_offset, data_size, index_offset)


def decode_v2_head(data: bytes, file_size: int | None = None) -> CarV2Head:
    """What the begin of a file says, held against the file's size if that is known.

    Raises:
        ProtocolError: It is no CAR of version 2, or one whose parts overlap or lie outside.
    """
    if not data.startswith(PRAGMA):
        raise ProtocolError("not a CAR of version 2 at offset 0")
    if len(data) < HEAD_SIZE:
        raise ProtocolError(f"the head of a CAR of version 2 is cut short at offset {len(data)}")
    characteristics, offset, size, index = _HEAD.unpack_from(data, len(PRAGMA))
    head = CarV2Head(offset, size, index, characteristics)
    if fault := _fault(head):
        raise ProtocolError(f"not a CAR of version 2: {fault}, at offset 27")
    if file_size is not None and max(head.data_end, head.index_offset) > file_size:
        raise ProtocolError(f"a CAR of version 2 that is cut short at offset {file_size}")
    return head


def _fault(head: CarV2Head) -> str:
    if not HEAD_SIZE <= head.data_offset <= head.data_end <= _OFFSET_MAX:
        return f"{head.data_size} bytes of data from {head.data_offset} on"
    if head.index_offset and not head.data_end <= head.index_offset <= _OFFSET_MAX:
        return f"an index at {head.index_offset}"
    return ""
