"""git-annex's own test suite, with `hold annex` in place of its commands.

    python bench/conformance/annex_testsuite.py                    the whole suite
    python bench/conformance/annex_testsuite.py --only '/drop/'    tests whose name matches
    python bench/conformance/annex_testsuite.py --engine real      as it is without us
    python bench/conformance/annex_testsuite.py --each             a line for every test

The suite's driver is the real binary. It finds `git-annex` in a folder named by GIT_ANNEX_DIR; a
shim there hands every call to `hold annex`, which does itself what it can and leaves the rest to
the real binary, and writes down which of the two it was. From that log this script knows which of
our verbs each test has run. It ends with 0 when every failure is listed in exceptions.md and every
exception listed there still fails.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# What a person asks for. git itself runs the filter and the hooks in almost every test, so these
# say nothing on what a test is about and are counted apart.
VERBS = tuple(
    """init add get drop dropunused move copy fsck whereis lock unlock find unused uninit
    info""".split()  # noqa: SIM905
)

GROUPS = (
    ("unlocked", "/v10 unlocked/", 1200),
    ("locked", "/v10 locked/", 1200),
    ("adjusted", "/v10 adjusted unlocked branch/", 1200),
    ("remotes", "/Remote Tests/", 600),
    ("properties", "/QuickCheck/", 600),
)
"""Name, pattern of tasty, time limit in seconds. Together they are the whole suite."""

EXCEPTIONS = Path(__file__).with_name("exceptions.md")


# ---------------------------------------------------------------- what tests say


@dataclass
class TestResult:
    """One test: its full name, how it ended, what it said when it failed, what it called.

    Names are not unique: ``nth`` tells apart the tests of one name in one run of the driver.
    """

    __test__ = False

    name: str
    passed: bool
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    nth: int = 1

    @property
    def ours(self) -> list[str]:
        """The verbs of ours that it exercised."""
        return [verb for verb in VERBS if self.calls[f"ours {verb}"]]


_TEST = re.compile(r"^( *)(\S.*?): +(OK|FAIL|SKIP)(?: \(([\d.]+)s\))?$")
_GROUP = re.compile(r"^( *)(\S.*)$")
_SUMMARY = re.compile(r"^(All \d+ tests passed|\d+ out of \d+ tests failed)")


class TastyReader:
    """Reads the driver's output line by line; a test is told once its last line is complete."""

    def __init__(self) -> None:
        self._groups: list[tuple[int, str]] = []
        self._last: TestResult | None = None
        self._depth = 0
        self._met: Counter[str] = Counter()

    def feed(self, line: str) -> TestResult | None:
        """Take in a line; gives the test that it ends."""
        found = _TEST.match(line)
        if found and (self._last is None or len(found[1]) <= self._depth):
            return self._begin(found)
        inside = _GROUP.match(line)
        if inside is None or _SUMMARY.match(line):
            return None
        depth = len(inside[1])
        if self._last is not None and depth > self._depth:
            self._last.said.append(line.strip())
        else:
            self._close_groups(depth)
            self._groups.append((depth, inside[2]))
            self._last = None
        return None

    def _begin(self, found: re.Match[str]) -> TestResult:
        self._depth = len(found[1])
        self._close_groups(self._depth)
        path = [name for _, name in self._groups if name != "Tests"]
        name = ".".join([*path, found[2]])
        self._met[name] += 1
        self._last = TestResult(name, found[3] != "FAIL", float(found[4] or 0))
        self._last.nth = self._met[name]
        return self._last

    def _close_groups(self, depth: int) -> None:
        while self._groups and self._groups[-1][0] >= depth:
            self._groups.pop()


# ---------------------------------------------------------------- exceptions


@dataclass(frozen=True)
class Exempt:
    """Tests that may fail: a pattern, why, and a program in whose absence alone it holds."""

    pattern: str
    reason: str
    without: str = ""

    def applies(self) -> bool:
        """Whether it holds on this machine."""
        return not self.without or shutil.which(self.without) is None

    def covers(self, name: str) -> bool:
        """Whether it is about this test."""
        return fnmatch.fnmatchcase(name, self.pattern)


