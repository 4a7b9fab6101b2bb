"""Calls of the program rsync: one call for many files, names and answers through pipes.

Each call is complete: it names all files, and what it says is read to its end.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core import faults
from ..core.errors import HoldError
from ..core.rates import Direction, RateOf, no_limit

SILENT_S = 120
"""How long the other side may say nothing."""

_TIMEOUTS = (30, 35)
"""The exit codes of a connection with no bytes on it, and of none at all."""

_LISTED = re.compile(rb"-\S+ +([0-9]+) \S+ \S+ (.*)", re.DOTALL)
_OCTAL = re.compile(rb"\\#([0-7]{3})")
_REFUSALS = ("auth failed", "permission denied", "access denied", "host key verification failed")


@dataclass(frozen=True)
class Ended:
    """How a call ended: its exit code, what it wrote, what it complained of."""

    code: int
    output: bytes
    said: str

    @property
    def complaint(self) -> str:
        """The line that says most: of a refusal, that; else the first that is no frame of ssh's."""
        lines = [line for line in self.said.splitlines() if line.strip("@ ")]
        telling = [line for line in lines if any(word in line.lower() for word in _REFUSALS)]
        return next(iter(telling or lines), "")


class Rsync:
    """The program, told how to reach one place. Safe to share between threads."""

    def __init__(
        self,
        label: str,
        url: str,
        local: Mapping[str, str],
        *,
        escape: bool,
        rate: RateOf = no_limit,
    ) -> None:
        """``local`` are the settings of this clone; ``escape`` spares names a remote shell.

        ``rate`` is how many bytes a second may go; where there is one, one call moves at a time.
        """
        self._rate = rate
        self._moving = threading.Lock()
        self.label = label
        self.url = url.rstrip("/") + "/"
        self._options = shlex.split(local.get("annex-rsync-options", ""))
        self._is_daemon = url.startswith("rsync://") or "::" in url.partition("/")[0]
        self._up = shlex.split(local.get("annex-rsync-upload-options", ""))
        self._down = shlex.split(local.get("annex-rsync-download-options", ""))
        if _is_by_ssh(url):
            # An asker for passwords would wait for ever behind our back.
            shell = os.environ.get("RSYNC_RSH") or "ssh -o BatchMode=yes"
            self._options += ["--rsh", local.get("annex-rsync-transport") or shell]
            self._options += ["--secluded-args"] if escape else []

    def sizes(self, paths: Iterable[bytes]) -> tuple[dict[bytes, int], str]:
        """Those of these files that are there, with their sizes; and a complaint, if any."""
        # Nothing is written there: a list needs a target all the same.
        with tempfile.TemporaryDirectory(prefix="hold-rsync-") as nowhere:
            ended = self._run(
                ["--list-only", "--no-h", "-8", "--ignore-missing-args", "--no-implied-dirs",
                 "--from0", "--files-from=-", "--", self.url, nowhere + "/"],
                b"\0".join(paths),
            )  # fmt: skip
        found: dict[bytes, int] = {}
        for line in ended.output.split(b"\n"):
            listed = _LISTED.fullmatch(line)
            if listed is not None:
                found[_unescaped(listed[2])] = int(listed[1])
        return found, ended.complaint if ended.code else ""

    def bring(self, paths: Iterable[bytes], folder: bytes) -> None:
        """Bring those of these files that are there into a folder, below their own paths.

        Raises:
            PlaceUnavailableError: The place went away; some may have come.
            AccessError: It refuses.
            PlaceFullError: There is no room here.
        """
        words = ["--ignore-missing-args", "--from0", "--files-from=-", "--no-implied-dirs"]
        if self._is_daemon:
            # rsync 3.5.0's daemon finds no file of a list where it runs without chroot.
            words = ["--recursive", "--prune-empty-dirs", "--from0", "--include-from=-"]
            words.append("--exclude=*")
            paths = dict.fromkeys(rule for path in paths for rule in _rules_to(path))
        call = [*words, *self._down, "--", self.url, os.fsdecode(folder) + "/"]
        ended = self._move(Direction.DOWN, call, b"\0".join(paths))
        if ended.code:
            raise self._failure(ended)

    def send_tree(self, folder: bytes, *, anew: bool = False) -> None:
        """Send what a folder's symlinks lead to; each file appears there whole or not at all.

        ``anew`` also sends what is there with the same size and time, which may be another.

        Raises:
            PlaceUnavailableError: The place went away; some may be there.
            AccessError: It refuses.
            PlaceFullError: There is no room there.
        """
        ended = self._move(
            Direction.UP,
            ["--recursive", "--copy-links", "--chmod=D755,F444", "--partial",
             "--partial-dir=.rsync-partial", *(["--ignore-times"] if anew else []), *self._up, "--",
             os.fsdecode(folder) + "/", self.url],
        )  # fmt: skip
        if ended.code:
            raise self._failure(ended)

    def delete(self, folders: Iterable[bytes]) -> None:
        """Delete these folders, and those above them that are empty then.

        rsync deletes what the sender lacks: an empty folder is sent, and all but these is excluded.

        Raises:
            PlaceUnavailableError: The place went away.
            AccessError: It refuses.
        """
        self._delete(rule for folder in folders for rule in deletion_rules(folder))

    def delete_files(self, paths: Iterable[bytes]) -> None:
        """Delete these files, with what an unfinished call left of them, and folders then empty.

        Raises:
            PlaceUnavailableError: The place went away.
            AccessError: It refuses.
        """
        self._delete(rule for path in paths for rule in _file_deletion_rules(path))

    def _delete(self, wanted: Iterable[bytes]) -> None:
        rules = dict.fromkeys(wanted)
        words = ["--recursive", "--delete", "--from0", "--include-from=-", "--exclude=*"]
        with tempfile.TemporaryDirectory(prefix="hold-rsync-") as empty:
            ended = self._run([*words, *self._up, "--", empty + "/", self.url], b"\0".join(rules))
        if ended.code:
            raise self._failure(ended)

    def make_top(self) -> None:
        """Make the folder everything is in, if it is not there.

        Raises:
            PlaceUnavailableError: The place cannot be reached.
            AccessError: It refuses.
        """
        with tempfile.TemporaryDirectory(prefix="hold-rsync-") as empty:
            os.chmod(empty, 0o755)
            ended = self._run(["--dirs", "--mkpath", *self._up, "--", empty + "/", self.url])
        if ended.code:
            raise self._failure(ended)

    def _move(self, direction: Direction, words: Sequence[str], said: bytes = b"") -> Ended:
        rate = self._rate(direction)
        if rate is None:
            return self._run(words, said)
        with self._moving:
            # In rsync's own unit, of which it takes fractions; 0 would mean no limit.
            return self._run([f"--bwlimit={max(rate / 1024, 0.5):.3f}", *words], said)

    def _run(self, words: Sequence[str], said: bytes = b"") -> Ended:
        call = ["rsync", f"--timeout={SILENT_S}", *self._options, *words]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            # In a session of its own it has no terminal to ask for a password at.
            ended = subprocess.run(
                call, input=said, capture_output=True, check=False, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise faults.NEEDS(
                place=self.label, what="the program rsync", how="install rsync"
            ) from error
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode("utf-8", "replace"))

    def _failure(self, ended: Ended) -> HoldError:
        said = ended.complaint or f"rsync ended with {ended.code}"
        if ended.code in _TIMEOUTS:
            return faults.STALLED(place=self.label, waited_s=f"{SILENT_S:g}")
        if "no space left" in said.lower() or "disk quota" in said.lower():
            return faults.PLACE_FULL(place=self.label, detail=said)
        if any(words in said.lower() for words in _REFUSALS):
            next_step = "look whether rsync and ssh may go there without asking for a password"
            return faults.REFUSED(place=self.label, detail=said, next=next_step)
        return faults.UNREACHABLE(place=self.label, detail=said)


