"""`git-annex-remote-holdfast` as tests run it: of this tree, whatever is installed."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPT = """#!{python}
import sys

sys.path.insert(0, {source!r})
from holdfast.cli.remote_program import run

raise SystemExit(run())
"""


def write_program(folder: Path) -> Path:
    """Put the program into a folder, to be found on PATH."""
    import holdfast

    folder.mkdir(exist_ok=True)
    program = folder / "git-annex-remote-holdfast"
    source = str(Path(holdfast.__file__).parents[1])
    program.write_text(SCRIPT.format(python=sys.executable, source=source))
    program.chmod(0o755)
    return program