def read_exceptions(text: str) -> list[Exempt]:
    """The rows of the table: `pattern` | without | reason."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            found.append(Exempt(cells[0].strip("`"), cells[2], cells[1].strip("`")))
    return found


@dataclass(frozen=True)
class Judgement:
    """Failures with their reason, failures without one, and exceptions that no test needs."""

    excused: Sequence[tuple[TestResult, Exempt]]
    unexcused: Sequence[TestResult]
    stale: Sequence[tuple[Exempt, str]]

    @property
    def good(self) -> bool:
        """True when the list of exceptions says exactly what failed."""
        return not self.unexcused and not self.stale


def judge(results: Iterable[TestResult], exceptions: Sequence[Exempt]) -> Judgement:
    """Hold the results against the list. An exception is stale when a test it covers passes."""
    active = [exempt for exempt in exceptions if exempt.applies()]
    excused, unexcused = [], []
    stale: list[tuple[Exempt, str]] = []
    for result in results:
        exempt = next((e for e in active if e.covers(result.name)), None)
        if result.passed and exempt is not None:
            stale.append((exempt, result.name))
        elif not result.passed and exempt is None:
            unexcused.append(result)
        elif not result.passed and exempt is not None:
            excused.append((result, exempt))
    return Judgement(excused, unexcused, stale)


# ---------------------------------------------------------------- the shim


def find_binary() -> Path:
    """The real git-annex, not the small Python program that starts it.

    Raises:
        SystemExit: There is none here.
    """
    spec = importlib.util.find_spec("git_annex")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "git-annex"
        if binary.is_file():
            return binary
    on_path = shutil.which("git-annex")
    if on_path and Path(on_path).read_bytes()[:4] == b"\x7fELF":
        return Path(on_path).resolve()
    raise SystemExit("no git-annex binary; install it: pip install git-annex")


_SHIM = """\
#!/bin/sh
case "$1 $2" in
"test "* | "--color=never test") exec {real} "$@" ;;
esac
{command}
"""

# One write of less than a page, appended: whole lines also when calls overlap.
_LOGGED = """\
printf 'real %s\\n' "$(printf '%s ' "$@" | tr '\\n' ' ')" >>"$HOLDFAST_ANNEX_LOG"
exec {real} "$@"
"""


def write_shims(folder: Path, binary: Path, engine: str, hold: str) -> None:
    """Fill a folder with `git-annex` as the driver is to find it, and what else it looks for."""
    real = shlex.quote(str(binary))
    ours = f'exec {shlex.quote(hold)} annex "$@"'
    shim = folder / "git-annex"
    command = ours if engine == "ours" else _LOGGED.format(real=real)
    shim.write_text(_SHIM.format(real=real, command=command))
    shim.chmod(0o755)
    # The other end of ssh and git's remote helper are the same binary under other names.
    for name in ("git-annex-shell", "git-remote-annex"):
        (folder / name).symlink_to(binary)
    (folder / "magic").mkdir()
    (folder / "magic" / "magic.mgc").symlink_to(binary.with_name("magic.mgc"))


# ---------------------------------------------------------------- running


@dataclass
class CallLog:
    """The log of calls, read on from where the last test ended."""

    path: Path
    offset: int = 0

    def since(self) -> Counter[str]:
        """``ours get`` and the like, counted, since the last time this was asked."""
        with open(self.path, "rb") as log:
            log.seek(self.offset)
            calls, length = count_calls(log.read())
        self.offset += length
        return calls


def count_calls(news: bytes) -> tuple[Counter[str], int]:
    """The calls of whole lines, and how many bytes these are; a line half written waits."""
    length = news.rfind(b"\n") + 1
    lines = news[:length].decode(errors="replace").splitlines()
    return Counter(_engine_and_verb(line) for line in lines if line), length


def _engine_and_verb(line: str) -> str:
    engine, _, rest = line.partition(" ")
    words = iter(rest.split())
    for word in words:
        if word == "-c":
            next(words, None)
        elif not word.startswith("-"):
            return f"{engine} {word}"
    return engine


def run_group(
    binary: Path, folder: Path, pattern: str, limit_s: float, tell: Callable[[TestResult], None]
) -> Iterator[TestResult]:
    """Run the tests of one pattern; each is told when it has ended, and given when all have.

    A group that takes too long is ended; the test it was in counts as failed.
    """
    work = Path(tempfile.mkdtemp(prefix="group-", dir=folder))
    log = CallLog(folder / "calls.log")
    log.path.touch()
    log.offset = log.path.stat().st_size
    process = subprocess.Popen(
        [str(binary), "test", "--jobs", "1", "-p", pattern],
        cwd=work,
        env=make_environment(folder, log.path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    overdue = threading.Event()
    timer = threading.Timer(limit_s, _end, (process, overdue))
    timer.start()
    reader, results = TastyReader(), []
    line = ""
    assert process.stdout is not None
    for line in process.stdout:
        result = reader.feed(line.rstrip("\n"))
        if result is not None:
            result.calls = log.since()
            results.append(result)
            tell(result)
    process.wait()
    timer.cancel()
    if overdue.is_set():
        late = TestResult(f"{pattern} after {len(results)} tests", passed=False, seconds=limit_s)
        late.said += [line.strip(), f"ended after {limit_s:.0f} s"]
        results.append(late)
        tell(late)
    elif process.returncode != 0 and all(result.passed for result in results):
        results.append(TestResult(f"{pattern} driver", passed=False, said=[line.strip()]))
    remove_tree(work)
    yield from results


def make_environment(folder: Path, log: Path) -> dict[str, str]:
    """The environment of the driver, which gives the shims to every command it runs."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {
        **os.environ,
        "GIT_ANNEX_DIR": str(folder / "shims"),
        "HOLDFAST_ANNEX_LOG": str(log),
        "HOLDFAST_ANNEX_REAL": str(find_binary()),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
    }


