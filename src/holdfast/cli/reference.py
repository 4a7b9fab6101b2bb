"""The command reference in docs/commands.md, made from the commands themselves.

Printed by ``python -m holdfast.cli.reference``; a test keeps the page true.
"""

from __future__ import annotations

from argparse import Action

from ..settings import ENVIRONMENT
from .pages import all_parsers, paragraphs, usage
from .parser import Parser, Runnable, common_actions, invocation, own_actions, value_name
from .table import ALIASES, COMMANDS, GROUPS

INTRODUCTION = """\
# Commands

Every command takes the options listed under "Options of every command", before or after its
name. Data goes to standard output, talk to standard error. Exit codes: 0 done, 1 error, 2 usage,
3 incomplete and safe to run again, 4 needs a person, 130 stopped. Errors are explained in
[errors.md](errors.md). Printed by `python -m holdfast.cli.reference`; a test keeps this page true.
"""


def reference() -> str:
    """The command reference as Markdown."""
    found = {name: (module, parser) for name, _, _, module, parser in all_parsers()}
    parts = [INTRODUCTION]
    for group, title in GROUPS:
        parts.append(f"## {title}\n")
        parts += [
            _command(name, line, *found[name]) for name, _, home, line in COMMANDS if home == group
        ]
    any_parser = found["help"][1]
    parts.append("## Options of every command\n\n" + _rows(common_actions(any_parser)))
    parts.append(
        "## Environment\n\n"
        + "".join(f"- `{name}`: {meaning}\n" for name, meaning in ENVIRONMENT.items())
    )
    return "\n".join(parts)


def _command(name: str, line: str, module: Runnable, parser: Parser) -> str:
    arguments, options = own_actions(parser)
    also = [alias for alias, target in ALIASES if target == name]
    blocks = [f"### hold {name}\n", f"{line}\n", f"    {usage(name, parser)}\n"]
    blocks += [f"{text}\n" for text in paragraphs(module)[1:]]
    if also:
        blocks.append(f"Also called: {', '.join(f'`hold {alias}`' for alias in also)}.\n")
    if arguments or options:
        blocks.append(_rows([*arguments, *options]))
    blocks.append("".join(f"    $ {call:<44} # {says}\n" for call, says in module.EXAMPLES))
    return "\n".join(blocks)


def _rows(actions: list[Action]) -> str:
    return "".join(
        f"- `{invocation(a) if a.option_strings else value_name(a)}`: {a.help}\n" for a in actions
    )


if __name__ == "__main__":
    print(reference(), end="")
