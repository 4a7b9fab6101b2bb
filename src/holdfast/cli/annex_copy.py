"""`hold annex copy` and `move`: content to and from other places."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import faults
from ..core.outcome import Outcome, Status
from .annex_content import below, check_places, chosen_paths
from .annex_real import Elsewhere
from .annex_verbs import Front


def run(front: Front) -> int:
    """Copy or move content of the files named, or all below the current folder."""
    values = front.words.values
    if ("--from" in values) == ("--to" in values) or front.words.has("--force"):
        raise Elsewhere
    check_places(front)
    paths = chosen_paths(front)
    if paths is not None:
        for outcome in _outcomes(front, below(paths)):
            _show(front, outcome)
    return front.show.close()


def _outcomes(front: Front, paths: list[bytes]) -> Iterator[Outcome]:
    from ..api.copy import iter_copy_from, iter_copy_to
    from ..api.drop_there import iter_move_from

    move = front.words.verb == "move"
    values = front.words.values
    if "--to" in values:
        return iter_copy_to(front.dataset, paths, values["--to"], move=move, jobs=front.jobs)
    work = iter_move_from if move else iter_copy_from
    return work(front.dataset, paths, values["--from"], jobs=front.jobs)


def _show(front: Front, outcome: Outcome) -> None:
    if outcome.error is not None and outcome.error.code == faults.NO_SUCH_PATH.code:
        front.show.missing(outcome.path)
        return
    if outcome.error is not None and outcome.error.code == faults.NOT_PRESENT.code:
        return  # git-annex passes over what is not here
    values = front.words.values
    was_there = outcome.status is Status.NOT_NEEDED
    if was_there and "--to" not in values:
        return
    way = f"to {values['--to']}..." if "--to" in values else f"from {values['--from']}..."
    if was_there:
        way = ""
    front.show.item(outcome.path, key=outcome.key, good=outcome.good, note=way, error=outcome.error)
