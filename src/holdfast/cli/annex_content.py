"""`hold annex get`, `drop` and `fsck`: content of files, by the verbs of hold."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import faults
from ..core.outcome import Outcome, Status
from .annex_real import Elsewhere
from .annex_verbs import Front


def run(front: Front) -> int:
    """Carry out the verb on the files named, or all below the current folder."""
    check_places(front)
    if front.words.verb == "drop" and _is_required_here(front):
        raise Elsewhere
    work = {"get": _get, "drop": _drop, "fsck": _fsck}[front.words.verb]
    paths = chosen_paths(front)
    if paths is not None:
        for outcome in work(front, paths):
            show_outcome(front, outcome)
    return front.show.close()


def check_places(front: Front) -> None:
    """Leave it to the real git-annex where a place is of a kind that we cannot ask."""
    from ..api.sources import open_sources

    for settings in front.dataset.repository.config.sections("remote").values():
        by_helper = "::" in settings.get("url", "")
        if by_helper or settings.get("annex-verified", "verified") == "manual":
            raise Elsewhere
    with open_sources(front.dataset) as sources:
        for missed in sources.unreached:
            if missed.error.code != faults.UNREACHABLE.code:
                raise Elsewhere


def _is_required_here(front: Front) -> bool:
    """Whether there is a rule about content that must stay: it is about every file with a key."""
    from ..dataset.wanting import Wanting

    dataset = front.dataset
    return dataset.here in Wanting(dataset.repository, dataset.ledger).required


def chosen_paths(front: Front) -> list[bytes] | None:
    """The paths to work on, narrowed to single files where terms choose; None when none is left."""
    if not front.words.terms:
        return front.paths
    from ..dataset.annexed import iter_annexed
    from .annex_match import iter_matching

    below = [path for path in front.paths if path]
    files = iter_annexed(front.dataset.repository, below if b"" not in front.paths else ())
    return [file.path for file in iter_matching(front.dataset, files, front.words.terms)] or None


def below(paths: list[bytes]) -> list[bytes]:
    """Paths as the verbs take them: none for the whole data set."""
    return [] if b"" in paths else paths


def _get(front: Front, paths: list[bytes]) -> Iterator[Outcome]:
    from ..api.get import iter_get

    return iter_get(
        front.dataset,
        below(paths),
        source=front.words.values.get("--from"),
        jobs=front.jobs,
        all_versions=front.words.has("--all"),
        follow=False,
    )


def _drop(front: Front, paths: list[bytes]) -> Iterator[Outcome]:
    if "--from" in front.words.values:
        from ..api.drop_there import iter_drop_from

        yield from iter_drop_from(
            front.dataset, below(paths), front.words.values["--from"],
            force_reason="git annex drop --force" if front.words.has("--force") else None,
            numcopies=numcopies(front), follow=False,
        )  # fmt: skip
        return
    from ..api.drop import iter_drop

    yield from iter_drop(
        front.dataset,
        below(paths),
        all_versions=front.words.has("--all"),
        force_reason="git annex drop --force" if front.words.has("--force") else None,
        numcopies=numcopies(front),
        follow=False,
    )


def numcopies(front: Front) -> int | None:
    """The number of copies asked for in this call."""
    text = front.words.values.get("--numcopies")
    if text is None:
        return None
    if not text.isdecimal():
        raise Elsewhere
    return int(text)


def _fsck(front: Front, paths: list[bytes]) -> Iterator[Outcome]:
    from ..api.fsck import iter_fsck

    return iter_fsck(
        front.dataset,
        below(paths),
        fast=front.words.has("--fast"),
        all_versions=front.words.has("--all"),
        jobs=front.jobs,
        follow=False,
    )


def show_outcome(front: Front, outcome: Outcome) -> None:
    """Tell of one file; git-annex is silent on what was so already, but for fsck."""
    error = outcome.error
    if error is not None and error.code == faults.NO_SUCH_PATH.code:
        front.show.missing(outcome.path)
        return
    fsck = front.words.verb == "fsck"
    warning = _despite(front, outcome) if "warning" in outcome.facts else ""
    if outcome.status is Status.NOT_NEEDED and not fsck:
        return
    note = outcome.note if outcome.good else ""
    if note.startswith("from "):
        note += "..."
    elif fsck and outcome.status is Status.OK and not note and not front.words.has("--fast"):
        note = "checksum..."
    elif note.startswith("also in ") or not fsck:
        note = ""
    if "--from" in front.words.values and outcome.good:
        note = f"from {front.words.values['--from']}..."
    front.show.item(
        outcome.path, key=outcome.key, good=outcome.good, note=note, error=error, warning=warning
    )


def _despite(front: Front, outcome: Outcome) -> str:
    """What git-annex says of content that is here under an insecure key."""
    import os

    assert outcome.key is not None
    held = front.dataset.objects.content_path(outcome.key) or b""
    where = front.show.path(os.fsdecode(os.path.relpath(held, front.dataset.top)))
    backend = outcome.key.backend.decode("utf-8", "replace")
    return (
        f"** Despite annex.securehashesonly being set, {where} has content present in the annex "
        f"using an insecure {backend} key"
    )
