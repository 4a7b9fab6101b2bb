"""Real data sets: what hold says of every file and key, against what git-annex and git say.

    python bench/conformance/real_datasets.py                      all bundles
    python bench/conformance/real_datasets.py ds000001 ds000114    some of them
    python bench/conformance/real_datasets.py --json FILE          every difference, for programs

Each bundle is cloned twice, by `hold clone` and by git with `git annex init`, with its git-annex
branch. Then whereis, find, info and status are asked of both, and each answer is turned into one
plain shape by an adapter. The shapes must be equal; the script ends with 0 only then. Bundles are
looked for in $HOLDFAST_SHARED/data, else in ../shared/data beside the project.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Record = Mapping[str, object]
Shape = object
Answers = dict[str, Shape]
"""What is said, by path, key or name of a fact; in a shape that both sides can be brought to."""

WEB = "00000000-0000-0000-0000-000000000001"
REPEATED = "#repeated "
SHOWN_MAX = 20


@dataclass(frozen=True)
class Difference:
    """Two answers on one thing; None where a side says nothing."""

    verb: str
    subject: str
    ours: Shape
    theirs: Shape

    def __str__(self) -> str:
        return f"{self.subject!r}\n    hold:      {self.ours}\n    git-annex: {self.theirs}"


def compare(verb: str, ours: Answers, theirs: Answers) -> list[Difference]:
    """Every subject on which the sides differ, in order."""
    subjects = sorted(ours.keys() | theirs.keys())
    return [
        Difference(verb, subject, ours.get(subject), theirs.get(subject))
        for subject in subjects
        if ours.get(subject) != theirs.get(subject)
    ]


def gather(pairs: Iterable[tuple[str, Shape]]) -> Answers:
    """Answers by subject; one told twice is kept in a way that can't be missed."""
    answers: Answers = {}
    for subject, shape in pairs:
        answers[REPEATED + subject if subject in answers else subject] = shape
    return answers


# ---------------------------------------------------------------- text


def plain(text: object) -> str:
    """A name as both sides can say it: bytes that are no UTF-8 are one sign each."""
    return re.sub("[\ud800-\udfff\ufffd]", "\ufffd", str(text))


def described(text: object) -> str:
    """A description without the remote's name that git-annex adds in brackets."""
    return re.sub(r" ?\[[^\]]*\]$", "", plain(text))


def whole(value: object) -> int | None:
    """A number of bytes; None when it is not known."""
    return int(str(value)) if str(value or "").isdigit() or value == 0 else None


