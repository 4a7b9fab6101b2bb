"""The help page of a command, made from its module and its parser."""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterable
from importlib import import_module

from .parser import (
    Parser,
    Runnable,
    argument_usage,
    common_actions,
    invocation,
    make_parser,
    own_actions,
    value_name,
)

INDENT = 28


def load(module: str) -> Runnable:
    """The module of a command, imported now."""
    found: Runnable = import_module(f".{module}", __package__)  # type: ignore[assignment]
    return found


def usage(name: str, parser: Parser) -> str:
    """``hold get [OPTIONS] [PATH ...]``."""
    arguments, _ = own_actions(parser)
    return " ".join(["hold", name, "[OPTIONS]", *map(argument_usage, arguments)])


def paragraphs(module: Runnable) -> list[str]:
    """What a command's docstring says, a paragraph each, each in one line."""
    parts = (module.__doc__ or "").split("\n\n")
    return [" ".join(part.split()) for part in parts if part.strip()]


def page(name: str, module: Runnable, width: int) -> str:
    """The whole help page."""
    parser = make_parser(name, module)
    arguments, options = own_actions(parser)
    blocks = [f"Usage: {usage(name, parser)}"]
    blocks += [_fill(text, width) for text in paragraphs(module)]
    rows = [(value_name(action), action) for action in arguments]
    blocks += _block("Arguments", rows, width)
    blocks += _block("Options", [(invocation(a), a) for a in options], width)
    common = [(invocation(a), a) for a in common_actions(parser)]
    blocks += _block("Options of every command", common, width)
    width = max(len(call) for call, _ in module.EXAMPLES)
    examples = "\n".join(f"  {call:<{width}}  {says}" for call, says in module.EXAMPLES)
    blocks.append(f"Examples\n{examples}")
    return "\n\n".join(blocks) + "\n"


def _block(title: str, rows: Iterable[tuple[str, Action]], width: int) -> list[str]:
    lines = [_row(label, action.help or "", width) for label, action in rows]
    return ["\n".join([title, *lines])] if lines else []


def _row(label: str, text: str, width: int) -> str:
    start = f"  {label:<{INDENT - 4}}  "
    if len(start) > INDENT:
        start = f"  {label}\n{' ' * INDENT}"
    return start + _fill(text, width, " " * INDENT)[INDENT:]


def _fill(text: str, width: int, indent: str = "") -> str:
    from textwrap import fill  # late: each command loads this module, and few show a page

    return fill(text, width, initial_indent=indent, subsequent_indent=indent)


def all_parsers() -> Iterable[tuple[str, str, str, Runnable, Parser]]:
    """Every command: name, group, one line, module, parser."""
    from .table import COMMANDS

    for name, module_name, group, line in COMMANDS:
        module = load(module_name)
        yield name, group, line, module, make_parser(name, module)
