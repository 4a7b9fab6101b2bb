"""Starting costs nothing: what is imported on the way to the quick answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = frozenset(
    [
        "argparse",
        "asyncio",
        "ast",
        "concurrent",
        "ctypes",
        "dataclasses",
        "difflib",
        "email",
        "getpass",
        "hashlib",
        "http",
        "importlib.metadata",
        "inspect",
        "json",
        "logging",
        "multiprocessing",
        "pathlib",
        "pickle",
        "platform",
        "random",
        "shutil",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "textwrap",
        "threading",
        "traceback",
        "typing",
        "urllib",
        "uuid",
        "xml",
        "zlib",
    ]
)


def imported(code: str) -> set[str]:
    """What running the code in a new interpreter imports, and a bare one does not."""
    script = f"import sys\nbare = set(sys.modules)\n{code}\nsys.stderr.write(' '.join(set(sys.modules) - bare))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--version"], ["--help"], [], ["-C", "/", "--version"]])
def test_a_quick_answer_imports_nothing_heavy(words: list[str]) -> None:
    found = imported(f"from holdfast.cli.main import run; run({words!r})")
    assert not found & HEAVY
    assert {name for name in found if name.startswith("holdfast.")} <= {
        "holdfast.cli", "holdfast.cli.main", "holdfast.cli.table", "holdfast.version",
    }  # fmt: skip


def test_importing_the_package_imports_nothing_heavy() -> None:
    found = imported("import holdfast; holdfast.__version__")
    assert found - {"__future__"} == {"holdfast", "holdfast.version"}


def test_a_command_imports_no_other_command_and_no_service() -> None:
    code = "from holdfast.cli.main import run; run(['status', '-d', '/nowhere/at/all', '--json'])"
    found = imported(
        f"import os, sys; sys.stderr = open(os.devnull, 'w')\n{code}\nsys.stderr = sys.__stderr__"
    )
    services = {
        "asyncio",
        "email",
        "http",
        "importlib.metadata",
        "logging",
        "shutil",
        "sqlite3",
        "ssl",
        "urllib.request",
    }
    assert not found & services
    assert "holdfast.cli.status" in found
    assert "holdfast.cli.get" not in found


def test_a_look_at_a_data_set_loads_no_machinery_for_classes(tmp_path: Path) -> None:
    folder = str(tmp_path / "study")
    subprocess.run(
        [sys.executable, "-m", "holdfast", "create", folder], check=True, capture_output=True,
        env={**os.environ, "HOME": str(tmp_path), "GIT_AUTHOR_NAME": "A", "EMAIL": "a@example.org"},
    )  # fmt: skip
    run = f"from holdfast.cli.main import run; run(['status', '-d', {folder!r}])"
    found = imported(f"import os, sys; sys.stdout = open(os.devnull, 'w')\n{run}")
    assert "holdfast.dataset.status" in found
    assert not found & {
        "ast",
        "ctypes",
        "dataclasses",
        "hashlib",
        "inspect",
        "tempfile",
        "textwrap",
    }


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("hold ")
