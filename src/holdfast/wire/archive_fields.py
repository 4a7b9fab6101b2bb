"""Reads maps of DAG-CBOR that have to hold certain fields of certain kinds and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..core.errors import ProtocolError
from .cid import Cid
from .dag_cbor import Link, Value, decode_cbor
from .varint import VARINT_MAX

Kind = TypeVar("Kind")


class Fields:
    """The fields of a map, taken one by one; what is missing, odd or left over is refused."""

    def __init__(self, values: dict[str, Value]) -> None:
        self._values = dict(values)

    @classmethod
    def of_block(cls, block: bytes, kind: str, version: int) -> Fields:
        """The fields of a block that says it is of that kind and version.

        Raises:
            ProtocolError: It does not.
        """
        value = decode_cbor(block)
        if not isinstance(value, dict):
            raise ProtocolError(f"no {kind} of an archive")
        fields = cls(value)
        found = fields.take("v", as_uint)
        if found != version:
            raise ProtocolError(f"a {kind} of format {found}; this one reads {version}")
        if fields.take("kind", as_text) != kind:
            raise ProtocolError(f"a block of an archive that is no {kind}")
        return fields

    def take(self, name: str, read: Callable[[Value], Kind]) -> Kind:
        """The field, read so."""
        try:
            value = self._values.pop(name)
        except KeyError:
            raise ProtocolError(f"a block of an archive without {name!r}") from None
        try:
            return read(value)
        except ProtocolError as error:
            raise ProtocolError(f"{error} in {name!r} of a block of an archive") from None

    def take_lists(self, name: str) -> list[Sequence[Value]]:
        """The field, a list of lists."""
        return [as_list(item) for item in self.take(name, as_list)]

    def take_maps(self, name: str) -> list[Fields]:
        """The field, a list of maps."""
        return [Fields(_as_map(item)) for item in self.take(name, as_list)]

    def end_with(self, read: Kind) -> Kind:
        """What was made of the fields, when nothing is left over."""
        self.finish()
        return read

    def finish(self) -> None:
        """Refuse what is left over."""
        if self._values:
            raise ProtocolError(f"a block of an archive with {min(self._values)[:40]!r} in it")


def as_uint(value: Value) -> int:
    if type(value) is not int or not 0 <= value <= VARINT_MAX:
        raise ProtocolError("no number")
    return value


def as_text(value: Value) -> str:
    if not isinstance(value, str):
        raise ProtocolError("no text")
    return value


def as_bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ProtocolError("no bytes")
    return value


def as_cid(value: Value) -> Cid:
    if not isinstance(value, Link):
        raise ProtocolError("no link")
    return value.cid


def as_list(value: Value) -> Sequence[Value]:
    if not isinstance(value, list):
        raise ProtocolError("no list")
    return value


def as_texts(value: Value) -> tuple[str, ...]:
    return tuple(as_text(item) for item in as_list(value))


def as_optional_uint(value: Value) -> int | None:
    return None if value is None else as_uint(value)


def as_optional_bytes(value: Value) -> bytes | None:
    return None if value is None else as_bytes(value)


def as_optional_cid(value: Value) -> Cid | None:
    return None if value is None else as_cid(value)


def _as_map(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise ProtocolError("no map")
    return value
