"""git's own server for HTTP, ``git http-backend``, started for one request."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from .repository import Repository


def start_http_backend(
    repository: Repository, request: Mapping[str, str], *, may_push: bool
) -> subprocess.Popen[bytes]:
    """Start it for a request, described as for a CGI program; it offers this repository only."""
    environment = {name: value for name, value in os.environ.items() if not _is_git(name)}
    environment.update(request)
    environment["GIT_PROJECT_ROOT"] = os.fsdecode(repository.common_dir)
    environment["GIT_HTTP_EXPORT_ALL"] = "1"
    push = "true" if may_push else "false"
    return subprocess.Popen(
        ["git", "-c", f"http.receivepack={push}", "http-backend"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=repository.common_dir,
    )


def _is_git(name: str) -> bool:
    """Variables that would lead git to another repository; its settings may stay."""
    return name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_PREFIX")
