"""`git-annex-remote-holdfast` as tests run it: of this tree, with the kind `directory`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

SCRIPT = """#!{python}
import sys

sys.path[:0] = [{source!r}, {here!r}]
import holdfast_program

holdfast_program.add_directory_kind()
from holdfast.cli.remote_program import run

raise SystemExit(run())
"""


def add_directory_kind() -> None:
    """Make the least of kinds be `directory`, where there is no real one."""
    if find_spec("holdfast.stores.directory") is None:
        import folder_kind

        sys.modules["holdfast.stores.directory"] = folder_kind


def write_program(folder: Path) -> Path:
    """Put the program into a folder, to be found on PATH."""
    import holdfast

    folder.mkdir(exist_ok=True)
    program = folder / "git-annex-remote-holdfast"
    source = str(Path(holdfast.__file__).parents[1])
    here = str(Path(__file__).parent)
    program.write_text(SCRIPT.format(python=sys.executable, source=source, here=here))
    program.chmod(0o755)
    return program
