"""The arithmetic of parity, by PyECLib: ISA-L's Cauchy code.

Fragments of PyECLib begin with 80 bytes of its own, which say number and lengths and nothing of the
content. They are taken from a stripe of zeros once, and given back to it where it wants them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..core import faults
from ..wire.parity import SEGMENT

if TYPE_CHECKING:
    from pyeclib.ec_iface import ECDriver

_KIND = "isa_l_rs_cauchy"
_HEAD = 80


class ParityCode:
    """The code of groups of ``members`` and ``parities``, for stripes of a `SEGMENT` of each."""

    def __init__(self, members: int, parities: int) -> None:
        """Have the code ready.

        Raises:
            UsageError: PyECLib is not installed, or has no ISA-L here.
        """
        self._members = members
        self._driver = _driver(members, parities)
        zeros = self._driver.encode(bytes(members * SEGMENT))
        self._heads = [fragment[:_HEAD] for fragment in zeros]
        if any(len(fragment) != _HEAD + SEGMENT for fragment in zeros):
            raise faults.NO_PARITY_CODE(detail="its fragments are not as long as they should be")

    def encode(self, stripe: bytes) -> list[memoryview]:
        """The parities of a stripe: a segment of each member, one after the other."""
        fragments = self._driver.encode(stripe)
        return [memoryview(one)[_HEAD:] for one in fragments[self._members :]]

    def rebuild(
        self, there: Mapping[int, bytes | memoryview], wanted: Sequence[int]
    ) -> list[memoryview]:
        """Segments that are wanted, of as many others as there are members.

        Pieces are numbered: members first, then parities.
        """
        fragments = [b"".join((self._heads[number], part)) for number, part in there.items()]
        found = self._driver.reconstruct(fragments, list(wanted))
        return [memoryview(one)[_HEAD:] for one in found]


def _driver(members: int, parities: int) -> ECDriver:
    try:
        from pyeclib.ec_iface import ECDriver, ECDriverError
    except ImportError:
        raise faults.NO_PARITY_CODE(detail="the package pyeclib is not installed") from None
    try:
        return ECDriver(k=members, m=parities, ec_type=_KIND)
    except ECDriverError as error:
        raise faults.NO_PARITY_CODE(detail=f"pyeclib has no ISA-L here: {error}") from None
