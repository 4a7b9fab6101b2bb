"""age files of ours and of the public tools, in both directions; the page about restoring with them."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_restore_without_holdfast import _files, _run

from holdfast.archive.scope_keys import Identity
from holdfast.archive.seal_primitives import primitives
from holdfast.archive.seals import Head, SealedFile
from holdfast.archive.unsealing import Unsealer
from holdfast.wire.age_header import encode_header, wrap
from holdfast.wire.age_keys import encode_identity, encode_recipient
from holdfast.wire.age_payload import CHUNK, Payload

pytest.importorskip("cryptography")
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "restore-encrypted.md").read_text(encoding="utf-8")
READER = (DOCS / "restore-without-holdfast.md").read_text(encoding="utf-8")
HOLD = str(Path(sys.executable).parent / "hold")
SECRET, USE = bytes(range(1, 33)), primitives()
SIZES = [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK]
needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")


def _sealed(path: Path, content: bytes) -> Path:
    file_key, nonce = b"k" * 16, b"n" * 16
    stanza = wrap(USE.public(SECRET), file_key, b"e" * 32, USE)
    head = Head(encode_header([stanza], file_key) + nonce, Payload(file_key, nonce, USE))
    with SealedFile(os.fsencode(path), head) as file:
        file.write(content)
    return path


def _opened(raw: bytes) -> bytes:
    return b"".join(Unsealer([Identity(SECRET)], USE).open_chunks(iter([raw]), ""))


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_opens_ours_and_we_open_its(tmp_path: Path, size: int) -> None:
    pyrage = pytest.importorskip("pyrage")
    content = random.Random(size).randbytes(size)
    identity = pyrage.x25519.Identity.from_str(encode_identity(SECRET))
    recipient = encode_recipient(USE.public(SECRET))
    assert str(identity.to_public()) == recipient
    raw = _sealed(tmp_path / "one.age", content).read_bytes()
    assert pyrage.decrypt(raw, [identity]) == content
    theirs = pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(recipient)])
    assert _opened(theirs) == content


@needs_age
@pytest.mark.parametrize("size", SIZES)
def test_age_opens_ours_and_we_open_its(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    key = tmp_path / "key"
    key.write_text(encode_identity(SECRET) + "\n")
    path = _sealed(tmp_path / "one.age", content)
    opened = subprocess.run(["age", "-d", "-i", key, path], capture_output=True, check=True)
    assert opened.stdout == content
    recipient = encode_recipient(USE.public(SECRET))
    theirs = subprocess.run(
        ["age", "-r", recipient], input=content, capture_output=True, check=True
    )
    assert _opened(theirs.stdout) == content


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def _scene(top: Path, *words: str) -> Path:
    chance, main = random.Random(2), top / "main"
    _run(top, HOLD, "create", "-q", "--profile", "text2git", "main")
    for subject in ("sub-01", "sub-02"):
        (main / subject).mkdir()
        (main / subject / "scan.nii").write_bytes(chance.randbytes(1_500_000))
        (main / subject / "events.tsv").write_text(subject)
    _run(main, HOLD, "save", "-q", "-m", "one")
    pack = (HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB",
            "--keys", "../all")  # fmt: skip
    _run(main, *pack, *words)
    (main / "new.nii").write_bytes(chance.randbytes(9000))
    _run(main, HOLD, "save", "-q", "-m", "two")
    _run(main, *pack)
    stranger = top / "stranger"
    (stranger / "keys").mkdir(parents=True)
    shutil.copytree(top / "pieces", stranger / "pieces")
    [program], [sealed] = _blocks(READER, "python"), _blocks(PAGE, "python")
    (stranger / "read_pieces.py").write_text(program)
    (stranger / "read_sealed.py").write_text(sealed)
    _run(stranger, sys.executable, "read_pieces.py", "out",
         *map(str, (stranger / "pieces").iterdir()))  # fmt: skip
    return stranger


@needs_age
def test_a_stranger_restores_a_data_set_with_age_by_the_page(tmp_path: Path) -> None:
    stranger = _scene(tmp_path, "--encrypt")
    shutil.copy(tmp_path / "all/scope-./identity", stranger / "keys/one")
    read, history = _blocks(PAGE, "sh")
    assert _run(stranger, "sh", "-ec", read) == ""
    _run(stranger, "sh", "-ec", history)
    assert _files(stranger / "data") == _files(tmp_path / "main")
    commit = _run(tmp_path / "main", "git", "rev-parse", "HEAD")
    assert _run(stranger / "data", "git", "rev-parse", "HEAD") == commit


@needs_age
def test_a_stranger_with_some_keys_reads_what_they_open_and_no_more(tmp_path: Path) -> None:
    stranger = _scene(tmp_path, "--encrypt-by", "sub-*")
    for number, scope in enumerate((".", "sub-02")):
        shutil.copy(tmp_path / f"all/scope-{scope}/identity", stranger / f"keys/{number}")
    said = _run(stranger, "bash", "-ec", _blocks(PAGE, "sh")[0])
    assert re.fullmatch(r"[0-9a-f]{16} is locked: no key opens it\n", said)
    files = _files(tmp_path / "main")
    left = {path: digest for path, digest in files.items() if not path.startswith("sub-01/")}
    assert _files(stranger / "content") == left
