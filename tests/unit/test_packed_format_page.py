"""The program in docs/formats/packed.md reads a store as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from holdfast.core.place import Place, PlaceId
from holdfast.core.policy import Waiver
from holdfast.stores.packed import PackedStore
from holdfast.stores.packed_marker import make_store
from holdfast.testing.store_contract import content_of, ignore, key_of

PAGE = Path(__file__).parents[2] / "docs/formats/packed.md"
PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")


def test_a_stranger_reads_a_store_with_the_program_of_the_page(tmp_path: Path) -> None:
    make_store(os.fsencode(tmp_path / "store"), PLACE.id, 1 << 14)
    contents = [b"", b"one", *(os.urandom(3000) for _ in range(12))]
    with_removed = PackedStore(PLACE, os.fsencode(tmp_path / "store"))
    items = [(key_of(data), content_of(key_of(data), data)) for data in contents]
    assert all(error is None for _, error in with_removed.iter_send(items, ignore))
    gone = key_of(contents[3])
    with_removed.remove(gone, Waiver(gone, PLACE.id, "a test", "it is one"))
    with_removed.send(*items[4], ignore)
    with_removed.close()
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in program.splitlines() if line]) <= 30
    (tmp_path / "out").mkdir()
    words = [sys.executable, "-c", program, str(tmp_path / "store")]
    subprocess.run(words, cwd=tmp_path / "out", check=True)
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {key_of(data).text: data for data in contents if key_of(data) != gone}
