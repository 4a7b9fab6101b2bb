"""`hold annex add`: files go into the annex, or git, and are staged."""

from __future__ import annotations

import os

from ..core.outcome import Outcome, Status
from .annex_real import Elsewhere
from .annex_verbs import Front


def run(front: Front) -> int:
    """Add the files named, or all below the current folder."""
    from ..dataset.add import iter_add

    words = front.words
    if words.has("--include-dotfiles"):
        words.settings["annex.dotfiles"] = "true"
    if words.has("--force-large"):
        words.settings.update({"annex.largefiles": "anything", "annex.dotfiles": "true"})
    if "--backend" in words.values:
        words.settings["annex.backend"] = words.values["--backend"]
    repository = front.dataset.repository
    # What git ignores is added by force alone, which is left to git-annex itself.
    if repository.bare or not front.paths or words.has("--force"):
        raise Elsewhere
    paths = [path for path in front.paths if _is_there(front, path)]
    if paths:
        outcomes = iter_add(
            repository,
            paths,
            to_git=words.has("--force-small"),
            updated=words.has("--update"),
            jobs=front.dataset.jobs(front.jobs),
        )
        for outcome in outcomes:
            _show(front, outcome)
    return front.show.close()


def _is_there(front: Front, path: bytes) -> bool:
    if not os.path.lexists(os.path.join(front.dataset.repository.top, path)):
        front.show.complain(f"{front.show.path(os.fsdecode(path))} not found")
        front.show.failed += 1
        return False
    return True


def _show(front: Front, outcome: Outcome) -> None:
    note = ""
    if outcome.key is None and outcome.status is Status.OK:
        dot = outcome.path.startswith(".") or "/." in outcome.path
        kind = "dotfile" if dot and not front.words.has("--force-small") else "non-large file"
        note = f"{kind}; adding content to git repository"
    front.show.item(
        outcome.path, key=outcome.key, good=outcome.good, note=note, error=outcome.error
    )
