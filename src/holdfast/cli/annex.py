"""Be git-annex, for programs that call it.

The verbs that hold has work as git-annex's do, with its options, output and exit codes; anything
else is handed to the real git-annex. git's filters and hooks come through here, too.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

    from .call import Call

EXAMPLES = (
    ("hold annex add sub-07", "as git annex add does"),
    ("hold annex whereis --json", "with git-annex's field names"),
    ("hold annex sync", "not hold's: done by git-annex itself"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes: all of it is read by git-annex's rules."""
    parser.add_argument("words", nargs="*", metavar="VERB ...", help="a call of git annex")


def run(call: Call) -> int:
    """Carry it out, when it came by the usual way."""
    return main(call.options.words)


def main(words: Sequence[str]) -> int:
    """Carry out one call of git-annex, given by the words after its name.

    What git calls by itself is told apart first, before anything is imported that it does not
    need: the filter is started by many a `git status`.
    """
    from . import annex_real

    command, rest = words[0] if words else "", list(words[1:])
    quick = _QUICK.get(command)
    if quick is not None:
        code = quick(rest)
        if code is not None:
            return code
    else:
        from .annex_verbs import carry_out

        code = carry_out(words)
        if code is not None:
            return code
    return annex_real.hand_over(words)


def _filter_process(words: Sequence[str]) -> int | None:
    if words:
        return None
    _note("filter-process", words)
    from .annex_filters import filter_process

    return filter_process()


def _smudge(words: Sequence[str]) -> int | None:
    from . import annex_filters

    names = [word for word in words if word not in ("--", "--clean", "--update")]
    if len(names) + words.count("--update") != 1:
        return None
    _note("smudge", words)
    if "--update" in words:
        return _caught(annex_filters.update)
    path = os.fsencode(names[0])
    return annex_filters.clean_one(path) if "--clean" in words else annex_filters.smudge_one(path)


def _pre_commit(words: Sequence[str]) -> int | None:
    if list(words) not in ([], ["."]) or _is_view():
        return None
    _note("pre-commit", words)
    from .annex_filters import pre_commit

    return _caught(pre_commit)


def _is_view() -> bool:
    """Whether a view is checked out: its changes of place are changes of metadata."""
    try:
        with open(os.path.join(os.environ.get("GIT_DIR", ".git"), "HEAD"), "rb") as file:
            return b"refs/heads/views/" in file.read()
    except OSError:
        return False


def _caught(work: object) -> int:
    """Run what a hook calls; its errors in one line, as git prints them above its own."""
    from ..core.errors import HoldError

    try:
        return work()  # type: ignore[operator, no-any-return]
    except (HoldError, OSError) as error:
        sys.stderr.write(f"hold annex: {error}\n")
        return 1


def _note(command: str, words: Sequence[str]) -> None:
    from .annex_real import note

    note("ours", [command, *words])


_QUICK = {"filter-process": _filter_process, "smudge": _smudge, "pre-commit": _pre_commit}
