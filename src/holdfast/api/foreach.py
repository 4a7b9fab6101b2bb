"""Run a command in each data set inside a data set."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.submodules import dataset_id
from .datasets import Dataset
from .nesting import Nested, Order, Walk, iter_nested

PLACES = ("{path}", "{dataset}", "{top}", "{id}", "{name}")
"""What stands for something in a command; nothing else in braces does."""
_PLACE = re.compile("|".join(map(re.escape, PLACES)))


def iter_foreach(
    dataset: Dataset,
    command: Sequence[str],
    *,
    levels: int | None = 1,
    bottom_up: bool = False,
    itself: bool = False,
    apart: bool = False,
) -> Iterator[Outcome]:
    """Run a command in the folder of each installed data set; an outcome with each exit code.

    A single word is a line for the shell, several are run as they are. In them ``{path}`` is the
    data set's path from the top, ``{dataset}`` its folder, ``{top}`` the folder of the top,
    ``{id}`` its identity, ``{name}`` its folder's name; they are put in as one word, whatever is in
    them. One that fails does not stop the others. ``itself`` runs it in the top too. With ``apart``
    what the command writes goes to standard error.
    """
    order = Order.BOTTOM_UP if bottom_up else Order.TOP_DOWN
    for nested in iter_nested(dataset, (), Walk(levels, order)):
        if isinstance(nested, Outcome):
            yield nested
        elif nested.prefix or itself:
            yield _run(dataset, nested, command, apart=apart)


def foreach(dataset: Dataset, command: Sequence[str], **options: object) -> Report:
    """Run a command in each data set inside; see `iter_foreach`."""
    return complete(iter_foreach(dataset, command, **options))  # type: ignore[arg-type]


def _run(top: Dataset, nested: Nested, command: Sequence[str], *, apart: bool) -> Outcome:
    path = os.fsdecode(nested.prefix.rstrip(b"/")) or "."
    values = _values(top, nested, path)
    words = [*command]
    if len(words) == 1:
        # As a variable of the shell a value is one word, and is never read as a part of the line.
        line = _replace(words[0], {name: f'"${_variable(name)}"' for name in values})
        words = ["sh", "-c", line]
    else:
        words = [_replace(word, values) for word in words]
    environment = {**os.environ, **{_variable(name): value for name, value in values.items()}}
    try:
        code = subprocess.run(
            words, cwd=nested.dataset.top, env=environment, check=False,
            stdout=sys.stderr if apart else None,
        ).returncode  # fmt: skip
    except OSError as error:
        code, how = 127, f"{words[0]}: {error.strerror or error}"
    else:
        how = _how(code)
    facts = {"exit": code}
    if not code:
        return Outcome("foreach", Status.OK, path, facts=facts)
    told = faults.COMMAND_FAILED(path=path, how=how)
    return Outcome("foreach", Status.ERROR, path, error=told, note=how, facts=facts)


def _values(top: Dataset, nested: Nested, path: str) -> Mapping[str, str]:
    folder = os.fsdecode(nested.dataset.top)
    found = (
        path, folder, os.fsdecode(top.top), dataset_id(nested.dataset.top) or "",
        os.path.basename(folder),
    )  # fmt: skip
    return dict(zip(PLACES, found, strict=True))


def _variable(name: str) -> str:
    return f"HOLD_EACH_{name.strip('{}').upper()}"


def _replace(word: str, values: Mapping[str, str]) -> str:
    """A word with values in their places; what was put in is not looked at again."""
    return _PLACE.sub(lambda found: values[found[0]], word)


def _how(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
