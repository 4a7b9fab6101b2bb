"""The program in docs/formats/car.md reads what we write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from car_maker import CarMade, Leading, Tree, content

from holdfast.wire.unixfs import Profile

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "car.md"


def test_the_program_on_the_page_writes_out_every_file(tmp_path: Path) -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("```python\n")
    program = tmp_path / "read_car.py"
    program.write_text(rest.partition("```")[0], encoding="utf-8")
    tree: Tree = {
        b"empty": None,
        b"latest": Leading(b"many/7"),
        b"large": content(2000),
        b"none": b"",
        **{b"many/%d" % number: b"%d" % number for number in range(400)},
    }
    car = CarMade(Profile("small", 16, 3, 300))
    root = car.put_tree(tree)
    file, out = tmp_path / "file.car", tmp_path / "out"
    file.write_bytes(b"".join(car.chunks(root)) + bytes(50))
    done = subprocess.run([sys.executable, program, file, out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path, what in tree.items():
        found = out / path.decode()
        if what is None:
            assert list(found.iterdir()) == []
        elif isinstance(what, Leading):
            assert str(found.readlink()).encode() == what.target
        else:
            assert found.read_bytes() == what
    assert sum(1 for _ in out.rglob("*")) == len(tree) + 1

    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    done = subprocess.run([sys.executable, program, file, out], capture_output=True, text=True)
    assert done.returncode != 0
