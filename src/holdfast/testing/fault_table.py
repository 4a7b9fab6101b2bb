"""What becomes of each fault of a network, for each kind of place: the table of docs/faults.md.

Printed by `python -m holdfast.testing.fault_table`; tests/faults/test_fault_table.py makes each
fault and compares what it sees with this table, so the page says what happens.
"""

from __future__ import annotations

from collections.abc import Mapping

from .fault_proxy import Trouble

Told = Mapping[str, str]
"""What is told of each trouble."""

DONE = "done"

_READ: Told = {
    Trouble.SLOW: DONE,
    Trouble.CUT: "H205: H301 (3)",
    Trouble.CUT_ONCE: DONE,
    Trouble.STALL: "H205: H304 (3)",
    Trouble.FLIP: "H205: H204 (3)",
    Trouble.LENGTH: "H205: H204 (3)",
    Trouble.BUSY_ONCE: DONE,
    Trouble.ERROR_ONCE: DONE,
    Trouble.ERROR: "H205: H301 (3)",
    Trouble.BROKEN: "H205: H301 (3)",
    Trouble.BAD_GATEWAY: "H205: H301 (3)",
    Trouble.LATE_GATEWAY: "H205: H301 (3)",
    Trouble.EXPIRED: "H205: H302 (3)",
    Trouble.FORBIDDEN: "H205: H302 (3)",
    Trouble.LOOP: "H205: H303 (3)",
    Trouble.UNTRUSTED: "H205: H371 (3)",
}
_SENT: Told = {
    Trouble.SLOW: DONE,
    Trouble.CUT: "H301 (3)",
    Trouble.CUT_ONCE: DONE,
    Trouble.STALL: "H304 (3)",
    Trouble.FLIP: DONE,
    Trouble.LENGTH: "H373 (3)",
    Trouble.BUSY_ONCE: DONE,
    Trouble.ERROR_ONCE: DONE,
    Trouble.ERROR: "H301 (3)",
    Trouble.BROKEN: "H301 (3)",
    Trouble.BAD_GATEWAY: "H301 (3)",
    Trouble.LATE_GATEWAY: "H301 (3)",
    Trouble.EXPIRED: "H302 (4)",
    Trouble.FORBIDDEN: "H302 (4)",
    Trouble.LOOP: "H303 (1)",
    Trouble.UNTRUSTED: "H371 (4)",
}
OF_ANY_STREAM = (
    Trouble.SLOW, Trouble.CUT, Trouble.CUT_ONCE, Trouble.STALL, Trouble.FLIP, Trouble.EXPIRED,
    Trouble.UNTRUSTED,
)  # fmt: skip
"""What can happen to a connection that is not HTTP."""


def _of_ssh(told: Told) -> Told:
    return {trouble: told[trouble] for trouble in OF_ANY_STREAM}


def _of_stream(told: Told) -> Told:
    """Of a connection in which nobody proves who the other side is."""
    return {trouble: told[trouble] for trouble in OF_ANY_STREAM[:-1]}


READING: Mapping[str, Told] = {
    "the web": _READ,
    "web server": _READ,
    "httpalso": _READ,
    "ora, http": _READ,
    # What it sends of a part says how much there is: the rest is asked for.
    "annex+http": {**_READ, Trouble.LENGTH: DONE},
    "S3": _READ,
    "WebDAV": _READ,
    # rclone itself sees that too little came.
    "rclone": {**_READ, Trouble.LENGTH: "H205: H301 (3)"},
    # rsync compares checksums of whole files, and brings again what was harmed.
    "rsync": {**_of_stream(_READ), Trouble.FLIP: DONE},
    "rsync, ssh": {**_of_ssh(_READ), Trouble.FLIP: DONE, Trouble.UNTRUSTED: "H205: H302 (3)"},
    "ora, ssh": {**_of_ssh(_READ), Trouble.FLIP: DONE, Trouble.UNTRUSTED: "H205: H302 (3)"},
    # ssh itself sees the bit, and ends; and whose key is another is refused.
    "ssh": {**_of_ssh(_READ), Trouble.FLIP: DONE, Trouble.UNTRUSTED: "H205: H302 (3)"},
}
SENDING: Mapping[str, Told] = {
    "annex+http": {**_SENT, Trouble.LENGTH: "H507 (3)"},
    "S3": _SENT,
    "WebDAV": _SENT,
    "rclone": {
        **{trouble: told for trouble, told in _SENT.items() if trouble is not Trouble.FLIP},
        Trouble.LENGTH: "H301 (3)",
    },
    "rsync": _of_stream(_SENT),
    "rsync, ssh": {**_of_ssh(_SENT), Trouble.UNTRUSTED: "H302 (4)"},
    "ora, ssh": {**_of_ssh(_SENT), Trouble.UNTRUSTED: "H302 (4)"},
    "ssh": {**_of_ssh(_SENT), Trouble.UNTRUSTED: "H302 (4)"},
}

