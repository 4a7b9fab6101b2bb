"""Make a clone of a data set, without its content.

All names and versions come at once; `hold get` brings the content that is wanted. A source is a
path, a URL, HOST:PATH, a git bundle, ///NAME for the collection at datasets.datalad.org, or
ria+URL#ID for a data set in a RIA store. With -d the clone becomes a part of that data set, which
contains it: written down there, and saved.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold clone https://example.org/study.git", "into the folder study"),
    ("hold clone -d . /data/study raw", "into the folder raw, as a part of this data set"),
    ("hold clone ///openneuro/ds000001", "from DataLad's public collection"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("source", metavar="SOURCE", help="a path, URL or HOST:PATH")
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="where to; made of the source's name if not given"
    )
    parser.add_argument("--description", metavar="TEXT", help="what to call this place")


def run(call: Call) -> int:
    """Carry it out."""
    from pathlib import Path

    from ..api.clone import iter_clone

    options = call.options
    return call.finish(
        iter_clone(
            options.source,
            Path(options.path) if options.path else None,
            description=options.description,
            settings=call.settings.values,
            inside=call.dataset if options.dataset else None,
            progress=call.progress,
        )
    )
