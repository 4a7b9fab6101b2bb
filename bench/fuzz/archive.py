"""Feeds changed and made-up bytes to every reader of archive formats, for some minutes.

    python bench/fuzz/archive.py [--minutes 5] [--seed N] [--memory MIB]

A reader may refuse what it gets, by its own kind of error; anything else it raises, more than
`--memory` MiB held, or more than ten seconds for one input is told with the seed and the input, and
ends the run with 1. What a codec accepts has to be written again as the same bytes.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "programs"))

from car_maker import CarMade, Leading, content

from holdfast.archive.block_scan import iter_sections, root_of
from holdfast.core.errors import IntegrityError, NotFoundError, ProtocolError
from holdfast.wire.car import CarReader, decode_head, encode_header, encode_section
from holdfast.wire.car_index import INDEX_SORTED, decode_index, encode_index
from holdfast.wire.car_v2 import CarV2Head, decode_v2_head, encode_v2_head
from holdfast.wire.cid import (
    Cid,
    cid_text,
    dag_pb_cid,
    decode_cid,
    parse_cid,
    parse_cid_text,
    raw_cid,
)
from holdfast.wire.dag_cbor import Link, decode_cbor, encode_cbor
from holdfast.wire.dag_pb import decode_node, encode_node
from holdfast.wire.dag_walk import Scope, iter_scope, parse_byte_range
from holdfast.wire.multihash import decode_multihash
from holdfast.wire.unixfs import Mtime, Profile, Unixfs, decode_unixfs, encode_unixfs
from holdfast.wire.unixfs_folders import iter_tree, resolve
from holdfast.wire.unixfs_reading import iter_file
from holdfast.wire.varint import decode_varint, encode_varint

REFUSALS = (ProtocolError, IntegrityError, NotFoundError)
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
SECONDS_MAX = 10.0
CAR = CarMade(Profile("small", 7, 3, 300))
ROOT = CAR.put_tree(
    {
        b"file": content(200),
        b"folder/empty": None,
        b"link": Leading(b"file"),
        **{b"many/%d" % number: b"%d" % number for number in range(40)},
    }
)
VALUE = {"links": [Link(ROOT)], "a": [1, -1, 1 << 60, 0.5, None, True, b"bytes", "text"], "": {}}


def again(raw: bytes, back: bytes) -> None:
    if raw != back:
        raise AssertionError(f"it was written again as {back.hex()}")


def read_car(raw: bytes) -> None:
    car = CarReader([raw[:50], raw[50:]])
    parts = [encode_header(car.roots)]
    parts += [encode_section(section.cid, section.block) for section in car]
    again(raw, b"".join(parts))


def read_index(raw: bytes) -> None:
    index = decode_index(raw)
    list(index)
    index.find(ROOT)


def read_text(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    again(text.encode(), cid_text(parse_cid_text(text), text[0]).encode())


def read_dag(raw: bytes) -> None:
    """The input is a block; it takes the place of one, and its CID that of the other's."""
    dice = random.Random(raw)
    wanted = dice.choice(CAR.blocks).cid
    blocks: dict[Cid, bytes] = {}
    named: dict[bytes, bytes] = {}
    root = ROOT
    for cid, data in CAR.blocks:
        new = raw if cid == wanted else data
        for old, now in named.items():
            new = new.replace(old, now)
        now = dag_pb_cid(new) if cid[1] == 0x70 else raw_cid(new)
        if now != cid:
            named[cid] = now
        blocks[now] = new
        root = now
    blocks[dag_pb_cid(raw)] = raw

    def get(cid: Cid) -> bytes:
        if cid not in blocks:
            raise NotFoundError("no such block")
        return blocks[cid]

    for top in (root, dag_pb_cid(raw)):
        for read in (
            lambda: [sum(map(len, iter_file(item.cid, get))) for item in iter_tree(top, get)],  # noqa: B023
            lambda: sum(map(len, iter_file(top, get))),  # noqa: B023
            lambda: resolve(top, [b"many", b"7"], get),  # noqa: B023
            *(lambda scope=scope: list(iter_scope(top, [], get, scope)) for scope in Scope),  # noqa: B023
        ):
            try:
                read()
            except REFUSALS:
                continue


class Held:
    """A piece in memory."""

    name = "piece"

    def __init__(self, data: bytes) -> None:
        self.size, self._data = len(data), data

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """As `OpenedPiece` says."""
        if not 0 <= offset <= offset + length <= self.size:
            raise AssertionError(f"{length} bytes at {offset} of {self.size} are asked for")
        yield self._data[offset : offset + length]


