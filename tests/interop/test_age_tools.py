"""age files of ours and of the public tools, in both directions; the page about restoring with them."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
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
needs_age = pytest.mark.skipif(
    not (shutil.which("age") and shutil.which("age-keygen")),
    reason="age and age-keygen are not installed",
)


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


def _fill(main: Path) -> None:
    chance = random.Random(2)
    for subject in ("sub-01", "sub-02"):
        (main / subject).mkdir(parents=True)
        (main / subject / "scan.nii").write_bytes(chance.randbytes(1_500_000))
        (main / subject / "events.tsv").write_text(subject)


def _scene(top: Path, *words: str) -> Path:
    main = top / "main"
    _run(top, HOLD, "create", "-q", "--profile", "text2git", "main")
    _fill(main)
    _run(main, HOLD, "save", "-q", "-m", "one")
    pack = (HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB",
            "--keys", "../all")  # fmt: skip
    _run(main, *pack, *words)
    (main / "new.nii").write_bytes(random.Random(3).randbytes(9000))
    _run(main, HOLD, "save", "-q", "-m", "two")
    _run(main, *pack)
    return _stranger(top)


def _stranger(top: Path) -> Path:
    """A folder with the pieces and the programs of the pages; what is in the pieces is read."""
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


@needs_age
def test_a_stranger_restores_a_plain_folder_with_age_by_the_page(tmp_path: Path) -> None:
    _fill(tmp_path / "scans")
    (tmp_path / "scans/hollow/in").mkdir(parents=True)
    (tmp_path / "scans/link").symlink_to("sub-01")
    pack = (HOLD, "archive", "pack", "-q", "--folder", "scans", "--state", "state", "--write",
            "pieces", "--piece-size", "4MiB", "--keys", "all")  # fmt: skip
    _run(tmp_path, *pack, "--encrypt-by", "sub-*")
    (tmp_path / "scans/new").write_text("new")
    _run(tmp_path, *pack)
    stranger = _stranger(tmp_path)
    for number, scope in enumerate((".", "sub-01", "sub-02")):
        shutil.copy(tmp_path / f"all/scope-{scope}/identity", stranger / f"keys/{number}")
    assert _run(stranger, "bash", "-ec", _blocks(PAGE, "sh")[0]) == ""
    assert _files(stranger / "content") == _files(tmp_path / "scans")
    assert (stranger / "content/hollow/in").is_dir()
    assert os.readlink(stranger / "content/link") == "sub-01"


def _packed(top: Path) -> tuple[str, ...]:
    """A small folder, to be packed with the keys that are there; the words for that."""
    (top / "scans").mkdir()
    (top / "scans/one").write_bytes(random.Random(4).randbytes(3 * CHUNK))
    (top / "scans/two").write_text("two")
    return (HOLD, "archive", "pack", "-q", "--folder", "scans", "--state", "state", "--write",
            "pieces", "--keys", "keys", "--encrypt")  # fmt: skip


def _opened_by_age(stranger: Path, key: Path) -> set[bytes]:
    """What the real age finds in the contents of pieces; the lists have to open, too."""
    found = set()
    paths = sorted((stranger / "out/files").rglob("*.age"))
    assert len(paths) == 3
    for path in paths:
        done = subprocess.run(["age", "-d", "-i", key, path], capture_output=True)
        assert done.returncode == 0, done.stderr
        if path.parent.name != "names":
            found.add(done.stdout)
    return found


def _contents(top: Path) -> set[bytes]:
    return {path.read_bytes() for path in (top / "scans").iterdir()}


def _keys(*words: str) -> tuple[str, ...]:
    return (HOLD, "archive", "keys", *words, "--state", "state", "--keys", "keys")


@needs_age
def test_what_is_packed_with_a_key_of_age_keygen_is_opened_by_age_and_by_us(tmp_path: Path) -> None:
    words, key = _packed(tmp_path), tmp_path / "lab.key"
    _run(tmp_path, "age-keygen", "-o", str(key))
    recipient = _run(tmp_path, "age-keygen", "-y", str(key)).strip()
    assert recipient in _run(tmp_path, *_keys("import", ".", "lab.key"))
    _run(tmp_path, *words)
    stranger = _stranger(tmp_path)
    assert _opened_by_age(stranger, key) == _contents(tmp_path)
    _run(tmp_path, HOLD, "archive", "restore", "-q", "pieces", "--to", "back", "--keys", "lab.key")
    assert _files(tmp_path / "back") == _files(tmp_path / "scans")
    _run(tmp_path, "age-keygen", "-o", "other.key")
    other = ["age", "-d", "-i", tmp_path / "other.key"]
    for path in (stranger / "out/files").rglob("*.age"):
        assert subprocess.run([*other, path], capture_output=True).returncode != 0


@needs_age
def test_a_key_that_we_made_and_gave_out_is_one_of_age(tmp_path: Path) -> None:
    words = _packed(tmp_path)
    _run(tmp_path, *words)
    _run(tmp_path, *_keys("export", ".", "out.key"))
    [listed] = _run(tmp_path, *_keys("list", "--json")).splitlines()
    recipient = _run(tmp_path, "age-keygen", "-y", "out.key").strip()
    assert json.loads(listed)["recipients"] == [recipient]
    assert _opened_by_age(_stranger(tmp_path), tmp_path / "out.key") == _contents(tmp_path)


@needs_age
def test_a_key_comes_out_of_an_age_file_and_a_recipient_of_age_keygen_opens_too(
    tmp_path: Path,
) -> None:
    words = _packed(tmp_path)
    for name in ("lab", "vault", "partner"):
        _run(tmp_path, "age-keygen", "-o", f"{name}.key")
        _run(tmp_path, "age-keygen", "-y", "-o", f"{name}.pub", f"{name}.key")
    _run(tmp_path, "age", "-R", "vault.pub", "-o", "lab.key.age", "lab.key")
    (tmp_path / "lab.key.age").chmod(0o600)
    refused = subprocess.run(
        _keys("import", ".", "lab.key.age"), cwd=tmp_path, capture_output=True, text=True
    )
    assert refused.returncode == 4 and "it is encrypted itself" in refused.stderr
    take = shlex.join(_keys("import", ".", "-", "--recipient", "partner.pub"))
    _run(tmp_path, "sh", "-ec", f"age -d -i vault.key lab.key.age | {take}")
    _run(tmp_path, *words)
    stranger = _stranger(tmp_path)
    for name in ("lab", "partner"):
        assert _opened_by_age(stranger, tmp_path / f"{name}.key") == _contents(tmp_path)