def deletion_rules(folder: bytes) -> list[bytes]:
    """The include rules that lead rsync to one folder, for deleting it with all that is in it."""
    above = _folders_to(folder + b"/")
    return [*map(_plain_rule, above), _escaped(above[-1]) + b"***"]


def _file_deletion_rules(path: bytes) -> list[bytes]:
    folder, _, name = path.rpartition(b"/")
    unfinished = (folder + b"/" if folder else b"") + b".rsync-partial/" + name
    return [*_rules_to(path), *_rules_to(unfinished)]


def _rules_to(path: bytes) -> list[bytes]:
    """The include rules that lead rsync to one file."""
    return [_plain_rule(rule) for rule in (*_folders_to(path), b"/" + path)]


def _folders_to(path: bytes) -> list[bytes]:
    parts = path.split(b"/")[:-1]
    return [b"/" + b"/".join(parts[: n + 1]) + b"/" for n in range(len(parts))]


def _plain_rule(path: bytes) -> bytes:
    # Without a wildcard in a rule, a backslash in it is one.
    return _escaped(path) if any(sign in path for sign in (b"*", b"?", b"[")) else path


def _escaped(path: bytes) -> bytes:
    return re.sub(rb"([\\*?\[])", rb"\\\1", path)


def _unescaped(name: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), name)


def _is_by_ssh(url: str) -> bool:
    """Whether this is HOST:PATH; a daemon of rsync's own is HOST::MODULE or rsync://HOST."""
    head, colon, rest = url.partition(":")
    return bool(colon) and "/" not in head and not rest.startswith((":", "//"))