def listed(value: object) -> list[Record]:
    """A list of JSON objects; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# ---------------------------------------------------------------- adapters, one pair a verb


def place_shape(place: Record) -> Shape:
    """UUID, whether it is this one, its description, its URLs on the web.

    A clone of ours has a UUID of its own and describes itself in its own words.
    URLs of other places depend on which remotes are enabled, so only those of the web count.
    """
    if place.get("here"):
        return ("here",)
    uuid = str(place.get("uuid", ""))
    description = described(place.get("description", place.get("name", "")))
    urls = place.get("urls") if uuid == WEB else ()
    return (uuid, "" if uuid == WEB else description, tuple(sorted(map(plain, urls or ()))))


def places_shape(places: object) -> Shape:
    """Places in an order of their own."""
    return tuple(sorted(map(place_shape, listed(places)), key=repr))


def whereis_of_hold(records: Iterable[Record]) -> Answers:
    """``path``, ``key``, ``places``, ``untrusted``."""
    return gather(
        (
            plain(record.get("path") or record.get("key")),
            (record.get("key"), places_shape(record.get("places")), _untrusted(record)),
        )
        for record in records
        if record.get("action") == "whereis"
    )


def whereis_of_annex(records: Iterable[Record]) -> Answers:
    """``file``, ``key``, ``whereis``, ``untrusted``."""
    return gather(
        (
            plain(record.get("file") or record.get("key")),
            (record.get("key"), places_shape(record.get("whereis")), _untrusted(record)),
        )
        for record in records
    )


def _untrusted(record: Record) -> Shape:
    return places_shape(record.get("untrusted"))


def find_of_hold(records: Iterable[Record]) -> Answers:
    """``path``, ``key``, ``size``, ``backend``."""
    return gather(
        (
            plain(record.get("path")),
            (record.get("key"), record.get("backend"), whole(record.get("size"))),
        )
        for record in records
        if record.get("action") == "find"
    )


def find_of_annex(records: Iterable[Record]) -> Answers:
    """``file``, ``key``, ``bytesize``, ``backend``."""
    return gather(
        (
            plain(record.get("file")),
            (record.get("key"), record.get("backend"), whole(record.get("bytesize"))),
        )
        for record in records
    )


def info_of_hold(records: Iterable[Record]) -> Answers:
    """The facts of the one outcome on the data set."""
    record = next((r for r in records if r.get("action") == "info"), {})
    return {
        "annexed files": record.get("annexed_files"),
        "annexed bytes": whole(record.get("annexed_bytes")),
        "local keys": record.get("local_keys"),
        "here has a uuid": bool(record.get("uuid")),
        "places": _known_places(listed(record.get("places"))),
    }


def info_of_annex(records: Iterable[Record]) -> Answers:
    """The facts of the one object."""
    record = next(iter(records), {})
    trusts = ("trusted", "semitrusted", "untrusted")
    places = [p for trust in trusts for p in listed(record.get(f"{trust} repositories"))]
    return {
        "annexed files": record.get("annexed files in working tree"),
        "annexed bytes": whole(record.get("size of annexed files in working tree")),
        "local keys": record.get("local annex keys"),
        "here has a uuid": any(place.get("here") for place in places),
        "places": _known_places(places),
    }


def _known_places(places: Sequence[Record]) -> Shape:
    # The web and BitTorrent are always there for git-annex, used or not.
    return tuple(
        sorted(
            (str(place.get("uuid")), described(place.get("description", place.get("name", ""))))
            for place in places
            if not place.get("here") and not str(place.get("uuid")).startswith(WEB[:-1])
        )
    )


def status_of_hold(records: Iterable[Record]) -> Answers:
    """``path``, ``state``, ``type``, ``key``, ``size``, ``present``: every file, clean ones too."""
    return gather(
        (
            plain(record.get("path")),
            (
                _kind(record),
                record.get("key"),
                whole(record.get("size")) if record.get("key") else None,
                bool(record.get("present")) if record.get("key") else None,
            ),
        )
        for record in records
        if record.get("action") == "status"
    )


def _kind(record: Record) -> str:
    state = str(record.get("state"))
    if record.get("type") in ("dataset", "submodule"):
        return "dataset"  # not installed in a fresh clone; how that is called is a matter of taste
    return "annexed" if record.get("key") and state == "clean" else state


def status_of_git(entries: Iterable[tuple[str, str]], found: Iterable[Record]) -> Answers:
    """What git tracks (mode and path), and what git-annex's find says of those it knows.

    In a fresh clone all is clean, and no content is here.
    """
    annexed = {plain(record.get("file")): record for record in found}

    def shape(mode: str, path: str) -> Shape:
        record = annexed.get(path)
        if record is not None:
            return ("annexed", record.get("key"), whole(record.get("bytesize")), False)
        return ("dataset" if mode == "160000" else "clean", None, None, None)

    return gather((path, shape(mode, path)) for mode, path in entries)


# ---------------------------------------------------------------- asking


@dataclass
class Side:
    """One clone, and the time its program took for each verb."""

    folder: Path
    environment: Mapping[str, str]
    seconds: Counter[str] = field(default_factory=Counter)

    def ask(self, verb: str, *command: str) -> list[Record]:
        """JSON objects, one a line. A verb may end with 1 when some file has no copy."""
        records = [json.loads(line) for line in self.run(verb, *command).split(b"\n") if line]
        errors = [record["error"] for record in records if record.get("error")]
        if errors:
            print(f"{' '.join(command)}: {len(errors)} errors: {errors[0]}", file=sys.stderr)
        return records

    def run(self, verb: str, *command: str) -> bytes:
        """The output of a command.

        Raises:
            SystemExit: It gave no output and said that it failed.
        """
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=dict(self.environment), capture_output=True, check=False
        )
        self.seconds[verb] += time.perf_counter() - started
        if done.returncode and not done.stdout:
            said = done.stderr.decode("utf-8", "replace").strip()[-600:]
            raise SystemExit(f"{' '.join(command)}: ended with {done.returncode}: {said}")
        return done.stdout


@dataclass
class Comparison:
    """One data set: how much was compared, what differed, how long both took."""

    name: str
    files: int
    keys: int
    differences: list[Difference]
    ours: Counter[str]
    theirs: Counter[str]


def compare_dataset(bundle: Path, folder: Path, hold: str) -> Comparison:
    """Clone a bundle for both sides and compare all their answers."""
    environment = make_environment(folder)
    ours = clone_by_hold(bundle, folder, hold, environment)
    theirs = clone_by_git(bundle, folder, environment)
    differences: list[Difference] = []

    def check(verb: str, said: Answers, known: Answers) -> int:
        differences.extend(compare(verb, said, known))
        return len(known)

    annex, anything = ("git", "annex"), ("--anything", "--json")
    found = theirs.ask("find", *annex, "find", *anything)
    entries = read_entries(theirs.run("status", "git", "ls-files", "-s", "-z"))
    theirs.run("status", "git", "status", "--porcelain")
    files = check(
        "status",
        status_of_hold(ours.ask("status", hold, "status", "--annex", "--json")),
        status_of_git(entries, found),
    )
    here = ours.ask("find", hold, "find", "--json")
    away = ours.ask("find", hold, "find", "--absent", "--json")
    check("find", find_of_hold([*here, *away]), find_of_annex(found))
    check(
        "find, present",
        find_of_hold(here),
        find_of_annex(theirs.ask("find", *annex, "find", "--json")),
    )
    check(
        "whereis",
        whereis_of_hold(ours.ask("whereis", hold, "whereis", "--json")),
        whereis_of_annex(theirs.ask("whereis", *annex, "whereis", *anything)),
    )
    keys = check(
        "whereis --all",
        whereis_of_hold(ours.ask("whereis --all", hold, "whereis", "--all", "--json")),
        whereis_of_annex(theirs.ask("whereis --all", *annex, "whereis", "--all", "--json")),
    )
    check(
        "info",
        info_of_hold(ours.ask("info", hold, "info", "--json")),
        info_of_annex(theirs.ask("info", *annex, "info", "--json", "--bytes")),
    )
    return Comparison(bundle.stem, files, keys, differences, ours.seconds, theirs.seconds)


def clone_by_hold(bundle: Path, folder: Path, hold: str, environment: Mapping[str, str]) -> Side:
    """A mirror of the bundle, and a clone of it by hold."""
    side = Side(folder, environment)
    side.run("", "git", "clone", "-q", "--mirror", str(bundle), "hold.git")
    side.run("clone", hold, "clone", str(folder / "hold.git"), "hold")
    side.folder = folder / "hold"
    return side


def clone_by_git(bundle: Path, folder: Path, environment: Mapping[str, str]) -> Side:
    """A mirror of its own, as git-annex may initialise what it clones, and a clone of it by git."""
    side = Side(folder, environment)
    side.run("", "git", "clone", "-q", "--mirror", str(bundle), "annex.git")
    side.run("clone", "git", "clone", "-q", str(folder / "annex.git"), "annex")
    side.folder = folder / "annex"
    side.run("clone", "git", "annex", "init", "-q", "--no-autoenable", "compared")
    return side


def read_entries(listing: bytes) -> list[tuple[str, str]]:
    """Mode and path of what ``git ls-files -s -z`` lists."""
    entries = []
    for line in listing.split(b"\0"):
        about, tab, path = line.partition(b"\t")
        if tab:
            entries.append((about[:6].decode(), plain(path.decode("utf-8", "surrogateescape"))))
    return entries


def make_environment(folder: Path) -> dict[str, str]:
    """The programs next to this Python first, and nothing of the user's settings."""
    home = folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Test\n\temail = test@example.org\n")
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
    }


