"""Values of named fields that cost nothing to define.

To define a frozen dataclass takes a millisecond, since Python writes and compiles code for it. The
words of a protocol are dozens, and a server that is started for each login defines them each time.
"""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record:
    """What inherits from it behaves as a frozen dataclass does; no fields are inherited further."""

    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.__match_args__ = tuple(cls.__annotations__)  # type: ignore[misc]

    def __init__(self, *values: Any, **named: Any) -> None:
        names, fields = self.__match_args__, self.__dict__
        fields.update(zip(names, values, strict=False))
        if named or len(values) != len(names):
            cls = type(self)
            usual = {
                name: getattr(cls, name) for name in names[len(values) :] if hasattr(cls, name)
            }
            fields.update({**usual, **named})
            if len(values) > len(names) or fields.keys() != set(names):
                raise TypeError(f"{cls.__name__} takes {', '.join(names) or 'no fields'}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(self.__dict__[name] for name in self.__match_args__)))

    def __repr__(self) -> str:
        told = (f"{name}={self.__dict__[name]!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({', '.join(told)})"
