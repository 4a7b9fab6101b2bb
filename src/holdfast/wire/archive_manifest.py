"""What a piece of an archive says of itself: its manifest, and the footer that leads to it and to
the rows of its files (`archive_rows`). Pure code.

Format: docs/formats/archive.md. The manifest is a dag-cbor block, the footer a raw one and the last
96 bytes of every piece. Links and digests have fixed lengths, so the size of a manifest is known
before any digest is: `archive_rows.UNKNOWN_CID` stands for one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..core.errors import LocalProtocolError, ProtocolError
from .archive_fields import (
    Fields,
    as_bytes,
    as_cid,
    as_optional_cid,
    as_text,
    as_texts,
    as_uint,
)
from .archive_rows import PART_MAX, VERSION, PartKind
from .cid import DAG_CBOR_SHA256, SHA256_CID_SIZE, Cid
from .dag_cbor import Link, Value, encode_cbor
from .file_layout import section_size

MANIFEST_MAX = 2 << 20
"""No manifest is larger: the largest block that every reader of CARs takes."""
PREV_MAX = 64
"""So many earlier snapshots are named."""
SEALED = "(encrypted)"
"""In the place of a branch: what is in this snapshot is encrypted."""
FOOTER_SIZE = 96
FOOTER_SECTION_SIZE = section_size(FOOTER_SIZE)

_FOOTER = struct.Struct(f"<8sB7xQQQQ{SHA256_CID_SIZE}s12x")
_FOOTER_START = b"PIECEFTR"
assert _FOOTER.size == FOOTER_SIZE


class PieceRef(NamedTuple):
    """An earlier piece of the snapshot: PieceCID v2 as bytes, payload, first and last path."""

    cid: bytes
    size: int
    first: bytes
    last: bytes


class PrevRef(NamedTuple):
    """The last piece of an earlier snapshot, and the manifest in it."""

    manifest: Cid
    cid: bytes
    size: int


class BundleRef(NamedTuple):
    """A git bundle in this piece: the commits it needs and those it brings, and where it is."""

    needs: tuple[str, ...]
    version: str
    annex: str
    cid: Cid
    size: int
    offset: int
    length: int


class PartRef(NamedTuple):
    """A part of this piece: its first path, where its block's bytes are, and their CID."""

    kind: PartKind
    first: bytes
    offset: int
    length: int
    cid: Cid


class Manifest(NamedTuple):
    """What a piece is of, and how to find everything else.

    The last piece of a snapshot alone has its ``root``, and names all other pieces of it. How many
    there will be no piece says: a file that grows while it is packed may need one more.
    """

    dataset: str
    snapshot: int
    made: str
    version: str
    branch: str
    annex: str
    profile: str
    root: Cid | None
    number: int
    pieces: tuple[PieceRef, ...]
    prev: tuple[PrevRef, ...]
    bundles: tuple[BundleRef, ...]
    parts: tuple[PartRef, ...]

    @property
    def is_sealed(self) -> bool:
        """Whether this is of an encrypted snapshot."""
        return self.branch == SEALED and not self.version

    @property
    def is_last(self) -> bool:
        """Whether this is the piece that the snapshot's root is in."""
        return self.root is not None


class Footer(NamedTuple):
    """Where the manifest's bytes are, and the sections of all parts."""

    manifest_offset: int
    manifest_length: int
    index_offset: int
    index_length: int
    manifest_cid: Cid


def encode_footer(footer: Footer) -> bytes:
    """The block of a footer."""
    assert len(footer.manifest_cid) == SHA256_CID_SIZE, "a manifest's CID is of sha2-256"
    return _FOOTER.pack(_FOOTER_START, VERSION, *footer)


def decode_footer(data: bytes, piece_size: int) -> Footer:
    """The footer that the last 96 bytes of a piece of that payload are.

    Raises:
        ProtocolError: They are none, or one of a later version, or lead out of the piece.
    """
    if len(data) != FOOTER_SIZE or not data.startswith(_FOOTER_START):
        raise ProtocolError("no footer of a piece")
    _, version, at, length, index_at, index_length, cid = _FOOTER.unpack(data)
    if version != VERSION:
        raise ProtocolError(f"a piece of format {version}; this one reads {VERSION}")
    footer = Footer(at, length, index_at, index_length, Cid(cid))
    if encode_footer(footer) != data or not cid.startswith(DAG_CBOR_SHA256):
        raise ProtocolError("a footer of a piece with more in it than it says")
    end = piece_size - FOOTER_SECTION_SIZE
    ends = footer.index_offset + footer.index_length, footer.manifest_offset
    if not ends[0] <= ends[1] or footer.manifest_offset + footer.manifest_length != end:
        raise ProtocolError("a footer that leads out of its piece")
    if footer.manifest_length > MANIFEST_MAX:
        raise ProtocolError(f"a manifest of {footer.manifest_length} bytes")
    return footer


