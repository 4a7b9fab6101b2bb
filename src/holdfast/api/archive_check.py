"""Before packing: is each content of a version really somewhere, and where; mended, if asked for.

All places are asked now, many keys at a time. What the ledger says only tells whom to ask.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..archive.archive_folder import folder_of
from ..archive.check_report import CheckReport, Mended
from ..archive.left_out import LeftOut, opened_left_out
from ..archive.verdicts import Checked, Pointer, Verdict
from ..core import faults
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import Presence
from ..core.progress import Progress, Silence
from ..dataset.annexed import iter_annexed
from ..dataset.rules import Rules
from ..dataset.sorted_spill import SortedSpill
from ..dataset.submodules import iter_submodules
from ..dataset.versions import commit_of, has_path
from .archive_asking import Asking
from .archive_repair import RepairOptions, repairing
from .datasets import Dataset
from .nesting import Nested, Walk, iter_nested, work_in
from .reading import readable_ledger
from .sources import open_sources
from .unknown import elsewhere, iter_refused
from .urls import RATE_MAX

_END = b"\0"


@dataclass(frozen=True)
class CheckOptions:
    """What to check, and how: see `iter_archive_check`."""

    version: str | None = None
    rate: float = RATE_MAX
    jobs: int | None = None
    repair: RepairOptions | None = None


def iter_archive_check(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    options: CheckOptions | None = None,
    levels: int | None = 0,
    report: CheckReport | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Find out for each annexed file of a version, below some paths, which places have its content.

    An outcome for each file, in the order of keys, then one for each place (action ``place``) and
    one for all (action ``total``). All places that are said to have content are asked now; where
    none has it, all others that can be reached, too. Content that nobody has is dead, an error of
    exit code 1; where somebody who may have it did not answer it is doubtful, one of code 3.
    Nothing is believed, and without ``repair`` nothing is changed. One host of URLs is asked
    ``rate`` times a second at most. What the last snapshot of the archive had to do without is told
    with why, as it was noted when it was packed (fact ``left_out``).

    ``levels`` is how many levels of data sets inside are checked too, None for all, each in the
    version that is checked out. ``report`` is filled with all that was found.

    Raises:
        NotFoundError: There is no such version.
        UsageError: A version is named and data sets inside are to be checked, too.
    """
    chosen = options or CheckOptions()
    if levels != 0 and chosen.version is not None:
        what = "a version is one of one data set, so it goes without -r"
        raise faults.BAD_USAGE(what=what, command="archive")
    listener = progress or Silence()
    with CheckReport(_spill_folder(dataset)) as own:
        found = own if report is None else report
        walk = Walk(levels, follow=chosen.version is None)
        listener.start(None, None)
        try:
            for nested in iter_nested(dataset, paths, walk):
                if isinstance(nested, Outcome):
                    yield nested
                    continue
                if nested.concerned:
                    yield from _iter_in(nested, chosen, found, listener)
                if levels != 0:
                    yield from _iter_not_installed(nested, found)
        finally:
            listener.stop()
        yield from _iter_totals(found)


def archive_check(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    options: CheckOptions | None = None,
    levels: int | None = 0,
) -> CheckReport:
    """Check, and give what was found: a report, whatever it says; see `iter_archive_check`.

    Its ``exit_code`` tells whether all is well. Close it when it was read.

    Raises:
        NotFoundError: A path or version is not known.
    """
    report = CheckReport(_spill_folder(dataset))
    try:
        for outcome in iter_archive_check(
            dataset, paths, options=options, levels=levels, report=report
        ):
            if outcome.error is not None and not outcome.key:
                raise outcome.error
    except BaseException:
        report.close()
        raise
    return report


