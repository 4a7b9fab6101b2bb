"""Errors for people and programs: four lines or one JSON object, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..core import faults
from ..core.errors import HoldError
from .paint import Paint
from .text import printable, quote

EXIT_STOPPED = 130


def four_lines(error: HoldError, paint: Paint, *, more: int = 0) -> str:
    """What, why, what is safe, what next; ``more`` others failed in the same way."""
    code = f"{error.code}  " if error.code else ""
    others = f"  (and {more:,} more)" if more else ""
    lines = [f"{paint('bad', '✗')} {paint('strong', code)}{printable(error.what)}{others}"]
    for label, text in (("why", error.why), ("safe", error.safe), ("next", error.hint)):
        if text:
            lines.append(f"  {paint('dim', f'{label:<4}')}  {printable(text)}")
    return "\n".join(lines) + "\n"


def as_json(action: str, error: HoldError, *, exit_code: int) -> str:
    """The error as one JSON object in one line."""
    import json

    record = {
        "action": action,
        "status": "error",
        "error": error.as_record(),
        "exit_code": exit_code,
    }
    return json.dumps(record) + "\n"


def bug(error: BaseException) -> HoldError:
    """What to say of an exception that nobody foresaw."""
    text = f"{type(error).__name__}: {error}"
    return HoldError(
        f"hold met something it did not foresee: {text}",
        why="this is a bug in hold, not a mistake of yours",
        safe="content in the annex is as it was",
        hint="report it with the lines above and the command you ran",
        code="bug",
    )


def unknown_command(command: str, names: Sequence[str], elsewhere: dict[str, str]) -> HoldError:
    """No command has this name; the tip names those that look like it."""
    error = faults.BAD_USAGE(what=f"there is no command {quote(command)}", command="")
    error.why = "it is none of those that hold --help lists"
    error.hint = tip(command, names, elsewhere) or "hold --help    (lists the commands)"
    return error


def tip(command: str, names: Sequence[str], elsewhere: dict[str, str]) -> str:
    """``tip: did you mean …``; empty when nothing is near."""
    from difflib import get_close_matches

    if command in elsewhere:
        return f"tip: did you mean hold {elsewhere[command]}?"
    near = get_close_matches(command.lower(), names, n=3, cutoff=0.6)
    return f"tip: did you mean {' or '.join(f'hold {name}' for name in near)}?" if near else ""


def print_traceback(error: BaseException) -> None:
    """Print where in the code it arose, to standard error."""
    import traceback

    traceback.print_exception(error, file=sys.stderr)
