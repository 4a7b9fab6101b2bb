"""Pieces sent to places of every kind, and read from there: whole, checked, gone on with."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from warm_hold import run_program

from holdfast.testing.rclone_server import PASSWORD, USER, WebDavServer, find_rclone

BIN = Path(sys.executable).parent
PIECE = "4MiB"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept, "PATH": f"{BIN}:{os.environ['PATH']}", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@example.org",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "WEBDAV_USERNAME": USER, "WEBDAV_PASSWORD": PASSWORD,
    }  # fmt: skip


def _hold(folder: Path, *words: str, exits: int | None = 0) -> list[dict[str, Any]]:
    done = run_program([BIN / "hold", *words, "--json"], folder, _environment(), 300)
    assert exits is None or done.returncode == exits, (done.returncode, done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of four pieces."""
    folder = tmp_path_factory.mktemp("sent")
    _hold(folder, "create", "main")
    chance = random.Random(3)
    (folder / "main/sub").mkdir()
    for number in range(12):
        (folder / f"main/sub/{number:02}.dat").write_bytes(chance.randbytes(700_000 + number))
    (folder / "main/large.dat").write_bytes(chance.randbytes(5_000_000))
    _hold(folder / "main", "save", "-m", "files")
    return folder


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [BIN / words[0] if (BIN / words[0]).exists() else words[0], *words[1:]],
        cwd=folder, env=_environment(), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def main(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "main", tmp_path / "main", symlinks=True)
    return tmp_path / "main"


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    program = BIN / "moto_server"
    if not program.exists():
        pytest.skip("moto_server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [str(program), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(200):
        with closing(socket.socket()) as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield port
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    if find_rclone() is None:
        pytest.skip("rclone, which serves WebDAV here, is neither beside python nor on PATH")
    with WebDavServer(tmp_path_factory.mktemp("dav")) as server:
        yield server


MakePlace = Callable[[str], str]


@pytest.fixture
def place(main: Path, tmp_path: Path, request: pytest.FixtureRequest) -> MakePlace:
    """Sets up a place of a kind; gives what pack calls it."""

    def make(kind: str) -> str:
        there = tmp_path / "there"
        if kind == "folder":
            return f"{there}/"
        words = [f"type={kind}", "encryption=none"]
        if kind == "directory":
            there.mkdir()
            words += [f"directory={there}", "exporttree=yes"]
        elif kind == "rsync":
            if shutil.which("rsync") is None:
                pytest.skip("rsync is not installed")
            words += [f"rsyncurl={there}/"]
        elif kind == "webdav":
            server: WebDavServer = request.getfixturevalue("dav")
            words += [f"url={server.url}/{tmp_path.name}"]
        else:
            port = request.getfixturevalue("s3_port")
            words += ["host=127.0.0.1", f"port={port}", "protocol=http", "requeststyle=path"]
            words += [f"bucket={tmp_path.name.replace('_', '-')[:50].strip('-')}"]
        name = "annex.security.allowed-ip-addresses"
        subprocess.run(["git", "config", name, "127.0.0.1"], cwd=main, check=True)
        _hold(main, "siblings", "add", "x", *words)
        return "x"

    return make


def _sent(records: list[dict[str, Any]], status: str = "ok") -> list[str]:
    return [r["path"] for r in records if r["action"] == "send" and r["status"] == status]


def _same(one: Path, other: Path) -> bool:
    def files(folder: Path) -> dict[str, bytes]:
        found = (p for p in folder.rglob("*.dat") if ".git" not in p.relative_to(folder).parts)
        return {str(p.relative_to(folder)): p.read_bytes() for p in found}

    return bool(files(one)) and files(one) == files(other)


@pytest.mark.parametrize("kind", ["folder", "directory", "rsync", "webdav", "S3"])
def test_pieces_come_to_a_place_and_back(kind: str, main: Path, place: MakePlace) -> None:
    to = place(kind)
    pack = ["archive", "pack", "--to", to, "--piece-size", PIECE]
    records = _hold(main, *pack, "--verify", "--parity", "2+1")
    packed = [r["path"] for r in records if r["action"] == "pack" and "piece" in r]
    assert (len(packed), sorted(_sent(records))) == (4, sorted(packed))
    assert len([r for r in records if r["action"] == "parity" and r["status"] == "ok"]) == 2
    again = _hold(main, *pack, "--parity", "2+1")
    assert {r["status"] for r in again} == {"notneeded"}
    back = main.parent / "back"
    _hold(main, "archive", "restore", "--from", to, "--to", str(back))
    assert _same(main, back)
    left = main / ".git/annex/hold-archive"
    assert not list(left.rglob("*.car")) and not (left / "sending").exists()


def test_a_lost_piece_is_sent_again_and_rebuilt_from_the_place(
    main: Path, place: MakePlace
) -> None:
    to = place("folder")
    pack = ["archive", "pack", "--to", to, "--piece-size", PIECE]
    _hold(main, *pack, "--parity", "2+1")
    lost = Path(to, _names(to)[0])
    content = lost.read_bytes()
    lost.unlink()
    rebuilt = main.parent / "rebuilt"
    _hold(main, "archive", "rebuild", "--from", to, "--write", str(rebuilt))
    assert (rebuilt / lost.name).read_bytes() == content
    assert _sent(_hold(main, *pack)) == [lost.name.removesuffix(".car")]
    assert lost.read_bytes() == content


def _names(folder: str) -> list[str]:
    """The pieces that a folder's list names, parity left out."""
    lines = Path(folder, "pieces.txt").read_text().splitlines()
    return [line.split()[0] for line in lines if line.endswith(" piece")]


def test_verify_finds_a_damaged_piece_and_sends_it_again(main: Path, place: MakePlace) -> None:
    to = place("folder")
    pack = ["archive", "pack", "--to", to, "--piece-size", PIECE]
    _hold(main, *pack)
    damaged = Path(to, _names(to)[1])
    content = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
    assert _sent(_hold(main, *pack)) == []
    records = _hold(main, *pack, "--verify")
    assert _sent(records) == [damaged.name.removesuffix(".car")]
    assert len(_sent(records, "notneeded")) == 3
    assert damaged.read_bytes() == content


@pytest.mark.parametrize("kind", ["folder", "S3"])
def test_killed_while_sending_it_sends_what_is_not_whole_there(
    kind: str, main: Path, place: MakePlace
) -> None:
    to = place(kind)
    words = [str(BIN / "hold"), "archive", "pack", "--to", to, "--piece-size", PIECE]
    chance = random.Random(9)
    for _ in range(3):
        process = subprocess.Popen(
            words, cwd=main, env=_environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(chance.uniform(0.3, 1.2))
        process.kill()
        process.wait()
        if kind == "folder":
            for path in Path(to).glob("*.car"):
                _is_whole(path)
    _hold(main, *words[1:])
    back = main.parent / "back"
    _hold(main, "archive", "restore", "--from", to, "--to", str(back))
    assert _same(main, back)


def _is_whole(path: Path) -> None:
    from holdfast.wire.piece import commit

    assert path.name == f"{commit(path.read_bytes()).v2}.car"


def test_a_file_that_changes_while_it_is_sent_is_packed_again_alone(tmp_path: Path) -> None:
    """It changes between packing and sending: the first piece that is there tells the moment."""
    plain, there = tmp_path / "plain", tmp_path / "there"
    plain.mkdir()
    chance = random.Random(4)
    for number in range(6):
        (plain / f"{number}.dat").write_bytes(chance.randbytes(2_500_000))
    changer = (
        "import os, sys\n"
        "from holdfast.archive import piece_sending\n"
        "send = piece_sending.PieceSender.send\n"
        "def changed(self, image, *, strict):\n"
        "    if not os.path.exists('changed'):\n"
        "        open('changed', 'w').close()\n"
        "        open('plain/3.dat', 'r+b').write(b'other')\n"
        "    return (yield from send(self, image, strict=strict))\n"
        "piece_sending.PieceSender.send = changed\n"
        "from holdfast.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    words = ["archive", "pack", "--folder", "plain", "--state", "state", "--to", f"{there}/"]
    done = subprocess.run(
        [sys.executable, "-c", changer, *words, "--piece-size", PIECE, "--json"],
        cwd=tmp_path, env=_environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    told = [r for r in records if r["path"].endswith("3.dat")]
    assert [(r["status"], "packed as it is now" in r["note"]) for r in told] == [
        ("notneeded", True)
    ]
    pieces = list(there.glob("*.car"))
    [snapshot] = [r for r in records if r["path"] == "snapshot 0"]
    assert len(pieces) == snapshot["pieces"]
    for path in pieces:
        _is_whole(path)
    _hold(tmp_path, "archive", "restore", str(there), "--to", "back")
    assert _same(plain, tmp_path / "back")
    assert (tmp_path / "back/3.dat").read_bytes().startswith(b"other")


def test_damaged_content_costs_a_place_its_own_piece_alone(main: Path) -> None:
    (main.parent / "cold").mkdir()
    told = _hold(main, "archive", "pack", "--piece-size", PIECE)
    pieces = [one["path"] for one in told if one["action"] == "pack" and "piece" in one]
    assert len(pieces) > 2
    path = os.path.realpath(main / "large.dat")
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"other")
    for _ in range(2):
        told = _hold(main, "archive", "pack", "--to", "../cold", exits=3)
        bad = [one["path"] for one in told if one["action"] == "send" and one["status"] == "error"]
        assert bad == pieces[:1]
        assert {path.stem for path in (main.parent / "cold").glob("*.car")} == {*pieces} - {*bad}


def test_an_encrypted_place_takes_no_pieces(main: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    words = ["type=directory", f"directory={tmp_path}/there", "encryption=shared"]
    _hold(main, "siblings", "add", "x", *words)
    records = _hold(main, "archive", "pack", "--to", "x", "--piece-size", PIECE, exits=4)
    assert records[-1]["error"]["code"] == "H381"
    assert not list((tmp_path / "there").rglob("*.car"))


def test_a_place_that_is_not_known_is_told(main: Path) -> None:
    records = _hold(main, "archive", "pack", "--to", "nowhere", exits=None)
    assert "nowhere" in records[-1]["error"]["what"]


@pytest.mark.skipif(not (BIN / "git-annex").exists(), reason="git-annex is not installed")
def test_of_an_adjusted_branch_the_branch_itself_is_packed(made: Path, tmp_path: Path) -> None:
    main = tmp_path / "main"
    _run(tmp_path, "git", "clone", "-q", str(made / "main"), "main")
    _run(main, "git", "annex", "init", "-q")
    _run(main, "git", "annex", "get", "-q", ".")
    branch = _run(main, "git", "symbolic-ref", "--short", "HEAD")
    version = _run(main, "git", "rev-parse", "HEAD")
    _run(main, "git", "annex", "adjust", "--unlock")
    assert _run(main, "git", "rev-parse", "HEAD^") == version
    _hold(main, "archive", "pack", "--write", "../pieces", "--piece-size", PIECE)
    _hold(tmp_path, "archive", "restore", "pieces", "--to", "again")
    again = tmp_path / "again"
    assert _run(again, "git", "symbolic-ref", "--short", "HEAD") == branch
    assert _run(again, "git", "rev-parse", "HEAD") == version
    assert (again / "large.dat").is_symlink()
    assert (again / "large.dat").read_bytes() == (made / "main/large.dat").read_bytes()
    _run(main, "git", "commit", "-q", "--allow-empty", "-m", "on top of what is shown")
    made_here = _run(main, "git", "rev-parse", "HEAD")
    _hold(main, "archive", "pack", "--write", "../pieces", "--piece-size", PIECE)
    _hold(tmp_path, "archive", "restore", "pieces", "--to", "later")
    assert _run(tmp_path / "later", "git", "rev-parse", "HEAD") == made_here
