"""Logins for servers, as git keeps them: asked of its credential helpers, which hear of the end."""

from __future__ import annotations

import os
import subprocess
import threading
from urllib.parse import urlsplit

from .repository import Repository

_WAIT_S = 300.0
"""A helper may ask a person."""


class GitLogins:
    """git's credential helpers; a person is asked only where there is a terminal."""

    def __init__(self, repository: Repository) -> None:
        self._top = repository.top
        self._lock = threading.Lock()
        self._found: dict[str, tuple[str, str] | None] = {}

    def find(self, url: str) -> tuple[str, str] | None:
        """Name and password for a server, asked for once; None when nobody knows them."""
        with self._lock:
            if url not in self._found:
                self._found[url] = self._fill(url)
            return self._found[url]

    def was_right(self, url: str, login: tuple[str, str], *, right: bool) -> None:
        """Let helpers keep or forget a login."""
        lines = [*_of_url(url), f"username={login[0]}", f"password={login[1]}"]
        self._credential("approve" if right else "reject", lines)
        if not right:
            with self._lock:
                self._found.pop(url, None)

    def _fill(self, url: str) -> tuple[str, str] | None:
        told = dict(
            line.partition("=")[::2] for line in self._credential("fill", _of_url(url)).splitlines()
        )
        if "username" not in told or "password" not in told:
            return None
        return told["username"], told["password"]

    def _credential(self, action: str, lines: list[str]) -> str:
        environment = dict(os.environ)
        if not os.isatty(2):
            environment["GIT_TERMINAL_PROMPT"] = "0"
        # By the pipe, not in its words: these are there for all to see.
        try:
            done = subprocess.run(
                ["git", "credential", action], input="\n".join([*lines, "", ""]),
                capture_output=True, text=True, cwd=self._top, env=environment, timeout=_WAIT_S,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout if done.returncode == 0 else ""


def _of_url(url: str) -> list[str]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return [f"protocol={parts.scheme}", f"host={host}", f"path={parts.path.lstrip('/')}"]
