"""Serve a data set over HTTP: to hold, git-annex and git.

Clients clone it, and get, put, lock and drop content as in any other place; whoever has a URL reads
content, by ranges too. It listens on this machine alone unless told otherwise, and over the network
nobody writes without a login. Put a proxy with TLS before it where passwords go over networks of
others.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold serve", "on a free port of this machine; Ctrl-C ends it"),
    ("hold serve --bind 0.0.0.0 --read-only", "to the network, for reading"),
    ("hold serve --logins logins.txt --private", "only to those with a login"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("--bind", metavar="ADDRESS", default="127.0.0.1", help="where to listen")
    parser.add_argument(
        "--port", metavar="N", type=int, default=0, help="without it, a free one is taken"
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument("--read-only", action="store_true", help="nobody may change anything")
    limits.add_argument(
        "--append-only", action="store_true", help="content may be brought, and none removed"
    )
    parser.add_argument(
        "--logins", metavar="FILE", help="who may do what: lines made with --make-login"
    )
    parser.add_argument("--private", action="store_true", help="a login is needed to read, too")
    parser.add_argument(
        "--anybody-may-write", action="store_true", help="over the network and without a login"
    )
    parser.add_argument(
        "--url", metavar="URL", help="what clients call this server, where a proxy is before it"
    )
    parser.add_argument(
        "--make-login", metavar="NAME", help="ask for a password and print a line for --logins"
    )
    parser.add_argument(
        "--rights", choices=("read", "append", "write"), default="write",
        help="what that login may do",
    )  # fmt: skip


def run(call: Call) -> int:
    """Carry it out."""
    import json
    import sys

    from ..site.serve import Wishes, make_login, serve

    options = call.options
    if options.make_login:
        return make_login(options.make_login, options.rights)
    wishes = Wishes(
        bind=options.bind,
        port=options.port,
        read_only=options.read_only,
        append_only=options.append_only,
        logins=options.logins,
        private=options.private,
        anybody_may_write=options.anybody_may_write,
        public_url=options.url,
        verbose=bool(call.options.verbose),
    )

    def announce(url: str) -> None:
        record = json.dumps({"action": "serve", "status": "ok", "url": url})
        sys.stdout.write((record if options.json else url) + "\n")
        sys.stdout.flush()

    return serve(call.dataset, wishes, announce)