def _iter_in(
    nested: Nested, options: CheckOptions, report: CheckReport, listener: Progress
) -> Iterator[Outcome]:
    prefix = os.fsdecode(nested.prefix)

    def work(dataset: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_check(dataset, below, options, report, prefix, listener)

    return work_in(nested, work, "check")


def _iter_not_installed(nested: Nested, report: CheckReport) -> Iterator[Outcome]:
    for one in iter_submodules(nested.dataset.repository, nested.paths):
        if not one.installed:
            report.not_installed += 1
            path = os.fsdecode(nested.prefix + one.path)
            note = "a data set that is not installed: what is in it was not checked"
            yield Outcome("check", Status.NOT_NEEDED, path, note=note)


def _iter_check(
    dataset: Dataset,
    paths: Sequence[bytes],
    options: CheckOptions,
    report: CheckReport,
    prefix: str,
    listener: Progress,
) -> Iterator[Outcome]:
    """Check one data set; outcomes are told from its own top."""
    repository = dataset.repository
    if options.repair is not None and not options.repair.dry_run:
        repository.check_writable()
        repository.check_plain_content()
    else:
        # Where we may not write, what remotes brought is read as if it were merged.
        dataset.__dict__.setdefault("ledger", readable_ledger(dataset))
    commit = commit_of(repository, options.version or "HEAD")
    refused = elsewhere(dataset, paths, "archive check")
    for path in paths:
        if path not in refused and not has_path(repository, commit, path):
            refused[path] = faults.NO_SUCH_PATH(path=os.fsdecode(path))
    yield from iter_refused(refused, "check")
    wanted = [path for path in paths if path not in refused]
    if paths and not wanted:
        return
    with (
        SortedSpill(_spill_folder(dataset)) as spill,
        opened_left_out(folder_of(repository), _spill_folder(dataset)) as left_out,
        open_sources(dataset) as sources,
        Asking(dataset, sources, rate=options.rate, jobs=options.jobs) as asking,
        repairing(dataset, sources, options.repair, options.jobs) as repairer,
    ):
        _collect(dataset, wanted, commit, spill)
        asking.ask_all_for_few = repairer is not None
        for checked in asking.iter_checked(_iter_pointers(spill, left_out)):
            mended = {} if repairer is None else repairer.mend(checked)
            for one in checked:
                done = mended.get(one.pointer.key)
                after = one if done is None or not done.done else _now_here(one, asking)
                report.add(after, done, prefix)
                listener.advance(len(one.pointer.paths), 0)
                yield from _iter_told(one, after, done)
        if repairer is not None:
            report.corrected += repairer.corrected
    if options.repair is not None:
        dataset.forget()


def _now_here(checked: Checked, asking: Asking) -> Checked:
    """The same once its content was brought here."""
    others = tuple(f for f in checked.findings if f.place.id != asking.here.place.id)
    here = asking.finding_here(Presence.PRESENT)
    return Checked(checked.pointer, (here, *others), checked.urls)


def _collect(dataset: Dataset, paths: Sequence[bytes], commit: str, spill: SortedSpill) -> None:
    """List the annexed files of a version by key, each with the copies it asks for."""
    repository = dataset.repository
    usual = dataset.ledger.copy_rules().numcopies
    rules = None if repository.bare else Rules(repository)
    if rules is not None and not rules.copies_differ:
        rules = None
    for file in iter_annexed(repository, paths, commit):
        assert file.key is not None
        number = rules.copies(file.path)[0] if rules is not None else None
        needed = usual if number is None else number
        spill.add(file.key + _END + file.path + _END + b"%d" % needed)


def _iter_pointers(spill: SortedSpill, left_out: LeftOut) -> Iterator[Pointer]:
    fields = (item.split(_END) for item in spill)
    for key, same in groupby(fields, key=lambda found: found[0]):
        files = list(same)
        paths = tuple(path for _, path, _ in files)
        needed = max(int(number) for _, _, number in files)
        yield Pointer(Key(key), paths, needed, left_out.why(key))


# what is told


def _iter_told(checked: Checked, after: Checked, mended: Mended | None) -> Iterator[Outcome]:
    """An outcome for each file of a content."""
    verdict = after.verdict
    facts: dict[str, object] = {
        "verdict": str(verdict), "copies": after.copies, "needed": after.pointer.needed,
        "places": [
            {
                "place": finding.place.label, "uuid": finding.place.id,
                "claimed": finding.claimed, "answer": str(finding.presence),
                **({"remark": finding.remark} if finding.remark else {}),
            }
            for finding in after.findings
        ],
    }  # fmt: skip
    if after.urls:
        facts["urls"] = [
            {"url": url.url, "answer": str(url.presence), "remark": url.remark}
            for url in after.urls
        ]
    if after.pointer.left_out:
        facts["left_out"] = after.pointer.left_out
    key, note = after.pointer.key, _note(checked, mended)
    if mended is not None and mended.source:
        facts["source"] = mended.source
        facts["mended"] = mended.done
    if verdict is Verdict.FEW:
        facts["warning"] = f"{after.copies} of the {after.pointer.needed} copies it should have"
    for raw in after.pointer.paths:
        path = os.fsdecode(raw)
        error = None
        if verdict is Verdict.DEAD:
            error = faults.CONTENT_DEAD(path=path, detail=_why(after, mended))
        elif verdict is Verdict.DOUBTFUL:
            error = faults.CONTENT_DOUBTFUL(path=path, detail=_why(after, mended))
        status = Status.OK if error is None else Status.ERROR
        shown = note or (f"{verdict}: {_why(after, mended)}" if error is not None else "")
        yield Outcome("check", status, path, key, key.size, shown, error, facts)


def _why(checked: Checked, mended: Mended | None) -> str:
    more = mended.why_not if mended is not None else ""
    return "; ".join(filter(None, (checked.why, more)))


def _note(checked: Checked, mended: Mended | None) -> str:
    if mended is None or not mended.source:
        return ""
    if mended.done:
        return f"was {checked.verdict}; brought from {mended.source}"
    return f"{checked.verdict}; would be brought from {mended.source}"


def _iter_totals(report: CheckReport) -> Iterator[Outcome]:
    totals = report.totals
    for place in totals.places.values():
        facts: dict[str, object] = {
            "uuid": place.place.id, "claims": place.claims, "confirmed": place.confirmed,
            "refuted": place.refuted, "unreachable": place.unreachable, "found": place.found,
        }  # fmt: skip
        yield Outcome("place", Status.OK, place.place.label, note=place.remark, facts=facts)
    counts: dict[str, object] = {
        "files": totals.all.files, "keys": totals.all.keys, "bytes": totals.all.size,
        "corrected": report.corrected, "not_installed": report.not_installed,
        "mended": totals.mended.keys,
        "copies": {str(copies): count.keys for copies, count in sorted(totals.by_copies.items())},
    }  # fmt: skip
    of_all = [*totals.by_verdict.items(), ("left_out", totals.left_out)]
    for name, count in of_all:
        counts[str(name)] = {"files": count.files, "keys": count.keys, "bytes": count.size}
    yield Outcome("total", Status.OK, note=_in_words(report), facts=counts)


def _in_words(report: CheckReport) -> str:
    totals = report.totals
    parts = [f"{totals.all.keys:,} contents of {totals.all.files:,} files"]
    parts += [
        f"{count.keys:,} {verdict}" for verdict, count in totals.by_verdict.items() if count.keys
    ]
    return ", ".join(parts)


def _spill_folder(dataset: Dataset) -> bytes:
    """Where there is room for what does not fit into memory."""
    folder = dataset.repository.annex_dir
    return folder if os.access(folder, os.W_OK) else os.fsencode(tempfile.gettempdir())
