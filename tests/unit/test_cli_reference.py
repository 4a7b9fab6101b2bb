"""The pages about commands and errors are made from the code, and every command is documented."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from holdfast.cli.pages import all_parsers, load, page, paragraphs
from holdfast.cli.parser import own_actions
from holdfast.cli.reference import reference
from holdfast.cli.table import ALIASES, COMMANDS, ELSEWHERE, GROUPS, listing, module_of
from holdfast.core import faults

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES = [name for name, _, _, _ in COMMANDS]


def test_the_command_reference_is_true() -> None:
    """When it is not: python -m holdfast.cli.reference > docs/commands.md."""
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == reference()


def test_the_error_reference_is_true() -> None:
    """When it is not: python -m holdfast.core.faults > docs/errors.md."""
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == faults.reference()


@pytest.mark.parametrize(("name", "module", "group", "line"), COMMANDS)
def test_every_command_has_a_module_help_and_examples(
    name: str, module: str, group: str, line: str
) -> None:
    found = load(module)
    assert callable(found.run)  # type: ignore[attr-defined]
    assert group in dict(GROUPS)
    assert paragraphs(found)[0] == line, "the table and the module's first line say the same"
    assert 1 <= len(found.EXAMPLES) <= 3
    for call, says in found.EXAMPLES:
        assert call.split()[:2] == ["hold", name] or call.startswith("hold -")
        assert says
    text = page(name, found, 80)
    assert all(len(row) <= 100 for row in text.splitlines())
    assert f"Usage: hold {name} " in text


def test_every_option_is_explained_and_every_command_speaks_json() -> None:
    for name, _, _, _, parser in all_parsers():
        arguments, options = own_actions(parser)
        assert all(action.help for action in [*arguments, *options]), name
        required = [
            next(iter(argument.choices), "x") if argument.choices else "x"
            for argument in arguments
            if argument.nargs in (None, "+")
        ]
        assert parser.read([*required, "--json"]).json is True, name


def test_every_example_can_be_parsed() -> None:
    for name, _, _, module, parser in all_parsers():
        for call, _ in module.EXAMPLES:
            words = shlex.split(call.partition(" | ")[0].partition(" >")[0])
            parser.read(words[words.index(name) + 1 :])


def test_no_option_of_a_command_hides_a_common_one() -> None:
    # argparse refuses two options of one name, so building all parsers is the test.
    assert len(list(all_parsers())) == len(COMMANDS)


def test_names_are_unique_and_aliases_lead_to_commands() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert module_of("nothing") is None
    for word, name in (*ALIASES, *ELSEWHERE):
        assert name in NAMES
        assert word not in NAMES


def test_the_listing_names_every_command_under_its_group() -> None:
    shown = listing()
    for name in NAMES:
        assert f"\n  {name} " in shown
    assert [title for _, title in GROUPS] == [
        row for row in shown.splitlines() if row and not row.startswith(" ")
    ]