def encode_manifest(manifest: Manifest) -> bytes:
    """The block of a manifest.

    Raises:
        LocalProtocolError: It would be larger than `MANIFEST_MAX`.
    """
    block = encode_cbor(
        {
            "v": VERSION,
            "kind": "manifest",
            "dataset": manifest.dataset,
            "snapshot": manifest.snapshot,
            "made": manifest.made,
            "version": manifest.version,
            "branch": manifest.branch,
            "annex": manifest.annex,
            "profile": manifest.profile,
            "root": _link(manifest.root),
            "number": manifest.number,
            "pieces": [_piece_value(piece) for piece in manifest.pieces],
            "prev": [
                {"manifest": Link(ref.manifest), "cid": ref.cid, "n": ref.size}
                for ref in manifest.prev
            ],
            "bundles": [_bundle_value(bundle) for bundle in manifest.bundles],
            "parts": [_part_value(part) for part in manifest.parts],
        }
    )
    if len(block) > MANIFEST_MAX:
        raise LocalProtocolError(
            f"a manifest of {len(block)} bytes: {len(manifest.pieces)} pieces and "
            f"{len(manifest.parts)} parts are too many; larger pieces need fewer"
        )
    return block


def decode_manifest(block: bytes) -> Manifest:
    """The manifest that a block is. `encode_manifest` of it is the block again.

    Raises:
        ProtocolError: It is none, of a later version, or says what cannot be.
    """
    if len(block) > MANIFEST_MAX:
        raise ProtocolError(f"a manifest of {len(block)} bytes")
    fields = Fields.of_block(block, "manifest", VERSION)
    manifest = Manifest(
        fields.take("dataset", as_text),
        fields.take("snapshot", as_uint),
        fields.take("made", as_text),
        fields.take("version", as_text),
        fields.take("branch", as_text),
        fields.take("annex", as_text),
        fields.take("profile", as_text),
        fields.take("root", as_optional_cid),
        fields.take("number", as_uint),
        tuple(_read_piece(item) for item in fields.take_maps("pieces")),
        tuple(_read_prev(item) for item in fields.take_maps("prev")),
        tuple(_read_bundle(item) for item in fields.take_maps("bundles")),
        tuple(_read_part(item) for item in fields.take_maps("parts")),
    )
    fields.finish()
    _check_manifest(manifest)
    return manifest


def _check_manifest(manifest: Manifest) -> None:
    number = manifest.number
    if len(manifest.pieces) != number:
        raise ProtocolError(
            f"a manifest of piece {number} that names {len(manifest.pieces)} others"
        )
    if len(manifest.prev) > PREV_MAX:
        raise ProtocolError(f"a manifest with {len(manifest.prev)} earlier snapshots")
    end = 0
    for part in manifest.parts:
        if part.offset < end or part.length > PART_MAX:
            raise ProtocolError(f"a part that cannot be, at offset {part.offset}")
        end = part.offset + part.length


def _link(cid: Cid | None) -> Value:
    return None if cid is None else Link(cid)


def _piece_value(piece: PieceRef) -> Value:
    return {"cid": piece.cid, "n": piece.size, "first": piece.first, "last": piece.last}


def _bundle_value(bundle: BundleRef) -> Value:
    return {
        "from": list(bundle.needs),
        "to": bundle.version,
        "annex": bundle.annex,
        "cid": Link(bundle.cid),
        "size": bundle.size,
        "offset": bundle.offset,
        "length": bundle.length,
    }


def _part_value(part: PartRef) -> Value:
    return {
        "kind": part.kind.value,
        "first": part.first,
        "offset": part.offset,
        "length": part.length,
        "cid": Link(part.cid),
    }


def _read_piece(fields: Fields) -> PieceRef:
    return fields.end_with(
        PieceRef(
            fields.take("cid", as_bytes),
            fields.take("n", as_uint),
            fields.take("first", as_bytes),
            fields.take("last", as_bytes),
        )
    )


def _read_prev(fields: Fields) -> PrevRef:
    return fields.end_with(
        PrevRef(
            fields.take("manifest", as_cid),
            fields.take("cid", as_bytes),
            fields.take("n", as_uint),
        )
    )


def _read_bundle(fields: Fields) -> BundleRef:
    return fields.end_with(
        BundleRef(
            fields.take("from", as_texts),
            fields.take("to", as_text),
            fields.take("annex", as_text),
            fields.take("cid", as_cid),
            fields.take("size", as_uint),
            fields.take("offset", as_uint),
            fields.take("length", as_uint),
        )
    )


def _read_part(fields: Fields) -> PartRef:
    return fields.end_with(
        PartRef(
            fields.take("kind", _as_part_kind),
            fields.take("first", as_bytes),
            fields.take("offset", as_uint),
            fields.take("length", as_uint),
            fields.take("cid", as_cid),
        )
    )


def _as_part_kind(value: Value) -> PartKind:
    text = as_text(value)
    if text not in list(PartKind):
        raise ProtocolError(f"a part of an unknown kind: {text[:40]!r}")
    return PartKind(text)
