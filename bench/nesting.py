"""A data set with many data sets in it: hold, DataLad and git side by side, seconds each.

python bench/nesting.py                      1,000 of them, 50 installed
python bench/nesting.py --many 200 --some 5  a trial
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

IDENTITY = "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
UUID = "00000000-0000-4000-8000-{:012d}"
Words = Sequence[str]


class Bench:
    """The programs, in a home of their own."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder = folder
        self._rounds = rounds
        self._log = folder / "log"
        (folder / ".gitconfig").write_text(IDENTITY)
        beside = str(Path(sys.executable).parent)
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PATH": os.pathsep.join([beside, os.environ["PATH"]]),
            "DATALAD_LOG_LEVEL": "error",
        }

    def run(self, folder: Path, *words: str, text: str | None = None) -> None:
        """Run a command to its end; its output is kept in a file."""
        with self._log.open("w") as log:
            code = subprocess.run(
                words, cwd=folder, env=self.environment, stdout=log, stderr=log, check=False,
                input=text, text=True,
            ).returncode  # fmt: skip
        if code:
            sys.exit(f"{' '.join(words)} ended with {code}:\n{self._log.read_text()[-2000:]}")

    def seconds(self, folder: Path, commands: Sequence[Words], before: Callable[[], None]) -> float:
        """The median of a few rounds; what comes before each round is outside of the time."""
        taken = []
        for _ in range(self._rounds):
            before()
            began = time.monotonic()
            for words in commands:
                self.run(folder, *words)
            taken.append(time.monotonic() - began)
        return statistics.median(taken)


def make_outer(bench: Bench, name: str, many: int, source: Path) -> Path:
    """A data set with many data sets in it, none of them installed; all are one and the same."""
    top = bench.folder / name
    bench.run(bench.folder, "hold", "create", str(top))
    commit = subprocess.check_output(
        ["git", "-C", str(source), "rev-parse", "HEAD"], env=bench.environment, text=True
    ).strip()
    names = [f"sub-{number:04d}" for number in range(many)]
    sections = [
        f'[submodule "{one}"]\n\tpath = {one}\n\turl = {source}\n'
        f"\tdatalad-id = {UUID.format(number)}\n"
        for number, one in enumerate(names)
    ]
    (top / ".gitmodules").write_text("".join(sections))
    for one in names:
        (top / one).mkdir()
    listing = "".join(f"160000 {commit}\t{one}\n" for one in names)
    bench.run(top, "git", "update-index", "--index-info", text=listing)
    bench.run(top, "git", "add", ".gitmodules")
    bench.run(top, "git", "commit", "-q", "-m", "many data sets")
    return top


def make_source(bench: Bench) -> Path:
    """The data set that all of them are clones of."""
    source = bench.folder / "source"
    bench.run(bench.folder, "hold", "create", str(source))
    for number in range(20):
        (source / f"file-{number}.dat").write_bytes(b"%d" % number * 50_000)
    bench.run(source, "hold", "save", "-m", "data")
    return source


def measure(bench: Bench, many: int, some: int) -> list[tuple[str, Mapping[str, float]]]:
    """All rows, each with the seconds of every program."""
    source = make_source(bench)
    tops = {who: make_outer(bench, who, many, source) for who in ("hold", "DataLad", "git")}
    count = 0

    def row(
        commands: Mapping[str, Sequence[Words]], change: Sequence[str] = ()
    ) -> Mapping[str, float]:
        def touch(top: Path) -> None:
            nonlocal count
            count += 1
            for one in change:
                (top / one).write_text(str(count))

        return {
            who: bench.seconds(tops[who], steps, lambda who=who: touch(tops[who]))  # type: ignore[misc]
            for who, steps in commands.items()
        }

    rows = [
        (f"status, none of {many:,} installed", row({
            "hold": [["hold", "status"]], "DataLad": [["datalad", "status"]],
            "git": [["git", "status"]],
        })),
        (f"list {many:,}", row({
            "hold": [["hold", "subdatasets"]], "DataLad": [["datalad", "subdatasets"]],
            "git": [["git", "submodule", "status"]],
        })),
        ("save one new file", row({
            "hold": [["hold", "save", "-m", "x"]], "DataLad": [["datalad", "save", "-m", "x"]],
            "git": [["git", "add", "."], ["git", "commit", "-q", "-m", "x"]],
        }, ["new"])),
    ]  # fmt: skip
    chosen = [f"sub-{number:04d}" for number in range(some)]
    install = {
        "hold": [["hold", "get", "--no-data", *chosen]],
        "DataLad": [["datalad", "get", "--no-data", *chosen]],
        "git": [[
            "git", "-c", "protocol.file.allow=always", "submodule", "update", "--init", *chosen,
        ]],
    }  # fmt: skip
    once = Bench(bench.folder, 1)
    rows.append((f"install {some}", {
        who: once.seconds(tops[who], steps, lambda: None) for who, steps in install.items()
    }))  # fmt: skip
    changed = [f"{one}/changed" for one in chosen[:3]]
    rows += [
        (f"status -r, {some} installed", row({
            "hold": [["hold", "status", "-r"]], "DataLad": [["datalad", "status", "-r"]],
            "git": [["git", "status"]],
        })),
        (f"list -r, {some} installed", row({
            "hold": [["hold", "subdatasets", "-r"]], "DataLad": [["datalad", "subdatasets", "-r"]],
            "git": [["git", "submodule", "status", "--recursive"]],
        })),
        ("save -r, nothing changed", row({
            "hold": [["hold", "save", "-r", "-m", "x"]],
            "DataLad": [["datalad", "save", "-r", "-m", "x"]],
        })),
        ("save -r, a file in 3 of them changed", row({
            "hold": [["hold", "save", "-r", "-m", "x"]],
            "DataLad": [["datalad", "save", "-r", "-m", "x"]],
        }, changed)),
    ]  # fmt: skip
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--many", type=int, default=1000, help="so many data sets inside")
    parser.add_argument("--some", type=int, default=50, help="so many of them installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to work; a temporary folder in it is removed")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nesting-", dir=options.folder))
    try:
        rows = measure(Bench(folder, options.rounds), options.many, options.some)
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    print("| what | hold | DataLad | git |\n| --- | --- | --- | --- |")
    for name, seconds in rows:
        cells = [
            f"{seconds[who]:.2f}" if who in seconds else "" for who in ("hold", "DataLad", "git")
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
