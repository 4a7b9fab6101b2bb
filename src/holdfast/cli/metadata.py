"""Show or set what is said of content: fields, tags.

It is git-annex's metadata: each field has one or more values, and belongs to the content, so to
every file that has it. `hold find --metadata` and `--tag` look for it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping

from ..core import faults
from ..core.outcome import Outcome
from .call import Call
from .text import printable, quote

EXAMPLES = (
    ("hold metadata sub-07", "what is said of its files"),
    ("hold metadata --set author=Ada --tag raw T1w.nii.gz", "say something"),
    ("hold metadata --remove author T1w.nii.gz", "take it back"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files or folders; without one, all of which something is said",
    )
    for word, value, text in (
        ("--set", "FIELD=VALUE", "make this the only value of a field"),
        ("--add", "FIELD=VALUE", "add a value to those of a field"),
        ("--remove", "FIELD[=VALUE]", "take a value, or all of a field, away"),
        ("--tag", "TAG", "add a tag, which is a value of the field tag"),
        ("--untag", "TAG", "take a tag away"),
    ):
        parser.add_argument(
            word, action="append", default=[], metavar=value, help=f"{text}; may be repeated"
        )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.metadata import Verb, Wish, iter_metadata

    options = call.options
    wishes = [
        *(Wish.of(Verb.REMOVE, word) for word in options.remove),
        *(Wish.of(Verb.REMOVE, f"tag={word}") for word in options.untag),
        *(Wish.of(Verb.SET, word) for word in options.set),
        *(Wish.of(Verb.ADD, word) for word in options.add),
        *(Wish.of(Verb.ADD, f"tag={word}") for word in options.tag),
    ]

    if wishes and not options.paths:
        raise faults.BAD_USAGE(what="name the files to change (. for all)", command="metadata")

    def tell(outcome: Outcome) -> str:
        name = quote(call.show_path(outcome.path))
        return "\n".join([name, *(f"  {line}" for line in _lines(outcome.facts.get("fields")))])

    return call.finish(iter_metadata(call.dataset, call.paths, wishes=wishes), tell)


def _lines(fields: object) -> list[str]:
    """``author=Ada``, one for each value."""
    if not isinstance(fields, Mapping):
        return []
    return [printable(f"{name}={value}") for name, values in fields.items() for value in values]
