"""A shell script, run by ``sh`` here or on another machine by ssh, and what it said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from ..core import faults
from ..wire.sibling_scripts import read_answers
from .ssh_command import SshAddress, ssh_argv

PATIENCE_S = 120.0
_HERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
"""What would make git there work on the repository here."""


def run_script(
    script: str,
    target: str,
    *,
    address: SshAddress | None = None,
    ssh_command: str | None = None,
) -> dict[str, str]:
    """Run it and give what it said, by name; ``target`` is what errors call it.

    Raises:
        PlaceUnavailableError: The machine cannot be reached, or a step of it failed.
    """
    argv: Sequence[str] = ["sh", "-s"]
    if address is not None:
        argv = ssh_argv(address, ["sh", "-s"], shell_command=ssh_command)
    environment = {name: value for name, value in os.environ.items() if name not in _HERE}
    try:
        done = subprocess.run(
            argv, input=os.fsencode(script), capture_output=True, env=environment,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except OSError as error:
        detail = f"{argv[0]} cannot be started: {(error.strerror or str(error)).lower()}"
        raise faults.SIBLING_FAILED(target=target, detail=detail) from error
    except subprocess.TimeoutExpired:
        detail = f"it was not done after {PATIENCE_S:g} s"
        raise faults.SIBLING_FAILED(target=target, detail=detail) from None
    if done.returncode:
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line]
        detail = "; ".join(lines[-3:]) or f"it ended with {done.returncode}"
        raise faults.SIBLING_FAILED(target=target, detail=detail)
    return read_answers(done.stdout.decode("utf-8", "replace"))