OF_PROGRAMS: Mapping[str, tuple[str, str, str]] = {
    "dies once": ("it is killed at work, once", DONE, DONE),
    "dies": ("it is killed at work, each time", "H205: H344 (3)", "H344 (3)"),
    "hangs": ("it says nothing any more", "H205: H343 (3)", "H343 (3)"),
    "mute": ("it never says its first word", "H205: H343 (3)", "H343 (3)"),
    "starts not": ("it ends before its first word", "H205: H344 (3)", "H344 (3)"),
    "nonsense": ("it says what is no line of the protocol", "H205: H303 (3)", "H303 (1)"),
    "another key": ("it answers for another content", "H205: H303 (3)", "H303 (1)"),
    "fails": ("it says that it cannot", "H205: H342 (3)", "H342 (3)"),
    "other bytes": ("it brings other bytes, or stores what it should", "H205: H204 (3)", DONE),
    "says it has": ("it says it did, and did nothing", "H205: H303 (3)", "believed"),
}
"""What is told of a program for a special remote: about it, of reading, of sending."""

_ABOUT = {
    Trouble.SLOW: "bytes come slowly, but come",
    Trouble.CUT: "the connection is reset in the middle, each time",
    Trouble.CUT_ONCE: "it is reset once",
    Trouble.STALL: "bytes stop, and the connection stays open",
    Trouble.FLIP: "one bit changes on the way, once",
    Trouble.LENGTH: "the length is told wrong, and so much comes, each time",
    Trouble.BUSY_ONCE: "429 with Retry-After, once",
    Trouble.ERROR_ONCE: "503, once",
    Trouble.ERROR: "503, each time",
    Trouble.BROKEN: "500, each time",
    Trouble.BAD_GATEWAY: "502, each time",
    Trouble.LATE_GATEWAY: "504, each time",
    Trouble.EXPIRED: "401: credentials have run out (ssh: the key is not known any more)",
    Trouble.FORBIDDEN: "403",
    Trouble.LOOP: "every answer redirects to itself",
    Trouble.UNTRUSTED: "a certificate that nobody trusts (ssh: another host key)",
}

_HEAD = """\
# When the network fails

What `hold get --from PLACE` and `hold copy --to PLACE` say when a network, or a server, does what
it should not. **done**: it mends itself, the exit code is 0. Else the code of the
[error](errors.md) and, in brackets, the exit code. `hold get` tells H205, and in its second line
why each place did not give the content: that error follows the colon.

In every case:

- content is whole and right, here and there, or it is not there;
- the ledger claims no copy that is not there;
- when the fault is over, the same command completes, and goes on from what has come;
- no password, secret key or token is in what is printed (with `--json` too), in the words of a
  program that runs, in settings or in a version.

This page is printed by `python -m holdfast.testing.fault_table`. A test makes each of these faults
between a command and a real server (`rclone serve` for S3 and WebDAV, `hold serve`, sshd, rsync's
daemon, and a web server of our own), by a proxy that speaks TLS, and compares it with this page.
"""

_TAIL = """\
WebDAV has no checksums. So a server is asked how many bytes arrived before they get their name,
and what was sent without TLS is read back. With TLS, which tells of changed bits itself, nothing
is read back: what changes in the server, or in a proxy that ends TLS, is found when the content is
next read, by `hold get` or git-annex's fsck, and is never taken for right. The bit flip of WebDAV
in the tables is the one without TLS.

By rclone, here to a WebDAV server, the same holds, without the reading back. A program that says
that it stored what it did not is believed, as git-annex believes it, until it is asked: no copy is
dropped before it was.

Waiting has limits: 20 s without a byte (WebDAV, rsync, and reading by rclone: 120 s; sending by
rclone: 600 s), three tries (S3: five) of a request that a busy server puts off by Retry-After,
which is heeded up to 30 s.
"""

_PROGRAMS_HEAD = """\
## Programs for special remotes

| the program | reading | sending |
|---|---|---|"""


def page() -> str:
    """The page, as Markdown."""
    parts = [_HEAD, "## Reading\n", _table(READING), "## Sending\n", _table(SENDING), _TAIL]
    return "\n".join([*parts, _PROGRAMS_HEAD, *map(_program_row, OF_PROGRAMS.values()), ""])


def _program_row(row: tuple[str, str, str]) -> str:
    return f"| {' | '.join(row)} |"


def _table(columns: Mapping[str, Told]) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for trouble, about in _ABOUT.items():
        cells = [told.get(trouble, "–") for told in columns.values()]
        lines.append(f"| {about} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(page(), end="")