def _end(process: subprocess.Popen[str], overdue: threading.Event) -> None:
    overdue.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def remove_tree(folder: Path) -> None:
    """Remove a folder with write-protected annexes in it."""
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def merge(results: Iterable[TestResult]) -> list[TestResult]:
    """One result for each test. The driver repeats its first tests for every pattern."""
    found: dict[tuple[str, int], TestResult] = {}
    for result in results:
        known = found.setdefault((result.name, result.nth), result)
        if known is not result:
            known.passed = known.passed and result.passed
            known.said += result.said
            known.calls += result.calls
    return list(found.values())


def list_tests(binary: Path) -> list[str]:
    """The full names of all tests."""
    command = [str(binary), "test", "--list-tests"]
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    names = [line.removeprefix("Tests.") for line in found.stdout.splitlines()]
    return [name for name in names if "." in name]


# ---------------------------------------------------------------- telling


def render(results: Sequence[TestResult], judgement: Judgement, seconds: float) -> str:
    """The closing tables."""
    ours = [result for result in results if result.ours]
    passed = [result for result in ours if result.passed]
    lines = [
        f"{len(results)} tests run in {seconds:.0f} s, "
        f"{sum(result.passed for result in results)} passed.",
        f"{len(ours)} of them exercised our verbs, {len(passed)} of these passed, "
        f"{len(ours) - len(passed)} failed.",
        "",
        "| verb | calls to ours | calls to the real one | tests with ours | passed |",
        "| --- | --: | --: | --: | --: |",
        *_verb_lines(results),
        "",
    ]
    for result, exempt in judgement.excused:
        lines.append(f"- excepted: {result.name}: {exempt.reason}")
    for result in judgement.unexcused:
        lines.append(f"- FAILED: {result.name} (ours: {', '.join(result.ours) or 'none'})")
        lines += [f"    {line}" for line in result.said[:25]]
    for exempt, name in judgement.stale:
        lines.append(f"- no longer fails, so `{exempt.pattern}` must go: {name}")
    lines.append("Every failure has its reason." if judgement.good else "Not as listed.")
    return "\n".join(lines)


