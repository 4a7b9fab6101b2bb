"""List, register, remove or check the URLs of files.

With --check each is asked for, and what is there compared in size with what is recorded; dead ones
are told, with exit code 3, and nothing is removed. No host is asked more often than --rate says,
and one that asks to wait is left alone until then.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator

from ..core import faults
from ..core.outcome import Outcome
from .addurls import parse_rate
from .call import Call
from .text import parse_count, printable, quote

EXAMPLES = (
    ("hold urls sub-07", "which URLs its files have"),
    ("hold urls --add https://example.org/T1w.nii.gz T1w.nii.gz", "register one"),
    ("hold urls --check", "find dead links"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument("--add", metavar="URL", help="register URL for the content of PATH")
    parser.add_argument("--remove", metavar="URL", help="URL is no longer one of PATH")
    parser.add_argument("--check", action="store_true", help="ask whether they still work")
    parser.add_argument(
        "--rate", type=parse_rate, default=10.0, metavar="N", help="ask one host N times a second"
    )
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="ask so many at a time; of one host 2"
    )


def run(call: Call) -> int:
    """Carry it out."""
    options = call.options
    if sum(map(bool, (options.add, options.remove, options.check))) > 1:
        raise faults.BAD_USAGE(what="--add, --remove and --check are three", command="urls")
    if options.check or options.add or options.remove:
        return call.finish(_outcomes(call))
    from ..api.urls import iter_urls

    def tell(outcome: Outcome) -> str:
        found = outcome.facts.get("urls")
        urls = [printable(str(url)) for url in found] if isinstance(found, list) else []
        name = quote(call.show_path(outcome.path))
        return "\n".join(f"{name}  {url}" for url in urls)

    return call.finish(iter_urls(call.dataset, call.paths), tell)


def _outcomes(call: Call) -> Iterator[Outcome]:
    from ..api.urls import iter_add_url, iter_check_urls, iter_remove_url

    options = call.options
    if options.add:
        return iter_add_url(call.dataset, options.add, call.paths)
    if options.remove:
        return iter_remove_url(call.dataset, options.remove, call.paths)
    return iter_check_urls(
        call.dataset,
        call.paths,
        jobs=options.jobs or call.settings.jobs,
        rate=options.rate,
        progress=call.progress,
    )
