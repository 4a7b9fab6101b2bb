"""Access tokens of sites: from the environment, the system's keyring, or git's credential helper.

They are never printed, and never written by us.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from urllib.parse import urlsplit

from ..core import faults

_NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "false", "SSH_ASKPASS": "false"}
_PATIENCE_S = 30.0


def find_token(site: str, variables: Sequence[str]) -> str:
    """The token for a site.

    Raises:
        AccessError: There is none, anywhere.
    """
    parts = urlsplit(site)
    host = parts.hostname or ""
    found = _from_environment(variables) or _from_keyring(host) or _from_git(parts.scheme, host)
    if not found:
        looked = f"{', '.join(variables)}, the system's keyring and git's credential helper"
        detail = f"no token was found: {looked} were asked"
        raise faults.NO_TOKEN(host=host, detail=detail, variable=variables[0])
    if "\n" in found or "\r" in found or not found.isascii():
        raise faults.NO_TOKEN(host=host, detail="what is kept is no token", variable=variables[0])
    return found


def _from_environment(variables: Sequence[str]) -> str:
    return next((os.environ[name] for name in variables if os.environ.get(name)), "")


def _from_keyring(host: str) -> str:
    """What DataLad keeps there, under the name that it gives such tokens."""
    try:
        import keyring
    except ImportError:
        return ""
    try:
        return keyring.get_password(f"datalad-{host}", "token") or ""
    except Exception:
        # Keyrings fail in ways of their own where nobody is logged in.
        return ""


def _from_git(scheme: str, host: str) -> str:
    question = f"protocol={scheme}\nhost={host}\n\n"
    try:
        done = subprocess.run(
            ["git", "credential", "fill"], input=question, text=True, capture_output=True,
            env={**os.environ, **_NO_QUESTIONS}, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        if line.startswith("password="):
            return line.removeprefix("password=")
    return ""
