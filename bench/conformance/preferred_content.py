"""Preferred content: what each place wants, by our evaluation and by git-annex's own.

    python bench/conformance/preferred_content.py                  500 expressions, seed 1
    python bench/conformance/preferred_content.py --count 50 --seed 7

A data set is made by git-annex, with files of many names, sizes and backends, metadata, URLs,
attributes for numcopies, and a place for each expression. Expressions are random trees of every
term of git-annex's documentation, and some that are broken or unknown. Which places have which
content, their trust and groups are random too; each place is in a pool with a few others, over
which content is spread, and many may hold only so much. (A glob with a backslash is left out: on
one git-annex 10.20261026 runs for ever.) Then, for each place, `git annex find --want-get-by` and
`--want-drop-by` are compared with `hold find` for every file. The script ends with 0 only when
there is no difference.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import holdfast as hf
from holdfast.core.clock import Moment, parse_moment
from holdfast.core.key import Key
from holdfast.dataset.annexed import iter_annexed
from holdfast.dataset.repository import Repository
from holdfast.wire import branch_paths, logs

STAMP = b"1700000000.5s"
GROUPS = (
    "client", "transfer", "backup", "incrementalbackup", "smallarchive", "archive", "source",
    "manual", "public", "unwanted", "lab", "cold",
)  # fmt: skip
GROUP_RULES = {"lab": "include=*.dat and copies=1", "cold": "not largerthan=2kb"}
FILES = (
    "a.dat", "b.DAT", "sub/c.dat", "sub/deep/d.txt", "archive/e.dat", "sub/archive/f.bin",
    "public/g.dat", "sub/public/h.txt", "with space.dat", "ümlaut.txt", "[brackets].bin",
    "many/i.dat", "many/j.dat", "strict/k.dat", "empty.dat", "web.html",
)  # fmt: skip
SIZES = {"empty.dat": 0, "a.dat": 10, "sub/c.dat": 1024, "many/i.dat": 5000}
BACKENDS = {"sub/deep/d.txt": "SHA1E", "many/j.dat": "MD5", "b.DAT": "WORM", "web.html": "SHA256"}
POOL = 4
"""So many places are in a pool."""
BALANCED = ("balanced", "fullybalanced", "sizebalanced", "fullysizebalanced")
SPREAD = ("", "", ":1", ":2", ":2", ":3", ":9", ":0", ":-1", ":2x", ":0x2", ":lackingcopies")
METADATA = ("tag=good", "TAG=g*", "year=19*", "year>1980", "year<=2000", "none=*")
ANSWERS_WITHIN_S = 5
URL = "http://127.0.0.1:9/web.html"


@dataclass(frozen=True)
class Difference:
    """Files on which the two disagree, for one expression."""

    expression: str
    question: str
    ours_only: frozenset[str]
    theirs_only: frozenset[str]


class Maker:
    """Random expressions; the same seed makes the same ones."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made = 0

    def expression(self) -> str:
        """The next one; the place it is for is in the pool that most of its terms speak of."""
        text = self._expression()
        self._made += 1
        return text

    def _expression(self) -> str:
        kind = self._chance.random()
        if kind < 0.03:
            return self._chance.choice(
                (
                    "nosuchterm=1 or include=*",
                    "include=*.dat and frobnicate",
                    "balanced=lab:x or include=*",
                    "include=* or sizebalanced=lab:1:2",
                )
            )
        if kind < 0.06:
            return self._chance.choice(
                ("(include=*.dat", "include=*.dat)", "not not present", "or")
            )
        if kind < 0.2:
            return self._spread()
        return self._tree(self._chance.randint(0, 3))

    def _tree(self, depth: int) -> str:
        if not depth:
            return self._term()
        parts = [self._tree(depth - 1) for _ in range(self._chance.randint(1, 3))]
        parts = [f"not {p}" if self._chance.random() < 0.25 else p for p in parts]
        words = [parts[0]]
        for part in parts[1:]:
            words += [self._chance.choice(("and", "or", "and", "or", "")), part]
        text = " ".join(word for word in words if word)
        return f"({text})" if self._chance.random() < 0.7 else text

    def _term(self) -> str:
        pick = self._chance.choice
        number = self._chance.randint(0, 4)
        terms = (
            lambda: f"include={self._glob()}",
            lambda: f"exclude={self._glob()}",
            lambda: f"copies={number}",
            lambda: (
                f"copies={pick(('trusted', 'semitrusted', 'untrusted'))}{pick(('', '+'))}:{number}"
            ),
            lambda: f"copies={pick(GROUPS)}:{number}",
            lambda: f"lackingcopies={number}",
            lambda: f"approxlackingcopies={number}",
            lambda: f"inbackend={pick(('SHA256E', 'SHA1E', 'MD5', 'WORM', 'SHA256'))}",
            lambda: f"inallgroup={pick(GROUPS)}",
            lambda: f"onlyingroup={pick(GROUPS)}",
            lambda: f"metadata={pick(METADATA)}",
            lambda: f"url={pick(('*', 'http://127*', '*example*'))}",
            lambda: f"largerthan={pick(('0', '100', '1kb', '1.5 kb'.replace(' ', ''), '4KiB'))}",
            lambda: f"smallerthan={pick(('1', '11', '1kb', '5000', '1GB'))}",
            lambda: pick(
                ("present", "securehash", "unused", "inpreferreddir", "anything", "nothing")
            ),
            lambda: pick(("standard", "groupwanted", "present")),
            *(self._spread,) * 5,
        )
        return pick(terms)()

    def _spread(self) -> str:
        pick = self._chance.choice
        group = pick(GROUPS) if self._chance.random() < 0.05 else pool_of(self._made)
        return f"{pick(BALANCED)}={group}{pick(SPREAD)}"

    def _glob(self) -> str:
        return self._chance.choice((
            "*", "*.dat", "*.DAT", "sub/*", "*/archive/*", "archive/*", "?.dat", "[ab].*",
            "many/*.dat", "*.txt", "sub/*/d.txt", "ümlaut*", "*.{dat,bin}", "a.dat",
        ))  # fmt: skip


