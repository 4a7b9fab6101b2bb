"""Completion scripts hold the commands and options, and run without us."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from holdfast.cli.completion import WRITERS
from holdfast.cli.table import COMMANDS


@pytest.mark.parametrize("shell", sorted(WRITERS))
def test_a_script_names_every_command_and_its_options(shell: str) -> None:
    script = WRITERS[shell]()
    for name, _, _, _ in COMMANDS:
        assert name in script
    for option in ("numcopies", "time-limit", "json", "dataset"):
        assert option in script
    assert "python" not in script


@pytest.mark.parametrize("shell", sorted(WRITERS))
def test_a_shell_can_read_its_script(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    flag = "--no-execute" if shell == "fish" else "-n"
    done = subprocess.run(
        [program, flag], input=WRITERS[shell](), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["hold", "sta"], ["status"]),
        (["hold", "-C", "save", "wh"], ["whereis"]),
        (["hold", "drop", "--un"], ["--unused"]),
        (["hold", "completion", "z"], ["zsh"]),
        (["hold", "help", "fs"], ["fsck"]),
        (["hold", "get", "--from", ""], []),
        (["hold", "get", "sub"], []),
    ],
)
def test_bash_offers_what_fits(words: list[str], offered: list[str]) -> None:
    script = WRITERS["bash"]() + (
        f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; _hold; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True)
    assert done.stdout.split() == offered