def read_sections(raw: bytes) -> None:
    """Sections are found in the piece, each once or again after another one."""
    piece = Held(raw)
    root_of(piece)
    found = list(iter_sections(piece, 0, piece.size, lambda _: None))
    if any(one.start + one.size > piece.size for one in found) or len(found) > len(raw):
        raise AssertionError("sections that cannot be")
    list(iter_sections(piece, min(59, piece.size), piece.size, lambda _: None))


READERS: dict[str, tuple[list[bytes], Callable[[bytes], object]]] = {
    "varint": (
        [encode_varint(number) for number in NUMBERS[:8]],
        lambda raw: again(raw[: decode_varint(raw)[1]], encode_varint(decode_varint(raw)[0])),
    ),
    "multihash": (
        [ROOT[2:], b"\0\4held"],
        lambda raw: again(raw[: decode_multihash(raw)[1]], decode_multihash(raw)[0].encode()),
    ),
    "cid": ([ROOT, ROOT[2:]], lambda raw: (parse_cid(raw), decode_cid(raw))),
    "text": ([cid_text(ROOT, base).encode() for base in "bzfu"], read_text),
    "range": ([b"0:*", b"-5:-1"], lambda raw: parse_byte_range(raw.decode("latin-1"))),
    "dag-pb": (
        [block.data for block in CAR.blocks if block.cid[1] == 0x70],
        lambda raw: again(raw, encode_node(decode_node(raw))),
    ),
    "unixfs": (
        [
            encode_unixfs(Unixfs(kind, b"data", 9, [4, 5], 0x22, 256, 0o644, Mtime(-5, 9)))
            for kind in (1, 2, 5)  # type: ignore[misc]
        ],
        lambda raw: again(raw, encode_unixfs(decode_unixfs(raw))),
    ),
    "dag-cbor": ([encode_cbor(VALUE)], lambda raw: again(raw, encode_cbor(decode_cbor(raw)))),
    "car": ([b"".join(CAR.chunks(ROOT)), b"".join(CAR.chunks(ROOT))[:400]], read_car),
    "section": ([encode_section(ROOT, b"block")], decode_head),
    "car v2": (
        [encode_v2_head(CarV2Head(51, 100, 151))],
        lambda raw: again(raw[:51], encode_v2_head(decode_v2_head(raw, 1 << 40))),
    ),
    "index": ([encode_index(CAR.rows), encode_index(CAR.rows, INDEX_SORTED)], read_index),
    "sections": ([b"".join(CAR.chunks(ROOT)), b"".join(CAR.chunks(ROOT))[59:]], read_sections),
    "dag": ([block.data for block in CAR.blocks], read_dag),
}


def changed(raw: bytes, dice: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, or numbers put in that nobody expects."""
    data = bytearray(raw if dice.random() < 0.95 else dice.randbytes(dice.randrange(200)))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        size = dice.choice((0, 1, 1, 2, 4, 8))
        number = dice.choice(NUMBERS)
        new = dice.choice(
            (
                dice.randbytes(size),
                bytes((dice.choice((0, 1, 0x7F, 0x80, 0xFF)),)),
                encode_varint(number & (1 << 63) - 1),
                number.to_bytes(8, dice.choice(("big", "little"))),
                bytes(data[at : at + dice.randrange(60)]) * dice.randrange(3),
                b"",
            )
        )
        data[at : at + size] = new
    return bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--memory", type=int, default=512, metavar="MIB")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    ends_at = time.monotonic() + 60 * options.minutes
    tried: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    names = list(READERS)
    while time.monotonic() < ends_at:
        name = names[sum(tried.values()) % len(names)]
        seeds, read = READERS[name]
        raw = changed(dice.choice(seeds), dice)
        tried[name] += 1
        started = time.process_time()
        try:
            read(raw)
            taken[name] += 1
        except REFUSALS:
            pass
        except Exception:
            traceback.print_exc()
            print(f"seed {seed}, reader {name}, input {raw.hex()}")
            return 1
        if time.process_time() - started > SECONDS_MAX:
            print(f"seed {seed}, reader {name} took too long for {raw.hex()}")
            return 1
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > options.memory << 10:
            print(f"seed {seed}, reader {name} holds too much after {raw.hex()}")
            return 1
    for name in names:
        print(f"{name:10} {tried[name]:9,} inputs, {taken[name]:9,} taken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