def _verb_lines(results: Sequence[TestResult]) -> Iterator[str]:
    calls = sum((result.calls for result in results), Counter[str]())
    seen = {name.split(" ", 1)[1] for name in calls if " " in name}
    plumbing = sorted(seen - set(VERBS), key=lambda v: (-calls[f"ours {v}"], -calls[f"real {v}"]))
    for verb in [*VERBS, *plumbing]:
        users = [result for result in results if result.calls[f"ours {verb}"]]
        passed = sum(result.passed for result in users)
        mine, theirs = calls[f"ours {verb}"], calls[f"real {verb}"]
        yield f"| {verb} | {mine} | {theirs} | {len(users)} | {passed} |"


def tell_each(result: TestResult) -> None:
    """A line for one test."""
    sign = "ok  " if result.passed else "FAIL"
    verbs = ", ".join(result.ours) or "-"
    print(f"{sign} {result.seconds:6.2f} s  {result.name}  [{verbs}]", flush=True)


def tell_failure(result: TestResult) -> None:
    """A line for a test that failed, as soon as it has."""
    if not result.passed:
        tell_each(result)


# ---------------------------------------------------------------- the script


def main() -> int:
    """Run what was asked for and print the tables."""
    options = read_options()
    binary = find_binary()
    if options.list:
        print("\n".join(list_tests(binary)))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="holdfast-annex-suite-", dir=options.folder)).resolve()
    (folder / "shims").mkdir()
    write_shims(folder / "shims", binary, options.engine, options.hold)
    started = time.monotonic()
    results: list[TestResult] = []
    try:
        for name, pattern, limit_s in chosen_groups(options):
            tell = tell_each if options.each else tell_failure
            before = time.monotonic()
            results += run_group(binary, folder, pattern, limit_s, tell)
            print(f"{name}: {time.monotonic() - before:.0f} s", file=sys.stderr, flush=True)
        if options.log:
            shutil.copyfile(folder / "calls.log", options.log)
    finally:
        remove_tree(folder)
    results = merge(results)
    judgement = judge(results, read_exceptions(EXCEPTIONS.read_text(encoding="utf-8")))
    print(render(results, judgement, time.monotonic() - started))
    if options.json:
        records = [{**vars(result), "ours": result.ours} for result in results]
        Path(options.json).write_text(json.dumps(records, indent=1), encoding="utf-8")
    return 0 if judgement.good and results else 1


def chosen_groups(options: argparse.Namespace) -> list[tuple[str, str, float]]:
    """The groups to run, each with its time limit."""
    if options.only:
        return [(pattern, pattern, options.limit or 1200) for pattern in options.only]
    chosen = options.groups.split(",") if options.groups else [name for name, _, _ in GROUPS]
    return [(n, pattern, options.limit or limit) for n, pattern, limit in GROUPS if n in chosen]


def read_options() -> argparse.Namespace:
    """The options of the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", metavar="PATTERN", action="append", help="as `test -p` takes it")
    names = ", ".join(name for name, _, _ in GROUPS)
    parser.add_argument("--groups", metavar="NAME,...", help=f"some of: {names}")
    parser.add_argument("--engine", choices=("ours", "real"), default="ours")
    beside = Path(sys.executable).with_name("hold")
    default = str(beside) if beside.exists() else shutil.which("hold") or "hold"
    parser.add_argument("--hold", metavar="PATH", default=default, help="which hold to run")
    parser.add_argument("--limit", metavar="S", type=float, help="time limit for each group")
    parser.add_argument("--each", action="store_true", help="a line for every test")
    parser.add_argument("--list", action="store_true", help="only print the names of the tests")
    parser.add_argument("--log", metavar="FILE", help="keep the log of calls there")
    parser.add_argument("--json", metavar="FILE", help="write every result there")
    parser.add_argument("--folder", metavar="DIR", help="where to put data while it runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
