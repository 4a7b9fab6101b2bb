"""The parser of one command: its own options, and those that every command has."""

from __future__ import annotations

from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    HelpFormatter,
    Namespace,
)
from collections.abc import Sequence
from typing import NoReturn, Protocol

from ..core import faults


class Runnable(Protocol):
    """What a command's module offers; its docstring is the help."""

    __doc__: str | None
    EXAMPLES: tuple[tuple[str, str], ...]

    @staticmethod
    def add_options(parser: ArgumentParser) -> None:
        """Declare the options and arguments that only this command has."""


class _Formatter(HelpFormatter):
    """Of a fixed width: argparse makes one for each option, and would measure the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class Parser(ArgumentParser):
    """An argparse parser that raises our errors, and takes options between arguments."""

    def error(self, message: str) -> NoReturn:
        """Tell of a call whose words do not fit.

        Raises:
            UsageError: Always.
        """
        raise faults.BAD_USAGE(what=message, command=self.prog.removeprefix("hold "))

    def read(self, words: Sequence[str]) -> Namespace:
        """Options and arguments, in any order; after ``--`` all are arguments."""
        words = list(words)
        cut = words.index("--") if "--" in words else len(words)
        plain = [_guard(word) for word in words[cut + 1 :]]
        found = self.parse_intermixed_args([*words[:cut], *plain])
        for name, value in vars(found).items():
            if isinstance(value, list):
                setattr(found, name, [_unguard(item) for item in value])
            elif isinstance(value, str):
                setattr(found, name, _unguard(value))
        return found


# argparse loses the "--" when options and arguments are mixed, so a word after it that starts
# with a dash travels with a sign in front that no word of a call can hold.
_GUARD = "\0"


def _guard(word: str) -> str:
    return _GUARD + word if word.startswith("-") else word


def _unguard(word: object) -> object:
    return word.removeprefix(_GUARD) if isinstance(word, str) else word


def make_parser(name: str, module: Runnable) -> Parser:
    """The parser of a command."""
    parser = Parser(
        prog=f"hold {name}",
        usage=f"hold {name}",  # written by `pages`; given so that argparse does not work it out
        add_help=False,
        allow_abbrev=False,
        formatter_class=_Formatter,
    )
    module.add_options(parser)
    add_common(parser)
    return parser


def add_common(parser: ArgumentParser) -> None:
    """Declare what every command takes."""
    group = parser.add_argument_group("common")
    group.add_argument("-C", dest="folder", metavar="DIR", help="work as if started in DIR")
    group.add_argument(
        "-d",
        "--dataset",
        metavar="DATASET",
        help="work in this data set, not the one around here; ^ is the topmost around here",
    )
    group.add_argument(
        "-c",
        dest="assignments",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set something for this call only; may be repeated",
    )
    group.add_argument("-v", "--verbose", action="count", default=0, help="tell of every item")
    group.add_argument("-q", "--quiet", action="store_true", help="tell of failures only")
    group.add_argument("--json", action="store_true", help="one outcome a line, as JSON")
    group.add_argument("--debug", action="store_true", help="show where in the code errors arose")
    group.add_argument("--version", action="store_true", help="print the version")
    group.add_argument("-h", "--help", action="store_true", help="print this page")


def own_actions(parser: ArgumentParser) -> tuple[list[Action], list[Action]]:
    """The arguments, and the options that only this command has."""
    shown = [a for a in parser._actions if a.help is not SUPPRESS]
    common = set(map(id, common_actions(parser)))
    arguments = [a for a in shown if not a.option_strings]
    options = [a for a in shown if a.option_strings and id(a) not in common]
    return arguments, options


def common_actions(parser: ArgumentParser) -> list[Action]:
    """The options that every command has."""
    groups = [g for g in parser._action_groups if g.title == "common"]
    return [action for group in groups for action in group._group_actions]


def invocation(action: Action) -> str:
    """``-m, --message TEXT``."""
    value = value_name(action)
    return ", ".join(action.option_strings) + (f" {value}" if value else "")


def value_name(action: Action) -> str:
    """What stands for an option's value; empty when it takes none."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def argument_usage(action: Action) -> str:
    """``[PATH ...]``, ``SOURCE``, ``[PATH]``."""
    name = value_name(action)
    return {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}.get(
        str(action.nargs), name
    )


def option_choices(action: Action) -> tuple[str, ...]:
    """The values an option or argument may have, if they are fixed."""
    return tuple(map(str, action.choices or ()))
