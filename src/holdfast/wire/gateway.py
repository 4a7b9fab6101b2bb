"""What a request to a trustless gateway asks for. Pure code.

``/ipfs/CID[/PATH]``, the form in ``format=`` or in the header Accept; of a CAR also which blocks
are wanted. Specification: IPFS Trustless Gateway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from ..core.errors import ProtocolError
from .cid import Cid, cid_text, parse_cid_text
from .dag_walk import ByteRange, Scope, parse_byte_range
from .p2phttp import BadCall

PREFIX = "/ipfs/"
_FIELDS_MAX = 32
_RANGES_MAX = 64


class Form(StrEnum):
    """In which form blocks are wanted; as ``format=`` says."""

    RAW = "raw"
    CAR = "car"


class Wish(NamedTuple):
    """What a request is for."""

    root: Cid
    names: tuple[bytes, ...]
    form: Form
    scope: Scope = Scope.ALL
    byte_range: ByteRange | None = None
    repeats: bool = True

    @property
    def kind(self) -> str:
        """The type of the answer."""
        if self.form is Form.RAW:
            return "application/vnd.ipld.raw"
        dups = "y" if self.repeats else "n"
        return f"application/vnd.ipld.car; version=1; order=dfs; dups={dups}"

    @property
    def tag(self) -> str:
        """Names the bytes of the answer."""
        name = f"{cid_text(self.root)}.{self.form}"
        if self.form is Form.RAW:
            return f'"{name}"'
        more = repr((self.names, str(self.scope), self.byte_range, self.repeats))
        return f'"{name}.{sha256(more.encode()).hexdigest()[:16]}"'

    @property
    def file_name(self) -> str:
        """What a browser calls the answer."""
        return f"{cid_text(self.root)}.{'bin' if self.form is Form.RAW else 'car'}"


def read_wish(target: str, accept: str | None) -> Wish:
    """Read the target of a request, and its header Accept.

    Raises:
        BadCall: 400 when it is not understood, 406 when nothing is asked for that we have.
    """
    path, _, query = target.partition("?")
    root, names = _read_path(path)
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise BadCall(400, "too many words in the query") from None
    asked = dict(reversed(fields))
    form, said = _form(asked, accept or "")
    if form is Form.RAW:
        if names:
            raise BadCall(400, "a raw block has no paths in it; ask for format=car")
        return Wish(root, (), form)
    repeats = _read_car(asked, said)
    scope = _chosen(asked.get("dag-scope", "all"), tuple(Scope), "dag-scope", 400)
    byte_range = None
    if "entity-bytes" in asked:
        try:
            byte_range = parse_byte_range(asked["entity-bytes"])
        except ProtocolError as error:
            raise BadCall(400, str(error)) from None
        scope = Scope.ENTITY
    return Wish(root, names, form, Scope(scope), byte_range, repeats)


def _read_path(path: str) -> tuple[Cid, tuple[bytes, ...]]:
    text, *rest = path[len(PREFIX) :].split("/")
    if rest and not rest[-1]:
        rest.pop()
    try:
        root = parse_cid_text(text)
    except ProtocolError as error:
        raise BadCall(400, str(error)) from None
    names = tuple(map(unquote_to_bytes, rest))
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise BadCall(400, "a path with a name that cannot be")
    return root, names


def _form(asked: Mapping[str, str], accept: str) -> tuple[Form, Mapping[str, str]]:
    """The form, and what Accept says about a CAR. What the query says is heeded first."""
    offered = list(_iter_accepted(accept))
    of_car = next((said for form, said in offered if form is Form.CAR), {})
    if "format" in asked:
        return Form(_chosen(asked["format"], tuple(Form), "format", 400)), of_car
    if not offered:
        raise BadCall(406, "blocks are given as format=raw or format=car")
    form, said = offered[0]
    return form, said


_TYPES = {"application/vnd.ipld.raw": Form.RAW, "application/vnd.ipld.car": Form.CAR}


def _iter_accepted(accept: str) -> Iterator[tuple[Form, Mapping[str, str]]]:
    """The forms that Accept names, the one that is liked best first."""
    found = []
    for item in accept.split(",")[:_RANGES_MAX]:
        name, *words = (word.strip() for word in item.split(";"))
        said = {key.strip().lower(): value.strip(' "') for key, _, value in _pairs(words)}
        form = _TYPES.get(name.lower())
        weight = _weight(said.pop("q", "1"))
        if form is not None and weight > 0:
            found.append((-weight, form, said))
    return ((form, said) for _, form, said in sorted(found, key=lambda one: one[0]))


def _pairs(words: list[str]) -> Iterator[tuple[str, str, str]]:
    return (word.partition("=") for word in words)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0


def _read_car(asked: Mapping[str, str], said: Mapping[str, str]) -> bool:
    """Whether blocks may come again; what else is said of a CAR has to be what we give."""
    words = {}
    for word, choice in (("version", ("1",)), ("order", ("dfs", "unk")), ("dups", ("y", "n"))):
        if f"car-{word}" in asked:
            words[word] = _chosen(asked[f"car-{word}"], choice, f"car-{word}", 400)
        elif word in said:
            words[word] = _chosen(said[word], choice, word, 406)
    # Where nothing is said, we need not remember what was given.
    return words.get("dups", "y") == "y"


def _chosen(value: str, choice: tuple[str, ...], word: str, status: int) -> str:
    if value not in choice:
        raise BadCall(status, f"{word} is one of {', '.join(choice)}")
    return value