# ---------------------------------------------------------------- telling


VERBS = ("clone", "status", "find", "whereis", "whereis --all", "info")


def render(comparisons: Sequence[Comparison]) -> str:
    """The table: counts, then seconds of hold / git-annex for each verb."""
    header = ("data set", "files", "keys", "differences", *VERBS)
    lines = [_line(header), _line(["---"] + ["--:"] * (len(header) - 1))]
    for c in comparisons:
        times = [f"{c.ours[verb]:.2f} / {c.theirs[verb]:.2f} s" for verb in VERBS]
        lines.append(
            _line([c.name, f"{c.files:,}", f"{c.keys:,}", str(len(c.differences)), *times])
        )
    total = sum(len(c.differences) for c in comparisons)
    files, keys = sum(c.files for c in comparisons), sum(c.keys for c in comparisons)
    lines.append(f"\n{files:,} files and {keys:,} keys compared, {total} differences.")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def render_differences(comparison: Comparison) -> str:
    """The first few differences of each verb, and how many there are."""
    lines = []
    for verb, count in Counter(d.verb for d in comparison.differences).items():
        lines.append(f"{comparison.name}, {verb}: {count} differences")
        some = [d for d in comparison.differences if d.verb == verb][:SHOWN_MAX]
        lines += [f"  {difference}" for difference in some]
    return "\n".join(lines)


