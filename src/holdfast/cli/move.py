"""Move content to another place, or from one to another.

It is removed where it was only once it is seen where it went; there are never fewer copies than
before.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .copy import add_places, dry_run
from .limit import heed_limit
from .recursion import levels_of

EXAMPLES = (
    ("hold move --to tape sub-07", "make room here"),
    ("hold move --from scanner", "empty another place"),
    ("hold move --to tape --dry-run", "how much it would be"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    add_places(parser)


def run(call: Call) -> int:
    """Carry it out."""
    heed_limit(call)
    options = call.options
    if options.dry_run:
        return dry_run(call, "move")
    from ..api.between import iter_move

    return call.finish(
        iter_move(
            call.dataset,
            call.paths,
            to=options.to,
            source=options.source,
            all_versions=options.all,
            jobs=options.jobs or call.settings.jobs,
            levels=levels_of(options),
            progress=call.progress,
        )
    )
