"""A server that speaks S3, for tests: moto in a process of its own, on a port that the system gives.

git-annex signs requests as S3 did first (`AWS KEY:SIGNATURE`). moto takes such a signature for one
of today's where four slashes happen to be in it, about once in 1,400 requests, and answers with 500;
so this program, which is what runs, lets it look only at those of today.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest


@contextmanager
def s3_server() -> Iterator[int]:
    """Runs one and gives its port; skips where moto is not installed."""
    if find_spec("moto") is None:
        pytest.skip("moto is not installed")
    process = subprocess.Popen(
        [sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def _serve() -> None:
    from moto.moto_server import werkzeug_app as moto
    from werkzeug.serving import make_server

    infer = moto.DomainDispatcherApplication.infer_service_region_host

    def infer_it(self: Any, environ: dict[str, Any], path: str) -> str | None:
        if environ.get("HTTP_AUTHORIZATION", "").startswith("AWS "):
            return None  # the kind without a region: S3
        return infer(self, environ, path)

    moto.DomainDispatcherApplication.infer_service_region_host = infer_it
    app = moto.DomainDispatcherApplication(moto.create_backend_app)
    server = make_server(
        "127.0.0.1", 0, app, threaded=True, request_handler=moto.MotoRequestHandler
    )
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
