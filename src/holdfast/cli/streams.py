"""Standard output and error, made safe for any name, any locale and a reader who leaves."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Let nothing we print fail for the locale's sake; a closed stream becomes a silent one."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush cannot fail."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)


def is_terminal(descriptor: int) -> bool:
    """Whether a person watches this descriptor; false when it is closed."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
