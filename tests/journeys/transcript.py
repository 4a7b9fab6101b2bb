"""Runs transcripts: Markdown pages with ``console`` blocks, what a person types and then sees.

A page is one journey, in a new folder with a new home. In a block, ``$ command`` is run by bash
(lines that start with ``> `` go on with it) and what follows is what it has to print, standard
error included. The folder and the exit code (``$?``) are carried from one command to the next;
variables are not.

In expected output ``<SIZE>``, ``<TIME>``, ``<RATE>``, ``<KEY>``, ``<UUID>``, ``<VERSION>``, ``<DATE>``
and ``<FOLDER>`` stand for one such thing, ``…`` for anything in a line, and a line that is only
``…`` for any lines. Before its first block a page may say ``<!-- needs MODULE MODULE -->``: it is
skipped until all of these can be imported.

``python tests/journeys/transcript.py PAGE…`` runs pages and writes what was printed into them,
where it differs from what is expected.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120

PLACEHOLDERS = {
    "SIZE": r"[0-9]+(?:\.[0-9]+)? [kMGTPE]?B",
    "TIME": r"[0-9]+(?:\.[0-9]+)? (?:s|min|h|d)(?: [0-9]+ (?:s|min|h))?",
    "RATE": r"[0-9]+(?:\.[0-9]+)? [kMGTPE]?B/s",
    "KEY": r"[A-Z0-9_]+(?:-[smSC][0-9]+)*--[^\s/]+",
    "UUID": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "VERSION": r"[0-9a-f]{7,64}",
    "DATE": r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?",
    "FOLDER": r"/[^\s]*",
}
WRITTEN_BACK = ("UUID", "KEY", "DATE", "RATE")
"""What `updated` writes as a placeholder, as it differs from run to run."""

_TOKEN = re.compile(r"<([A-Z]+)>|…")
_NEEDS = re.compile(r"<!-- needs ([^>]*?) -->")


@dataclass(frozen=True)
class Step:
    """One command of a page: what is typed, what is expected, and where that stands."""

    command: str
    expected: tuple[str, ...]
    start: int
    end: int
    """The expected lines are lines start to end of the page, counted from 0."""


@dataclass(frozen=True)
class Ran:
    """A step and what it printed."""

    step: Step
    printed: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether it printed what was expected."""
        return matches(self.step.expected, self.printed)

    def difference(self) -> str:
        """The command, and what differs, for people."""
        lines = difflib.unified_diff(
            self.step.expected, self.printed, "expected", "printed", lineterm="", n=3
        )
        return "\n".join([f"line {self.step.start}: $ {self.step.command}", *lines])


def parse(page: str) -> list[Step]:
    """The steps of a page, in order."""
    steps: list[Step] = []
    command: list[str] = []
    start = 0
    inside = False
    lines = page.split("\n")

    def close(end: int) -> None:
        if command:
            steps.append(Step("\n".join(command), tuple(lines[start:end]), start, end))
            command.clear()

    for number, line in enumerate(lines):
        if line.startswith("```"):
            close(number)
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            close(number)
            command.append(line[2:])
            start = number + 1
        elif inside and line.startswith("> ") and command and start == number:
            command.append(line[2:])
            start = number + 1
    return steps


def matches(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether what was printed is what was expected, placeholders and wildcards allowed."""
    return re.fullmatch(_pattern(expected), "".join(f"{line}\n" for line in printed)) is not None


def _pattern(expected: Sequence[str]) -> str:
    return "".join(
        r"(?:[^\n]*\n)*" if line == "…" else _line_pattern(line) + r"\n" for line in expected
    )


def _line_pattern(line: str) -> str:
    parts, at = [], 0
    for found in _TOKEN.finditer(line):
        known = PLACEHOLDERS.get(found[1]) if found[1] else r"[^\n]*"
        parts += [re.escape(line[at : found.start()]), known or re.escape(found[0])]
        at = found.end()
    # Columns are padded to the widest thing in them, which may differ from run to run.
    return re.sub(r"(?:\\ ){2,}", "[ ]{2,}", "".join([*parts, re.escape(line[at:])]))


def missing(page: str) -> list[str]:
    """The modules that a page needs and that are not there."""
    return [
        name for found in _NEEDS.finditer(page) for name in found[1].split() if not _there(name)
    ]


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def environment(home: Path) -> dict[str, str]:
    """The same for everybody: no settings of the person or machine that runs the tests."""
    programs = home / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, module in (("hold", "holdfast"), ("python", "")):
        script = programs / name
        run = f"-m {module} " if module else ""
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {run}"$@"\n')
        script.chmod(0o755)
    beside = Path(sys.executable).parent
    return {
        "HOME": str(home),
        "PATH": f"{programs}:{beside}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT / "src"),
        "GIT_AUTHOR_NAME": "Ana",
        "GIT_AUTHOR_EMAIL": "ana@example.org",
        "GIT_COMMITTER_NAME": "Ana",
        "GIT_COMMITTER_EMAIL": "ana@example.org",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "init.defaultBranch",
        "GIT_CONFIG_VALUE_0": "main",
        "GIT_CONFIG_KEY_1": "protocol.file.allow",
        "GIT_CONFIG_VALUE_1": "always",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }


def run_page(page: str, folder: Path) -> Iterator[Ran]:
    """Run the steps of a page below a folder, one after the other."""
    environ = environment(folder / "home")
    cwd = folder / "work"
    cwd.mkdir()
    code = 0
    for step in parse(page):
        left = folder / "left"
        script = f'(exit {code})\n{step.command}\ncode=$?; pwd >"{left}"; exit $code'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
        code = done.returncode
        if left.exists():
            cwd = Path(left.read_text().rstrip("\n"))
        yield Ran(step, tuple(done.stdout.decode("utf-8", "backslashreplace").splitlines()))


def updated(page: str, ran: Sequence[Ran]) -> str:
    """The page with what was printed where that was not expected."""
    lines = page.split("\n")
    for one in reversed(ran):
        if not one.good:
            lines[one.step.start : one.step.end] = [
                _with_placeholders(line) for line in one.printed
            ]
    return "\n".join(lines)


def _with_placeholders(line: str) -> str:
    for name in WRITTEN_BACK:
        line = re.sub(PLACEHOLDERS[name], f"<{name}>", line)
    return re.sub(rf"(?<![0-9]){PLACEHOLDERS['TIME']}(?=$|  )", "<TIME>", line)


def main(names: Sequence[str]) -> int:
    """Run pages and mend what they expect; 1 when something had to be mended."""
    changed = False
    for name in names:
        path = Path(name)
        page = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="journey-") as folder:
            ran = list(run_page(page, Path(folder)))
        for one in ran:
            if not one.good:
                changed = True
                print(one.difference(), end="\n\n")
        path.write_text(updated(page, ran), encoding="utf-8")
    return int(changed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
