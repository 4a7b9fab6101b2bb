"""Answers in git-annex's words: ``get x (from origin...) ok``, or JSON with its field names."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ..core.errors import HoldError
from ..core.key import Key
from .annex_words import Words


class Show:
    """Writes one answer for each thing done, and counts what failed."""

    def __init__(self, words: Words, top: bytes, paths: Sequence[bytes]) -> None:
        """Take the call, the top of the data set, and the paths named, relative to the top."""
        self._words = words
        self._quiet = words.has("--quiet")
        self._top = os.path.realpath(top)
        self._here = os.path.realpath(os.getcwdb())
        self._inputs = dict(zip(paths, words.names, strict=False))
        self.failed = 0

    def path(self, path: str) -> str:
        """A path of the data set as one from the current folder."""
        if self._here == self._top:
            return path
        return os.fsdecode(os.path.relpath(os.path.join(self._top, os.fsencode(path)), self._here))

    def item(
        self,
        path: str,
        *,
        key: Key | None = None,
        good: bool = True,
        note: str = "",
        error: HoldError | None = None,
        facts: Mapping[str, object] | None = None,
        number: int | None = None,
        warning: str = "",
    ) -> None:
        """Tell what became of a file, or, without a path, of a key or of what has a number."""
        self.failed += not good
        name = self.path(path) if path else key.text if key is not None else ""
        if self._words.json:
            messages = [warning, *_messages(error)] if warning else _messages(error)
            self._json(path, name, key, good, note, messages, facts or {})
        elif not self._quiet:
            self.text(f"{self._words.verb} {quoted(name) if number is None else number} ")
            if warning:
                self.text("\n")
                self._warn(warning)
            if note:
                self.text(f"({note}) ")
            self.text("ok\n" if good else "\n" + _indented(error) + "failed\n")
        if self._quiet and not self._words.json:
            if warning:
                self._warn(warning)
            if not good and error is not None:
                self.complain(str(error))

    def _json(
        self,
        path: str,
        name: str,
        key: Key | None,
        good: bool,  # noqa: FBT001
        note: str,
        messages: Sequence[str],
        facts: Mapping[str, object],
    ) -> None:
        record: dict[str, object] = {
            "command": self._words.verb,
            "error-messages": messages,
            "file": name if path else None,
            "input": self._input(path),
            "success": good,
        }
        if key is not None:
            record["key"] = key.text
        if note:
            record["note"] = note
        self.record({**record, **facts})

    def record(self, record: Mapping[str, object]) -> None:
        """Write one JSON object, its names in order, as one line."""
        import json

        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.text(text + "\n")

    def _input(self, path: str) -> list[str]:
        raw = os.fsencode(path)
        for named, word in self._inputs.items():
            if not named or raw == named or raw.startswith(named + b"/"):
                return [word]
        return []

    def text(self, text: str) -> None:
        """Write as it is; names keep bytes that are no text."""
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))

    def complain(self, text: str) -> None:
        """Write a line for people on standard error."""
        sys.stdout.buffer.flush()
        sys.stderr.write(f"git-annex: {text}\n".encode("utf-8", "backslashreplace").decode())

    def _warn(self, text: str) -> None:
        sys.stdout.buffer.flush()
        sys.stderr.write(f"  {text}\n".encode("utf-8", "backslashreplace").decode())

    def missing(self, path: str) -> None:
        """Tell of a path that nothing here knows."""
        self.failed += 1
        name = self.path(path)
        if self._words.has("--json-error-messages"):
            record = {
                "command": self._words.verb, "error-messages": [f"git-annex: {name} not found"],
                "file": name, "input": [name], "key": None, "message-id": "FileNotFound",
                "success": False,
            }  # fmt: skip
            self.record(record)
            return
        sys.stderr.write(
            f"error: pathspec '{quoted(name)}' did not match any file(s) known to git\n"
            "Did you forget to 'git add'?\n"
        )

    def close(self) -> int:
        """The exit code; how many failed is told before."""
        sys.stdout.buffer.flush()
        if self.failed:
            sys.stderr.write(f"{self._words.verb}: {self.failed} failed\n")
        return 1 if self.failed else 0


def quoted(name: str) -> str:
    """A name as git prints it by default: odd bytes in octal, the whole in quotation marks."""
    raw = os.fsencode(name)
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in raw):
        return name
    return '"' + "".join(map(_octal, raw)) + '"'


_SIGNS = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    34: '\\"',
    92: "\\\\",
}


def _octal(byte: int) -> str:
    if byte in _SIGNS:
        return _SIGNS[byte]
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def _messages(error: HoldError | None) -> list[str]:
    if error is None:
        return []
    return [line for line in (error.what, error.why) if line]


def _indented(error: HoldError | None) -> str:
    return "".join(f"  {line}\n" for line in _messages(error))
