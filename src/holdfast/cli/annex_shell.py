"""Be git-annex-shell, for those who come by ssh.

On the other side: git config remote.NAME.annex-shell hold-annex-shell. Here, before a key in
authorized_keys: command="hold-annex-shell",restrict. What that key may do is said by the variables
that git-annex-shell heeds: GIT_ANNEX_SHELL_READONLY, _APPENDONLY, _LIMITED and _DIRECTORY.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

    from .call import Call

EXAMPLES = (("hold annex-shell configlist /data/set", "tells the UUID"),)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes: all of it is read by git-annex-shell's rules."""
    parser.add_argument("words", nargs="*", metavar="WORD ...", help="a call of git-annex-shell")


def run(call: Call) -> int:
    """Carry it out, when it came by the usual way."""
    return main(call.options.words)


def main(words: Sequence[str]) -> int:
    """Carry out one call of git-annex-shell, given by the words after its name."""
    from ..site.annex_shell import run_words

    return run_words(words, os.environ)
