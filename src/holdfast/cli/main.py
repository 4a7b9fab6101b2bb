"""The entry point: what is quick is answered here, the rest is handed to a command's own file.

Nothing heavy is imported before it is known that it is needed: ``hold --version`` reads this
file, the version and the command table, and no more.
"""

from __future__ import annotations

import sys

from .table import GLOBAL_VALUED, VERBATIM, listing, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HELP = """\
Usage: hold [OPTIONS] COMMAND [ARGUMENTS]

Keeps research data findable, versioned, shared, moved and alive for decades.
{listing}
Options, before or after the command
  -C DIR                 work as if started in DIR
  -d, --dataset DATASET  work in this data set, not the one around the current folder
  -c KEY=VALUE           set something for this call only; may be repeated
  -v, --verbose          tell of every item
  -q, --quiet            tell of failures only
  --json                 one outcome a line, as JSON, on standard output
  --debug                show where in the code an error arose
  --version              print the version
  -h, --help             print help; `hold help COMMAND` tells more
"""


def run(words: Sequence[str] | None = None) -> int:
    """Run one call of `hold` and give its exit code."""
    words = sys.argv[1:] if words is None else words
    before, command, after = split(words)
    if command in VERBATIM and not before:
        return main_of(command)(after)
    quick = quick_answer(before, command)
    if quick is None:
        module = module_of(command) if command else None
        from .call import carry_out

        return carry_out(module, command, [*before, *after])
    return print_quickly(quick)


def main_of(command: str) -> Callable[[Sequence[str]], int]:
    """What carries out a command that reads all of its words by itself."""
    if command == "annex":
        from .annex import main

        return main
    from .annex_shell import main as main_of_shell

    return main_of_shell


def split(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Part a call at its command: the options before it, the command, the words after it."""
    before: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            return before, word, list(rest)
        before.append(word)
        if word in GLOBAL_VALUED:
            before += [value for value in (next(rest, None),) if value is not None]
    return before, "", []


def quick_answer(before: Sequence[str], command: str) -> str | None:
    """The text to print for calls that need no command; None for all others."""
    if "--version" in before:
        from ..version import __version__

        return f"hold {__version__}\n"
    if "-h" in before or "--help" in before or (not command and not before):
        return HELP.format(listing=listing())
    return None


def print_quickly(text: str) -> int:
    """Print and be done; a reader who has gone is no failure."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        from .streams import abandon_output

        abandon_output()
    return 0


if __name__ == "__main__":
    sys.exit(run())
