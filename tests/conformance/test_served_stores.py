"""Places behind servers of git-annex's wires keep the contract of `Store`, whoever serves them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from holdfast.api.datasets import open_dataset
from holdfast.api.served import Rights, Served
from holdfast.core.key import Key, object_path
from holdfast.core.place import Place, PlaceId
from holdfast.site.access import Access
from holdfast.site.http_server import HttpServer, Listening
from holdfast.stores.http_connection import Limits
from holdfast.stores.p2p_http import P2pHttp
from holdfast.stores.ssh import SshAnnex
from holdfast.testing.store_contract import OpenStore, StoreContract

OURS = [
    "env",
    f"PYTHONPATH={os.pathsep.join(sys.path)}",
    sys.executable,
    "-m",
    "holdfast.site.annex_shell",
]
UUID = PlaceId("8c0a2b1e-0000-4000-8000-000000000001")
CLIENT = PlaceId("8c0a2b1e-0000-4000-8000-00000000000c")
needs_git_annex = pytest.mark.skipif(
    shutil.which("git-annex") is None, reason="git-annex is not installed"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("served") / "it"
    git = ["git", "-C", str(folder)]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    settings = {
        "user.name": "A Person", "user.email": "person@example.org", "annex.version": "10",
        "annex.uuid": UUID, "annex.diskreserve": "1 MB",
    }  # fmt: skip
    for name, value in settings.items():
        subprocess.run([*git, "config", name, value], check=True)
    empty = subprocess.run(
        [*git, "commit-tree", "-m", "branch created", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"],
        capture_output=True, text=True,
    )  # fmt: skip
    if empty.returncode:
        subprocess.run(
            [*git, "hash-object", "-w", "-t", "tree", "/dev/null"], check=True, stdout=-3
        )
        empty = subprocess.run(
            [*git, "commit-tree", "-m", "branch created", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    subprocess.run([*git, "branch", "git-annex", empty.stdout.strip()], check=True)
    yield folder
    empty_out(folder)


def empty_out(repository: Path) -> None:
    objects = repository / ".git/annex/objects"
    for top, _, _ in os.walk(objects):
        Path(top).chmod(0o755)
    for name in ("objects", "tmp"):
        shutil.rmtree(repository / ".git/annex" / name, ignore_errors=True)


def fill(repository: Path, contents: Mapping[Key, bytes]) -> None:
    empty_out(repository)
    for key, content in contents.items():
        path = repository / ".git/annex/objects" / os.fsdecode(object_path(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail("no server came up")


@needs_git_annex
class TestGitAnnexShell(StoreContract):
    @pytest.fixture
    def open_store(self, repository: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> SshAnnex:
            fill(repository, contents)
            return SshAnnex(Place(UUID, "there"), command=["git-annex-shell"], path=str(repository))

        return make


class TestOurShell(StoreContract):
    @pytest.fixture
    def open_store(self, repository: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> SshAnnex:
            fill(repository, contents)
            return SshAnnex(Place(UUID, "there"), command=OURS, path=str(repository))

        return make


class TestOurHttp(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, repository: Path) -> Iterator[str]:
        served = Served(open_dataset(repository))
        server = HttpServer(served, Access(Rights.WRITE), Listening())
        thread = threading.Thread(target=server.serve_until_stopped)
        thread.start()
        yield server.url
        server.stop()
        thread.join()
        served.close()

    @pytest.fixture
    def open_store(self, repository: Path, url: str) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> P2pHttp:
            fill(repository, contents)
            return P2pHttp(Place(UUID, "there"), url, here=CLIENT, limits=Limits(stall_s=5))

        return make


@needs_git_annex
class TestGitAnnexHttp(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, repository: Path) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        words = ["-J2", "--wideopen", "--bind", "127.0.0.1", "--port", str(port)]
        program = subprocess.Popen(
            ["git-annex", "p2phttp", *words], cwd=repository, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait(10)

    @pytest.fixture
    def open_store(self, repository: Path, url: str) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> P2pHttp:
            fill(repository, contents)
            return P2pHttp(Place(UUID, "there"), url, here=CLIENT, limits=Limits(stall_s=5))

        return make
