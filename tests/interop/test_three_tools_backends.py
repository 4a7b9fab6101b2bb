"""Every way git-annex has to name content: what one names, the other finds right, and wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.core.backends import HASH_BACKENDS

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

HASHED = [name.decode() + end for name in HASH_BACKENDS for end in ("", "E")]
ALL = [*HASHED, "WORM"]
CONTENT = bytes(range(256)) * 700


def name_of(backend: str) -> str:
    return f"{backend}/scan one.nii.gz"


def content_of(backend: str) -> bytes:
    return backend.encode() + CONTENT


def fill(tools: Tools, folder: Path) -> None:
    """A file for each backend, and the rule that gives it that one."""
    rules = "".join(f"{backend}/* annex.backend={backend}\n" for backend in ALL)
    tools.write(folder, {".gitattributes": rules.encode() + b".git* annex.largefiles=nothing\n"})
    tools.write(folder, {name_of(backend): content_of(backend) for backend in ALL})


def problems(tools: Tools, tool: str, folder: Path) -> dict[str, str]:
    """The files a tool's fsck complains of, and what it says."""
    code = 0 if "damaged" not in folder.name else 1
    if tool == "hold":
        told = tools.hold(folder, "fsck", "--json", exits=code).records()
        return {str(r["path"]): str(r["note"]) for r in told if r["status"] == "error"}
    told = tools.annex(folder, "fsck", "--json", "--json-error-messages", exits=code).records()
    return {str(r["file"]): str(r["error-messages"]) for r in told if not r["success"]}


def damage(folder: Path) -> None:
    """Change one byte of each content, without a trace in size or time."""
    for top, _, names in os.walk(folder / ".git" / "annex" / "objects"):
        for name in names:
            path = Path(top, name)
            status = path.stat()
            path.chmod(0o644)
            with path.open("r+b") as file:
                file.seek(1000)
                byte = file.read(1)
                file.seek(1000)
                file.write(bytes([byte[0] ^ 1]))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            path.chmod(0o444)


class Judged:
    """A data set saved by one tool, whole and damaged, as both tools judge it."""

    def __init__(self, tools: Tools, folder: Path, saver: str) -> None:
        self.folder = tools.create(saver, folder / saver)
        fill(tools, self.folder)
        tools.save(saver, self.folder)
        self.keys = tools.keys(self.folder)
        self.whole = {tool: problems(tools, tool, self.folder) for tool in ("hold", "annex")}
        self.damaged = {}
        for tool in ("hold", "annex"):
            copy = folder / f"damaged {saver} {tool}"
            tools.copy(self.folder, copy)
            damage(copy)
            self.damaged[tool] = problems(tools, tool, copy)
        tools.settled(self.folder)


@pytest.fixture(scope="module", params=["hold", "annex"])
def judged(request: pytest.FixtureRequest, tools: Tools, shelf: Path) -> Iterator[Judged]:
    yield Judged(tools, shelf, request.param)


@pytest.mark.parametrize("backend", ALL)
def test_content_named_by_one_is_right_to_both(judged: Judged, backend: str) -> None:
    name = name_of(backend)
    key = judged.keys[name.encode()]
    assert key.startswith(f"{backend}-s{len(content_of(backend))}".encode())
    assert name not in judged.whole["hold"]
    assert name not in judged.whole["annex"]
    assert (judged.folder / name).read_bytes() == content_of(backend)


@pytest.mark.parametrize("backend", HASHED)
def test_content_that_changed_is_found_by_both(judged: Judged, backend: str) -> None:
    assert name_of(backend) in judged.damaged["hold"]
    assert name_of(backend) in judged.damaged["annex"]


def test_worm_says_nothing_of_the_bytes_to_either(judged: Judged) -> None:
    assert name_of("WORM") not in judged.damaged["hold"]
    assert name_of("WORM") not in judged.damaged["annex"]


def test_both_give_the_same_key_to_the_same_content(tools: Tools, bench: Path) -> None:
    keys = []
    for saver in ("hold", "annex"):
        folder = tools.create(saver, bench / saver)
        fill(tools, folder)
        for backend in ALL:
            os.utime(folder / name_of(backend), (1_700_000_000, 1_700_000_000))
        tools.save(saver, folder)
        keys.append(tools.keys(folder))
    assert keys[0] == keys[1]


def test_attributes_choose_the_backend_before_git_config(tools: Tools, bench: Path) -> None:
    for saver in ("hold", "annex"):
        folder = tools.create(saver, bench / saver)
        tools.git(folder, "config", "annex.backend", "SKEIN256E")
        tools.write(folder, {".gitattributes": b"a.* annex.backend=MD5\n"})
        tools.write(folder, {"a.dat": b"a\n", "b.dat": b"b\n"})
        tools.save(saver, folder)
        keys = tools.keys(folder)
        assert keys[b"a.dat"].startswith(b"MD5-")
        assert keys[b"b.dat"].startswith(b"SKEIN256E-")


def test_a_backend_given_with_the_call_goes_over_all(tools: Tools, bench: Path) -> None:
    folder = tools.create("hold", bench / "study")
    tools.write(folder, {"a.dat": b"a\n", "b.dat": b"b\n"})
    tools.hold(folder, "-c", "annex.backend=BLAKE2B256E", "save", "a.dat")
    tools.annex(folder, "add", "-q", "--backend=BLAKE2B256E", "b.dat")
    tools.git(folder, "commit", "-q", "-m", "b")
    assert all(key.startswith(b"BLAKE2B256E-") for key in tools.keys(folder).values())
    tools.settled(folder)
