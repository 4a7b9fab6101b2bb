"""Make a data set of a new or existing folder.

With -d it becomes a part of that data set, which contains it: written down there, and saved.

An existing folder keeps its files as they are; `hold save` records them. A git repository that
has no annex yet becomes a data set with --force and keeps its history; a bare one gets an annex and
nothing else.

A profile says which files go to git itself, besides those whose name or folder begins with a dot;
all others go to the annex. mixed: those of up to 64 KiB, text or not. all-annexed: no others.
text2git: text of any size. yoda: README.md, CHANGELOG.md and all below code/, which it begins.
bids: as mixed, and texts about the data (*.json, *.tsv, *.bval, *.bvec, README*, CHANGES) of any
size.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold create study", "a new folder, study"),
    ("hold create --force .", "make the present git repository a data set"),
    ("hold create -d . inputs/raw", "inside the present data set, and a part of it"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "path", nargs="?", metavar="PATH", default=".", help="the folder; made if it is not there"
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="mixed",
        help="which files go to git and which to the annex, as above; mixed if not given",
    )
    parser.add_argument("--backend", metavar="NAME", help="how keys are made, such as SHA256E")
    parser.add_argument("--description", metavar="TEXT", help="what to call this place")
    parser.add_argument("--force", action="store_true", help="also where something is already")
    parser.add_argument(
        "--no-annex", action="store_true", help="plain git, for git add and git commit alone"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from pathlib import Path

    from ..api.create import iter_create

    options = call.options
    return call.finish(
        iter_create(
            Path(options.path),
            profile=options.profile,
            backend=options.backend,
            description=options.description,
            force=options.force,
            annex=not options.no_annex,
            settings=call.settings.values,
            inside=call.dataset if options.dataset else None,
            progress=call.progress,
        )
    )
