"""The one reading of the environment and of the call's own settings, into a frozen value.

Read at an entry point and passed down; nothing else in the package looks at the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .core import faults

WIDTH_DEFAULT = 80
WIDTH_MIN = 40
JOBS = "annex.jobs"
LIMIT_RATE = "hold.limit-rate"
"""How many bytes a second a call may move at most, all places together."""
KERNELS = ("compiled", "llvm", "plain")

ENVIRONMENT = {
    "HOLDFAST_DATASET": "the data set to work in, like -d",
    "HOLDFAST_COLOR": "auto, always or never; NO_COLOR means never",
    "HOLDFAST_PROGRESS": "auto, always or never",
    "HOLDFAST_DEBUG": "1 shows tracebacks, like --debug",
    "HOLDFAST_JOBS": "how much to do at a time, like -c annex.jobs=N",
    "HOLDFAST_KERNEL": "what hashes pieces: auto, compiled, llvm or plain; the last two build "
    "nothing in C and load nothing built",
}
"""What we look for, and what it means; printed in the command reference."""


def config_home(environ: Mapping[str, str]) -> str:
    """The folder in which programs keep what this user set up."""
    given = environ.get("XDG_CONFIG_HOME", "")
    return given if os.path.isabs(given) else os.path.expanduser("~/.config")


class Settings(NamedTuple):
    """What the person, the terminal and the environment ask for.

    ``values`` overrides git's configuration for this one call, under git's own names.
    """

    color: bool = False
    progress: bool = False
    width: int = WIDTH_DEFAULT
    debug: bool = False
    dataset: str | None = None
    values: Mapping[str, str] = MappingProxyType({})

    @property
    def jobs(self) -> int | None:
        """How many things to do at a time, if anybody said so for this call."""
        words = self.values.get(JOBS, "")
        return int(words) if words.isdecimal() else None


def read_settings(
    environ: Mapping[str, str],
    assignments: Iterable[str] = (),
    *,
    out_is_terminal: bool = False,
    err_is_terminal: bool = False,
    width: int | None = None,
) -> Settings:
    """Make settings of an environment and ``KEY=VALUE`` words; the words win.

    Raises:
        UsageError: A word or a variable has a form that means nothing.
    """
    values = {}
    if jobs := environ.get("HOLDFAST_JOBS"):
        values[JOBS] = _checked_jobs(jobs, f"HOLDFAST_JOBS={jobs}")
    for word in assignments:
        name, value = parse_assignment(word)
        values[name] = _checked_jobs(value, f"-c {word}") if name == JOBS else value
    dumb = environ.get("TERM") == "dumb"
    return Settings(
        color=_choice(
            environ,
            "HOLDFAST_COLOR",
            auto=out_is_terminal and err_is_terminal and not dumb and not environ.get("NO_COLOR"),
        ),
        progress=_choice(environ, "HOLDFAST_PROGRESS", auto=err_is_terminal and not dumb),
        width=_width(environ, width),
        debug=environ.get("HOLDFAST_DEBUG", "") not in ("", "0"),
        dataset=environ.get("HOLDFAST_DATASET") or None,
        values=values,
    )


def kernel_wish(environ: Mapping[str, str]) -> str:
    """The first of KERNELS to try; those after it are tried when it cannot be used.

    Raises:
        UsageError: HOLDFAST_KERNEL has a word that means nothing.
    """
    word = environ.get("HOLDFAST_KERNEL") or "auto"
    if word not in ("auto", *KERNELS):
        said = f"HOLDFAST_KERNEL={word}: say auto, {', '.join(KERNELS[:-1])} or {KERNELS[-1]}"
        raise faults.BAD_USAGE(what=said, command="help")
    return KERNELS[0] if word == "auto" else word


def _checked_jobs(words: str, given: str) -> str:
    # git-annex takes "cpus" for one a processor, which is what we do when nothing is said.
    number = words.isascii() and words.isdigit() and int(words) > 0
    if not number and words not in ("cpus", "cpu"):
        raise faults.BAD_USAGE(what=f"{given}: say a number, 1 or more, or cpus", command="help")
    return words


def parse_assignment(word: str) -> tuple[str, str]:
    """Read ``KEY=VALUE``; a key alone is true, as git has it. Section and name become lower case.

    Raises:
        UsageError: The key has no section.
    """
    key, equals, value = word.partition("=")
    section, dot, rest = key.partition(".")
    if not (section and dot and rest):
        raise faults.BAD_USAGE(
            what=f"-c {word}: a setting is SECTION.NAME=VALUE", command="help config"
        )
    middle, dot, name = rest.rpartition(".")
    return f"{section.lower()}.{middle}{dot}{name.lower()}", value if equals else "true"


def terminal_width(descriptor: int = 2) -> int | None:
    """How many columns a terminal has; None when it is none."""
    try:
        return os.get_terminal_size(descriptor).columns or None
    except (OSError, ValueError):
        return None


def _choice(environ: Mapping[str, str], name: str, *, auto: bool) -> bool:
    word = environ.get(name) or "auto"
    if word not in ("auto", "always", "never"):
        raise faults.BAD_USAGE(what=f"{name}={word}: say auto, always or never", command="help")
    return auto if word == "auto" else word == "always"


def _width(environ: Mapping[str, str], measured: int | None) -> int:
    columns = environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else measured or WIDTH_DEFAULT
    return max(width, WIDTH_MIN)
