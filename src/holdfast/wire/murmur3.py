"""MurmurHash3, 128 bits for 64-bit machines, its first half: spreads names over shards. Pure code.

It guards nothing: whoever wants to can make names of the same hash. Public domain algorithm.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F


def murmur3_x64_64(data: bytes) -> int:
    """The first 64 bits of the hash with seed 0."""
    size = len(data)
    h1 = h2 = 0
    whole = size & ~15
    for at in range(0, whole, 16):
        k1 = int.from_bytes(data[at : at + 8], "little")
        k2 = int.from_bytes(data[at + 8 : at + 16], "little")
        k1 = k1 * _C1 & _MASK
        h1 ^= (k1 << 31 | k1 >> 33) * _C2 & _MASK
        h1 = (h1 << 27 | h1 >> 37) + h2 & _MASK
        h1 = h1 * 5 + 0x52DCE729 & _MASK
        k2 = k2 * _C2 & _MASK
        h2 ^= (k2 << 33 | k2 >> 31) * _C1 & _MASK
        h2 = (h2 << 31 | h2 >> 33) + h1 & _MASK
        h2 = h2 * 5 + 0x38495AB5 & _MASK
    if size & 15:
        k1 = int.from_bytes(data[whole : whole + 8], "little") * _C1 & _MASK
        k2 = int.from_bytes(data[whole + 8 :], "little") * _C2 & _MASK
        h1 ^= (k1 << 31 | k1 >> 33) * _C2 & _MASK
        h2 ^= (k2 << 33 | k2 >> 31) * _C1 & _MASK
    h1 ^= size
    h2 ^= size
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return _mixed(h1) + _mixed(h2) & _MASK


def _mixed(half: int) -> int:
    half ^= half >> 33
    half = half * 0xFF51AFD7ED558CCD & _MASK
    half ^= half >> 33
    half = half * 0xC4CEB9FE1A85EC53 & _MASK
    return half ^ half >> 33
