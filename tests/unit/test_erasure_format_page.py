"""The page on parity says enough to rebuild pieces without us: its program is run."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.archive.parity_code import ParityCode
from holdfast.wire.parity import SEGMENT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats" / "erasure.md"


@pytest.fixture(scope="module")
def compute() -> Callable[..., list[bytes]]:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    found: Callable[..., list[bytes]] = names["compute"]
    return found


@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 3), (2, 1), (4, 2), (7, 3), (10, 4), (20, 15)])
def test_the_program_on_the_page_rebuilds_what_the_library_made(
    k: int, m: int, compute: Callable[..., list[bytes]]
) -> None:
    pytest.importorskip("pyeclib")
    chance = random.Random(k * 100 + m)
    some = 300  # the program is slow, and each byte stands for itself
    members = [chance.randbytes(some) for _ in range(k)]
    stripe = b"".join(member.ljust(SEGMENT, b"\0") for member in members)
    parities = ParityCode(k, m).encode(stripe)
    assert [len(parity) for parity in parities] == [SEGMENT] * m
    every = dict(enumerate([*members, *(bytes(parity[:some]) for parity in parities)]))
    assert compute({n: every[n] for n in range(k)}, k, range(k, k + m)) == [
        every[n] for n in range(k, k + m)
    ]
    for _ in range(3):
        there = chance.sample(range(k + m), k)
        lost = sorted(set(range(k + m)) - set(there))
        assert compute({n: every[n] for n in there}, k, lost) == [every[n] for n in lost]


def test_the_library_rebuilds_what_the_program_on_the_page_made(
    compute: Callable[..., list[bytes]],
) -> None:
    pytest.importorskip("pyeclib")
    members = [random.Random(n).randbytes(50) for n in range(3)]
    every = dict(enumerate([*members, *compute(dict(enumerate(members)), 3, [3, 4])]))
    there = {n: every[n].ljust(SEGMENT, b"\0") for n in (1, 3, 4)}
    found = ParityCode(3, 2).rebuild(there, [0, 2])
    assert [bytes(one[:50]) for one in found] == [every[0], every[2]]


def test_known_parity_of_known_bytes(compute: Callable[..., list[bytes]]) -> None:
    # 2 and 3 have the inverses 8e and f4: parity 2 of 01 01 is their sum, and so is parity 3.
    assert compute({0: b"\x01\x02\x80", 1: b"\x01\x00\xff"}, 2, [2, 3]) == [
        bytes.fromhex("7a0115"),
        bytes.fromhex("7af57a"),
    ]