def pool_of(number: int) -> str:
    """The group of a few places that one place is in."""
    return f"pool{number // POOL}"


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def make_dataset(folder: Path) -> None:
    """A data set by git-annex, with what the terms ask for."""
    run(folder, "git", "init", "-q")
    run(folder, "git", "config", "user.name", "Ada")
    run(folder, "git", "config", "user.email", "ada@example.org")
    run(folder, "git", "annex", "init", "-q", "here")
    lines = ["strict/* annex.numcopies=4", "many/* annex.numcopies=0"]
    lines += [f'"{name}" annex.backend={backend}' for name, backend in BACKENDS.items()]
    (folder / ".gitattributes").write_text("\n".join(lines) + "\n")
    for number, name in enumerate(FILES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            f"{name}\n".encode()
            .ljust(100)[: SIZES.get(name, 100)]
            .ljust(SIZES.get(name, 100 + number))
        )
    run(folder, "git", "annex", "add", "-q", ".")
    run(folder, "git", "annex", "numcopies", "-q", "2")
    run(folder, "git", "annex", "metadata", "-q", "a.dat", "-s", "tag=good", "-s", "year=1999")
    run(folder, "git", "annex", "metadata", "-q", "sub/c.dat", "-s", "tag=bad", "-s", "Year=2020")
    run(
        folder,
        "git",
        "annex",
        "metadata",
        "-q",
        "--force",
        "many",
        "-s",
        "year=1975",
        "-s",
        "year=late",
    )
    run(folder, "git", "commit", "-q", "-m", "all")


def make_places(folder: Path, chance: random.Random, expressions: Sequence[str]) -> list[str]:
    """A place for each expression, written into the journal; gives their UUIDs."""
    repository = Repository(os.fsencode(folder))
    now = parse_moment(STAMP)
    files = list(iter_annexed(repository))
    places = [
        hf.PlaceId(str(uuid.UUID(int=chance.getrandbits(128), version=4))) for _ in expressions
    ]
    named: dict[bytes, bytes] = {}

    def put(log: bytes, place: hf.PlaceId, value: str) -> None:
        named[log] = logs.set_uuid_log(named.get(log, b""), place, value.encode(), now)

    put(b"uuid.log", repository.here, "here")
    for number, (place, text) in enumerate(zip(places, expressions, strict=True)):
        put(b"uuid.log", place, f"place {number}")
        required = chance.random() < 0.15
        put(branch_paths.REQUIRED_LOG if required else branch_paths.PREFERRED_LOG, place, text)
        if required and chance.random() < 0.5:
            put(branch_paths.PREFERRED_LOG, place, "include=*.txt")
        groups = chance.sample(GROUPS, chance.choice((0, 0, 1, 1, 1, 2)))
        if chance.random() < 0.9:
            groups.append(pool_of(number))
        if chance.random() < 0.2:
            groups.append(pool_of(number + POOL))
        if groups:
            put(branch_paths.GROUP_LOG, place, " ".join(groups))
        trust = chance.choice(("trusted", "untrusted", "dead", "semitrusted", "", "", "", "", ""))
        if trust and number % 5 == 0:
            put(
                b"trust.log",
                place,
                {"trusted": "1", "untrusted": "0", "dead": "X", "semitrusted": "?"}[trust],
            )
    for name, text in GROUP_RULES.items():
        log = branch_paths.GROUP_PREFERRED_LOG
        named[log] = logs.set_map_log(named.get(log, b""), name.encode(), text.encode(), now)
    used: Counter[hf.PlaceId] = Counter()
    for file in files:
        key = Key(file.key or b"")
        content = b""
        few = chance.sample(places, min(len(places), chance.choice((0, 1, 2, 3, 40))))
        for place in {*few, *([repository.here] if chance.random() < 0.8 else [])}:
            content = logs.set_location(content, place, logs.LocationState.PRESENT, now)
        for place in places:
            if place not in few and chance.random() < 0.3:
                content = logs.set_location(content, place, logs.LocationState.PRESENT, now)
        named[branch_paths.location_log(key)] = content
        used.update(dict.fromkeys(logs.places_with(content), key.size or 0))
        if file.path == b"web.html":
            url = logs.set_url(b"", URL.encode(), logs.LocationState.PRESENT, now)
            named[branch_paths.url_log(key)] = url
    named[branch_paths.MAXSIZE_LOG] = limits(chance, places, used, now)
    write_journal(repository, named)
    repository.close()
    return list(places)


