"""Keys of encrypted archives that a lab has already: taken in, given out, told of, never leaked."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from scenes import HOLD, Ran, contents, environment, must, run

from holdfast.wire.age_keys import encode_identity

pytest.importorskip("cryptography")
from holdfast.archive.seal_primitives import primitives
from holdfast.wire.age_keys import encode_recipient

SECRET = random.Random(11).randbytes(32)
IDENTITY = encode_identity(SECRET)
RECIPIENT = encode_recipient(primitives().public(SECRET))
OTHER = encode_recipient(primitives().public(bytes(range(32))))
AGE_KEYGEN = f"# created: 2026-01-01T00:00:00Z\n# public key: {RECIPIENT}\n{IDENTITY}\n"
KEYS = ("--keys", "../keys")


@pytest.fixture
def main(tmp_path: Path) -> Path:
    folder, chance = tmp_path / "main", random.Random(1)
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    (folder / "sub-01").mkdir()
    (folder / "sub-01/scan").write_bytes(chance.randbytes(90_000))
    (folder / "top").write_bytes(b"top")
    must(folder, HOLD, "save", "-q", "-m", "all")
    _write(tmp_path / "lab.key", AGE_KEYGEN)
    return folder


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def _keys(main: Path, *words: str) -> Ran:
    done = run(main, HOLD, "archive", "keys", *words, *KEYS)
    assert IDENTITY not in done.text and "Traceback" not in done.err
    return done


def _pack(main: Path, *words: str) -> None:
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB",
         *KEYS, *(words or ("--encrypt",)))  # fmt: skip


def test_what_is_packed_opens_with_the_key_that_the_lab_has(main: Path) -> None:
    done = _keys(main, "import", ".", "../lab.key")
    assert done.code == 0 and RECIPIENT in done.out, done.text
    _pack(main)
    must(main.parent, HOLD, "archive", "restore", "-q", "pieces", "--to", "out", "--keys",
         "lab.key")  # fmt: skip
    assert contents(main.parent / "out") == contents(main)
    for path in (main.parent / "keys").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.name == "log"
    assert IDENTITY not in (main.parent / "keys/log").read_text()
    assert [json.loads(line)["what"] for line in (main.parent / "keys/log").open()] == ["made"]


def test_a_key_comes_by_standard_input(main: Path) -> None:
    done = subprocess.run(
        [HOLD, "archive", "keys", "import", "sub-01", "-", *KEYS], cwd=main, text=True,
        input=AGE_KEYGEN, capture_output=True, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0 and RECIPIENT in done.stdout, done.stderr
    assert IDENTITY not in done.stdout + done.stderr
    assert (main.parent / "keys/scope-sub-01/identity").read_text().count(IDENTITY) == 1


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (AGE_KEYGEN, 0o644, "others may read it"),
        ("", 0o600, "there is no X25519 identity"),
        (f"{RECIPIENT}\n", 0o600, "there is no X25519 identity"),
        (AGE_KEYGEN * 2, 0o600, "there are 2 identities in it"),
        ("age-encryption.org/v1\n-> scrypt x 18\n", 0o600, "it is encrypted itself"),
        (IDENTITY[:-1] + ("A" if IDENTITY[-1] != "A" else "C"), 0o600, "a letter that is wrong"),
    ],
)
def test_what_is_no_key_is_refused(main: Path, text: str, mode: int, told: str) -> None:
    _write(main.parent / "bad.key", text, mode)
    done = _keys(main, "import", ".", "../bad.key")
    assert done.code == 4 and told in done.err, done.text
    assert not (main.parent / "keys/scope-.").exists()


def test_a_pipe_is_told_to_be_one_and_not_to_hold_no_key(main: Path) -> None:
    os.mkfifo(main.parent / "pipe", 0o600)
    done = _keys(main, "import", ".", "../pipe")
    assert done.code == 4 and "standard input" in done.err, done.text


def test_a_scope_that_has_a_key_keeps_it(main: Path) -> None:
    must(main, HOLD, "archive", "keys", "make", ".", *KEYS)
    before = (main.parent / "keys/scope-./identity").read_text()
    done = _keys(main, "import", ".", "../lab.key")
    assert done.code == 4 and "H934" in done.err, done.text
    assert (main.parent / "keys/scope-./identity").read_text() == before


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "import", ".", IDENTITY), ("keys", "make", ".", "--recipient", IDENTITY),
        ("keys", "make", IDENTITY.lower()), ("restore", "../pieces", "--keys", IDENTITY),
    ],
)  # fmt: skip
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    main: Path, words: tuple[str, ...]
) -> None:
    done = run(main, HOLD, "archive", *words)
    assert done.code == 2 and "a secret key is no word of a call" in done.err, done.text
    assert IDENTITY not in done.text.upper()


def test_an_exported_key_is_a_file_of_its_own_that_opens_the_archive(main: Path) -> None:
    _pack(main)
    done = _keys(main, "export", ".", "../mine.key")
    assert done.code == 0, done.text
    exported = main.parent / "mine.key"
    assert exported.stat().st_mode & 0o777 == 0o600
    must(main.parent, HOLD, "archive", "restore", "-q", "pieces", "--to", "out", "--keys",
         "mine.key")  # fmt: skip
    assert contents(main.parent / "out") == contents(main)
    before = exported.read_bytes()
    again = _keys(main, "export", ".", "../mine.key")
    assert (again.code, "file exists" in again.text, "dmesg" in again.text) == (2, True, False)
    assert exported.read_bytes() == before
    done = _keys(main, "export", ".", "inside.key")
    assert done.code == 4 and "it is in the data set" in done.err, done.text
    assert not (main / "inside.key").exists()
    assert _keys(main, "export", "sub-77", "../none.key").code == 4


def test_keys_are_not_kept_in_the_data_set(main: Path) -> None:
    for words in (
        ("pack", "--encrypt"),
        ("keys", "make", "."),
        ("keys", "import", ".", "../lab.key"),
    ):
        done = run(main, HOLD, "archive", *words, "--keys", "keys")
        assert done.code == 4 and "it is in the data set" in done.err, done.text
    assert not (main / "keys").exists()


def test_recipients_may_be_in_a_file(main: Path) -> None:
    (main.parent / "lab.txt").write_text(f"# the lab\n\n{RECIPIENT}\n{OTHER}\n")
    done = _keys(main, "make", ".", "--recipient", "../lab.txt", "--json")
    assert json.loads(done.out.splitlines()[0])["recipients"][1:] == [RECIPIENT, OTHER]
    _pack(main)
    must(main.parent, HOLD, "archive", "restore", "-q", "pieces", "--to", "out", "--keys",
         "lab.key")  # fmt: skip
    assert contents(main.parent / "out") == contents(main)


def test_keys_that_were_destroyed_are_listed_and_marked(main: Path) -> None:
    must(main, HOLD, "archive", "keys", "make", "sub-01", *KEYS)
    must(main, HOLD, "archive", "keys", "import", "sub-02", "../lab.key", *KEYS)
    done = _keys(main, "destroy", "sub-02", "--force", "asked for")
    assert "it was imported, and who has it elsewhere still can" in done.out, done.text
    done = _keys(main, "destroy", "sub-01", "--force", "asked for")
    assert "imported" not in done.out, done.text
    done = _keys(main, "list")
    assert done.code == 0
    for scope in ("sub-01", "sub-02"):
        [line] = [line for line in done.out.splitlines() if scope in line]
        assert "destroyed 20" in line and "asked for" in line, line
    # A new key takes it from there.
    must(main, HOLD, "archive", "keys", "make", "sub-01", *KEYS)
    [line] = [line for line in _keys(main, "list").out.splitlines() if "sub-01" in line]
    assert "destroyed" not in line and "1 recipient" in line


def test_each_kind_of_work_on_keys_takes_its_words_alone(main: Path) -> None:
    for words in (("import", "."), ("export", "."), ("list", "."), ("make",), ("mend", ".")):
        done = run(main, HOLD, "archive", "keys", *words, *KEYS)
        assert done.code == 2 and "say keys list, keys make SCOPE" in done.err, done.text
    for words in (("list", "--recipient", OTHER), ("export", ".", "x", "--force", "y")):
        done = run(main, HOLD, "archive", "keys", *words, *KEYS)
        assert done.code == 2 and f"keys {words[0]} takes no" in done.err, done.text
    assert os.listdir(main.parent) and not (main.parent / "keys").exists()