# ---------------------------------------------------------------- the script


def find_bundles(names: Sequence[str]) -> list[Path]:
    """The bundles of these names, or all.

    Raises:
        SystemExit: There are none, or not those.
    """
    project = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get("HOLDFAST_SHARED") or project.parent / "shared")
    bundles = sorted((shared / "data").glob("*.bundle"), key=lambda b: b.stat().st_size)
    chosen = [b for b in bundles if not names or b.stem in names]
    if not chosen or (names and len(chosen) != len(set(names))):
        raise SystemExit(
            f"in {shared / 'data'} are: {', '.join(b.stem for b in bundles) or 'none'}"
        )
    return chosen


def in_temporary_folder(work: Callable[[Path], Comparison], parent: str | None) -> Comparison:
    """Do work in a folder that is removed after it."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-real-", dir=parent)).resolve()
    try:
        return work(folder)
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Compare, print, and end with 0 when there is no difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of bundles; without one, all")
    parser.add_argument("--json", metavar="FILE", help="write every difference there")
    parser.add_argument("--folder", metavar="DIR", help="where to put clones while it runs")
    beside = Path(sys.executable).with_name("hold")
    parser.add_argument(
        "--hold", metavar="PATH", default=str(beside) if beside.exists() else "hold"
    )
    options = parser.parse_args()
    comparisons = []
    for bundle in find_bundles(options.names):
        comparison = in_temporary_folder(
            lambda folder, b=bundle: compare_dataset(b, folder, options.hold), options.folder
        )
        comparisons.append(comparison)
        if comparison.differences:
            print(render_differences(comparison), flush=True)
    print(render(comparisons))
    if options.json:
        found = {c.name: [vars(d) for d in c.differences] for c in comparisons}
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 1 if any(c.differences for c in comparisons) else 0


if __name__ == "__main__":
    sys.exit(main())
