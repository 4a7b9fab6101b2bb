"""Add files from a table of URLs.

TABLE is CSV or TSV with a header, a JSON array of objects, or JSON lines; - is standard input. The
formats hold columns between braces, by name or, in CSV and TSV, number from 0; file names may also
have {_repindex}, which numbers names that are alike, and parts of the URL: {_url_hostname},
{_url0} and so on, {_url_basename}, {_url_basename_root}, {_url_basename_ext}. When a row makes no
sense, nothing is fetched. Run again, it goes on with what is missing.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

from ..core import faults
from .addurl import add_fetch_options, folder_here, how_of
from .call import Call
from .text import parse_count

EXAMPLES = (
    ("hold addurls scans.csv '{link}' '{subject}/{name}'", "a file for each row"),
    ("hold addurls --dry-run t.tsv '{0}' '{1}.nii.gz'", "only say which"),
    ("hold addurls t.csv '{url}' '{f}' --key 'MD5-s{size}--{md5}'", "fetch nothing now"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("table", metavar="TABLE", help="a file, or - for standard input")
    parser.add_argument("url", metavar="URL-FORMAT", help="what makes the URL of a row: '{link}'")
    parser.add_argument("path", metavar="FILE-FORMAT", help="what makes the name of its file")
    parser.add_argument(
        "-t", "--type", dest="kind", choices=("csv", "tsv", "json", "jsonl"),
        help="how the table is written, where its name does not tell",
    )  # fmt: skip
    parser.add_argument(
        "--meta", action="append", default=[], metavar="FIELD=FORMAT",
        help="metadata to set for each file; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--key", metavar="FORMAT", help="what makes the key, such as 'et:MD5-s{size}--{md5}'"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be made")
    parser.add_argument(
        "--rate", type=parse_rate, metavar="N", help="so many requests a second of one host"
    )
    parser.add_argument(
        "--per-host", type=parse_count, default=4, metavar="N", help="so many at a time of one host"
    )
    add_fetch_options(parser)


def parse_rate(text: str) -> float:
    """How many a second.

    Raises:
        ArgumentTypeError: It is no number above 0.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return rate


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.addurls import iter_addurls

    options = call.options
    how = how_of(call)
    if options.key and how != "fetch":
        raise faults.BAD_USAGE(what="with --key nothing is fetched anyway", command="addurls")
    outcomes = iter_addurls(
        call.dataset,
        options.table,
        options.url,
        options.path,
        kind=options.kind,
        key_format=options.key,
        metadata=options.meta,
        folder=folder_here(call),
        how=how,
        if_exists=options.if_exists,
        dry_run=options.dry_run,
        jobs=options.jobs or call.settings.jobs,
        per_host=options.per_host,
        rate=options.rate,
        message=options.message,
        progress=call.progress,
    )
    return call.finish(outcomes)
