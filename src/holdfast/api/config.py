"""Show or set the rules of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.shared_config import Setting, iter_settings, set_here, set_shared
from .datasets import Dataset
from .reading import readable_ledger


def iter_config(
    dataset: Dataset, names: Sequence[str] = (), *, shared: bool = False
) -> Iterator[Outcome]:
    """Show settings (all without a name), or set those given as ``NAME=VALUE``.

    What is set goes to this clone, or with ``shared`` to all clones; an empty value takes it away.
    A name that is not set is told of as impossible.

    Raises:
        UsageError: A name or value is none.
    """
    asked = [name for name in names if "=" not in name]
    given = [word.partition("=") for word in names if "=" in word]
    for name, _, value in given:
        yield _set(dataset, _fold(name), value, shared=shared)
    if given:
        dataset.forget()
    if given and not asked:
        return
    settings = list(iter_settings(dataset.repository, readable_ledger(dataset)))
    if shared:
        settings = [setting for setting in settings if setting.source != "clone"]
    if not asked:
        yield from map(_show, settings)
    for name in map(_fold, asked):
        found = [setting for setting in settings if setting.name == name]
        if found:
            yield _show(found[0])
        else:
            error = faults.NOT_SET(name=name)
            facts = {"name": name}
            yield Outcome("config", Status.IMPOSSIBLE, note=error.what, error=error, facts=facts)


def _set(dataset: Dataset, name: str, value: str, *, shared: bool) -> Outcome:
    source = "clone"
    if shared:
        source = set_shared(dataset.repository, name, value)
    else:
        set_here(dataset.repository, name, value)
    return _show(Setting(name, value, source))


def _show(setting: Setting) -> Outcome:
    facts = {"name": setting.name, "value": setting.value, "source": setting.source}
    return Outcome("config", Status.OK, facts=facts)


def _fold(name: str) -> str:
    """git's form of a name: lower case but for what stands between the first and last dot."""
    section, dot, rest = name.partition(".")
    middle, dot_again, last = rest.rpartition(".")
    return f"{section.lower()}{dot}{middle}{dot_again}{last.lower()}"


def config(dataset: Dataset, names: Sequence[str] = (), *, shared: bool = False) -> Report:
    """Show or set rules; see `iter_config`."""
    return complete(iter_config(dataset, names, shared=shared))
