"""`hold annex unlock` and `lock`: the two forms of an annexed file."""

from __future__ import annotations

from ..core import faults
from ..core.outcome import Outcome, Status
from .annex_content import below, chosen_paths, show_outcome
from .annex_verbs import Front


def run(front: Front) -> int:
    """Change the files named, or all below the current folder."""
    from ..api.lock import iter_lock, iter_unlock

    if front.words.verb == "edit":
        front.words.verb = "unlock"
    paths = chosen_paths(front)
    if paths is None:
        return front.show.close()
    if front.words.verb != "lock":
        for outcome in iter_unlock(front.dataset, below(paths)):
            show_outcome(front, outcome)
        return front.show.close()
    changed: list[Outcome] = []
    for outcome in iter_lock(front.dataset, below(paths)):
        error = outcome.error
        if front.words.has("--force") and error and error.code == faults.CHANGED_SINCE.code:
            changed.append(outcome)
        else:
            show_outcome(front, outcome)
    _give_up_changes(front, changed)
    return front.show.close()


def _give_up_changes(front: Front, changed: list[Outcome]) -> None:
    """Lock files whose changes may go: the pointer is put back first."""
    import os

    from ..api.lock import iter_lock
    from ..wire.pointer import pointer

    for outcome in changed:
        assert outcome.key is not None
        path = os.fsencode(outcome.path)
        full = os.path.join(front.dataset.top, path)
        with open(full + b".hold", "wb") as file:
            file.write(pointer(outcome.key))
        os.rename(full + b".hold", full)
        for again in iter_lock(front.dataset, [path]):
            if again.status is not Status.NOT_NEEDED:
                show_outcome(front, again)
