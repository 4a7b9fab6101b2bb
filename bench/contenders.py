"""How each program is asked for the same thing. A verb that a program lacks is not in its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Commands = Sequence[Sequence[str]]

HOLD = "hold"
ANNEX = "git-annex"
DATALAD = "DataLad"
FLOOR = "floor"


@dataclass(frozen=True)
class Contender:
    """A program, and the commands for each verb. ``{source}``, ``{target}`` are filled in."""

    name: str
    verbs: Mapping[str, Commands]

    def commands(self, verb: str, **places: str) -> list[list[str]] | None:
        """The commands for a verb; None when the program has no such verb."""
        found = self.verbs.get(verb)
        if found is None:
            return None
        return [[word.format(**places) for word in command] for command in found]


def make_contenders(hold: str, backend: str) -> tuple[Contender, ...]:
    """hold, git-annex and DataLad, all making keys by one backend."""
    return (
        Contender(
            HOLD,
            {
                "init": [[hold, "create", "--profile", "all-annexed", "--backend", backend]],
                "save": [[hold, "save", "-m", "bench"]],
                "clone": [[hold, "clone", "{source}", "{target}"]],
                "get": [[hold, "get", "."]],
                "get-folder": [[hold, "get", "sub-0000"]],
                "drop": [[hold, "drop", "."]],
                "whereis": [[hold, "whereis", "--json"]],
                "fsck": [[hold, "fsck"]],
                "status": [[hold, "status"]],
                "version": [[hold, "--version"]],
            },
        ),
        Contender(
            ANNEX,
            {
                "init": [
                    ["git", "init", "-q"],
                    ["git", "annex", "init", "-q", "bench"],
                    ["git", "config", "annex.backend", backend],
                ],
                "save": [["git", "annex", "add", "."], ["git", "commit", "-q", "-m", "bench"]],
                "clone": [
                    ["git", "clone", "-q", "{source}", "{target}"],
                    ["git", "-C", "{target}", "annex", "init", "-q", "bench"],
                ],
                "get": [["git", "annex", "get", "."]],
                "drop": [["git", "annex", "drop", "."]],
                "whereis": [["git", "annex", "whereis", "--json"]],
                "fsck": [["git", "annex", "fsck"]],
                "version": [["git-annex", "version", "--raw"]],
            },
        ),
        Contender(
            DATALAD,
            {
                "init": [["datalad", "create", "--force", "."], _datalad_backend(backend)],
                "save": [["datalad", "save", "-m", "bench"]],
                "clone": [["datalad", "clone", "{source}", "{target}"]],
                "get": [["datalad", "get", "."]],
                "drop": [["datalad", "drop", "."]],
                "status": [["datalad", "status"]],
                "version": [["datalad", "--version"]],
            },
        ),
    )


def _datalad_backend(backend: str) -> list[str]:
    # DataLad writes its backend, MD5E, into .gitattributes; of two lines there the last one counts.
    script = 'test "$0" = MD5E && exit; echo "* annex.backend=$0" >>.gitattributes'
    return ["sh", "-c", f"{script} && git commit -q -m backend .gitattributes", backend]