def limits(
    chance: random.Random, places: Sequence[hf.PlaceId], used: Mapping[hf.PlaceId, int], now: Moment
) -> bytes:
    """maxsize.log: how much the places of most pools may hold, often little more than they do."""
    log = b""
    for number, place in enumerate(places):
        share = (0.0, 0.5, 0.9, 1.0)[number // POOL % 4]
        if chance.random() < share:
            has = used.get(place, 0)
            most = (0, -5, has, has + 100, has * 9 // 10, has * 21 // 20, 2 * has, has + 3000, 9999)
            log = logs.set_size(log, place, chance.choice(most), now)
    return log


def write_journal(repository: Repository, files: Mapping[bytes, bytes]) -> None:
    journal = os.path.join(repository.annex_dir, b"journal")
    os.makedirs(journal, exist_ok=True)
    for path, content in files.items():
        with open(os.path.join(journal, branch_paths.journal_name(path)), "wb") as file:
            file.write(content)


def theirs(folder: Path, option: str, place: str) -> frozenset[str] | None:
    """What git-annex says; None when it says nothing: it may run for ever."""
    words = ["git", "annex", "find", "--print0", f"{option}={place}"]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=ANSWERS_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return frozenset(name for name in out.decode().split("\0") if name)


def ours(dataset: hf.Dataset, option: str, place: str) -> frozenset[str]:
    name = "wanted_by" if option == "--want-get-by" else "unwanted_by"
    return frozenset(outcome.path for outcome in hf.iter_find(dataset, **{name: place}))


def iter_differences(
    folder: Path, expressions: Sequence[str], places: Sequence[str], told: Counter[str]
) -> Iterator[Difference]:
    """Ask both about every file, for each place."""
    with hf.open_dataset(folder) as dataset:
        for expression, place in zip(expressions, places, strict=True):
            for option in ("--want-get-by", "--want-drop-by"):
                one, other = ours(dataset, option, place), theirs(folder, option, place)
                if other is None:
                    told["unanswered"] += 1
                    break
                told["answers"] += len(FILES)
                told[f"{option} yes"] += len(other)
                if one != other:
                    yield Difference(expression, option, one - other, other - one)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    maker = Maker(chance)
    expressions = [maker.expression() for _ in range(options.count)]
    began, told, found = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="holdfast-wanted-") as name:
        folder = Path(name)
        try:
            make_dataset(folder)
            places = make_places(folder, chance, expressions)
            for difference in iter_differences(folder, expressions, places, told):
                found += 1
                print(
                    f"{difference.question}  {difference.expression}\n"
                    f"    hold only:      {sorted(difference.ours_only)}\n"
                    f"    git-annex only: {sorted(difference.theirs_only)}"
                )
        finally:
            subprocess.run(["chmod", "-R", "u+w", name], check=False)
    print(
        f"{len(expressions)} expressions × {len(FILES)} files, {told['answers']:,} answers "
        f"({told['--want-get-by yes']:,} wanted, {told['--want-drop-by yes']:,} let go): "
        f"{found} differences; {told['unanswered']} expressions on which git-annex "
        f"gave no answer in {ANSWERS_WITHIN_S} s; {time.monotonic() - began:.0f} s"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
