"""A plain folder packed encrypted: what holds for a data set holds for it, and its keys are told of."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archive_reader import Pieces
from depth import times
from scenes import HOLD, Ran, all_of, environment, hold, must
from warm_hold import run_program

from holdfast.api.archive import (
    archive_of_folder,
    archive_pack,
    archive_plan,
    iter_archive_pack,
)
from holdfast.api.archive_sealing import EncryptBy
from holdfast.api.archive_serving import ServedArchive
from holdfast.api.key_place import KeyPlace
from holdfast.archive import sealable
from holdfast.archive.contents import SourceFault
from holdfast.archive.plan_file import Plan
from holdfast.archive.plan_records import FileRecord
from holdfast.archive.sealed_contents import SealedSources, sealed_from
from holdfast.core.progress import Silence
from holdfast.wire.age_keys import encode_identity
from holdfast.wire.cid import parse_cid_text

pytest.importorskip("cryptography")
SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
STATE = ("--state", "state")
KEYS = ("--keys", "keys")
PACK = ("archive", "pack", "--folder", "scans", *STATE, "--write", "pieces",
        "--piece-size", "4MiB")  # fmt: skip
BY = ("--encrypt-by", "sub-*")
WORDS = (b"sub-0", b"onset", b"hollow", b"outside", b"not UTF-8", b"SHA256")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("sealed") / "scans", random.Random(3)
    for subject in ("sub-01", "sub-02"):
        (folder / subject / "anat").mkdir(parents=True)
        (folder / subject / "anat/scan.nii").write_bytes(chance.randbytes(2_500_000))
        (folder / subject / "small.nii").write_bytes(chance.randbytes(70_000))
        (folder / subject / "onset.tsv").write_text(f"onset {subject}\n")
    (folder / "sub-01/onset.tsv").chmod(0o755)
    (folder / "sub-02/onset.tsv").chmod(0o400)
    shutil.copy(folder / "sub-01/small.nii", folder / "sub-01/twin.nii")
    shutil.copy(folder / "sub-01/small.nii", folder / "top.nii")
    (folder / "hollow/inner").mkdir(parents=True)
    (folder / "sub-03").mkdir()
    (folder / "empty").touch()
    (folder / "link").symlink_to("../outside")
    (folder / os.fsdecode(b"caf\xe9")).write_bytes(b"a name that is not UTF-8")
    return folder


@pytest.fixture
def top(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "scans", symlinks=True)
    return tmp_path


def _without(look: dict[str, tuple[int, bytes]], start: str) -> dict[str, tuple[int, bytes]]:
    return {name: about for name, about in look.items() if not name.startswith(start)}


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def _pieces(top: Path) -> list[Path]:
    return sorted((top / "pieces").glob("*.car"))


def _restore(top: Path, to: str, *words: str) -> Ran:
    return hold(top, "archive", "restore", "pieces", "--to", to, *KEYS, *words)


def _statuses(ran: Ran) -> list[tuple[str, str]]:
    return [(record["path"], record["status"]) for record in _records(ran)]


def test_a_folder_is_restored_as_it_was_and_nothing_of_it_is_in_the_clear(top: Path) -> None:
    must(top, HOLD, *PACK, "--encrypt", *KEYS)
    for path in _pieces(top):
        assert not [word for word in WORDS if word in path.read_bytes()]
    tree = Pieces(_pieces(top)).tree()
    paths = [path for path in tree if path != "README.txt"]
    assert all(path.startswith(("files/data/dataset/", "files/names/")) for path in paths)
    assert all(tree[path][1].startswith(b"age-encryption.org/v1\n") for path in paths)
    assert _restore(top, "out").code == 0
    assert all_of(top / "out") == all_of(top / "scans")
    again = _restore(top, "out", "--json")
    assert again.code == 0 and {status for _, status in _statuses(again)} == {"notneeded"}
    done = hold(top, "archive", "drill", "pieces", "--sample", "50", "--whole", "5", *KEYS)
    assert done.code == 0, done.text


def test_its_keys_are_where_those_of_data_sets_are_and_nowhere_else(top: Path) -> None:
    home = {**environment(), "HOME": str(top / "home")}
    done = run_program([HOLD, *PACK, *BY, "--json"], top, home)
    assert done.returncode == 0, done.stderr
    name = (top / "state/name").read_text()
    keys = top / "home/.config/holdfast/archive-keys" / name
    said = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [one["folder"] for one in said if one["action"] == "keys"] == [str(keys)] * 4
    assert "keep a copy elsewhere" in said[0]["note"]
    listed = run_program([HOLD, "archive", "keys", "list", *STATE], top, home)
    assert listed.returncode == 0 and b"sub-03" in listed.stdout, listed.stderr
    # Restore finds them by what the pieces say.
    restored = run_program([HOLD, "archive", "restore", "pieces", "--to", "out"], top, home)
    assert restored.returncode == 0, restored.stderr
    assert all_of(top / "out") == all_of(top / "scans")
    output = done.stdout + done.stderr + listed.stdout + listed.stderr + restored.stdout
    for scope in keys.glob("scope-*"):
        secret = (scope / "secret").read_text().strip()
        identity = (scope / "identity").read_text().splitlines()[-1]
        secrets = (secret.encode(), bytes.fromhex(secret), identity.encode())
        assert identity.startswith("AGE-SECRET-KEY-1") and not _in_any(secrets, [output])
        files = [*(top / "state").rglob("*"), *_pieces(top), keys / "log"]
        assert not _in_any(secrets, (path.read_bytes() for path in files if path.is_file()))


def _in_any(words: tuple[bytes, ...], texts: Any) -> bool:
    return any(word in text for text in texts for word in words)


def test_a_destroyed_key_takes_one_part_away_and_all_else_is_restored(top: Path) -> None:
    must(top, HOLD, *PACK, *BY, *KEYS)
    assert _restore(top, "before").code == 0
    assert all_of(top / "before") == all_of(top / "scans")
    must(top, HOLD, "archive", "keys", "destroy", "sub-01", "--force", "asked for", *STATE, *KEYS)
    done = _restore(top, "after", "--json")
    assert done.code == 4
    [failed] = [one for one in _records(done) if one["status"] == "error"]
    assert "3 contents" in failed["error"]["why"] and "asked for" in failed["error"]["why"]
    assert all_of(top / "after") == _without(all_of(top / "scans"), "sub-01")
    checked = hold(top, "archive", "drill", "pieces", "--whole", "9", "--json", *KEYS)
    assert [one["status"] for one in _records(checked) if one["action"] == "check"] == ["ok"] * 2
    # It cannot be packed by chance under a new key, nor without one.
    done = hold(top, *PACK, *KEYS)
    assert done.code == 4 and "was destroyed" in done.text and "--state" in done.text
    shutil.rmtree(top / "scans/sub-01")
    (top / "scans/new").write_text("new")
    must(top, HOLD, *PACK, *KEYS)
    assert _restore(top, "last").code == 0
    assert all_of(top / "last") == all_of(top / "scans")


def test_without_any_key_what_is_locked_is_listed_and_every_piece_is_proved(top: Path) -> None:
    must(top, HOLD, *PACK, *BY, *KEYS)
    (top / "none").mkdir()
    done = hold(top, "archive", "restore", "pieces", "--to", "out", "--json")
    assert done.code == 4 and not (top / "out").exists()
    assert [status for _, status in _statuses(done)] == ["error"] * 4
    assert all(one["error"]["code"] == "H930" for one in _records(done))
    drilled = hold(top, "archive", "drill", "pieces", "--whole", "9", "--json")
    assert [one["status"] for one in _records(drilled) if one["action"] == "check"] == ["ok"] * 2
    one = shutil.copy(top / "keys/scope-sub-02/identity", top / "one.key")
    done = hold(top, "archive", "restore", "pieces", "--to", "part", "--keys", str(one))
    assert done.code == 4
    look = all_of(top / "scans")
    assert all_of(top / "part") == {n: look[n] for n in look if n.startswith("sub-02")}


def test_some_of_it_is_restored_alone(top: Path) -> None:
    must(top, HOLD, *PACK, *BY, *KEYS)
    assert _restore(top, "out", "--only", "sub-02", "--only", "hollow").code == 0
    look = all_of(top / "scans")
    assert all_of(top / "out") == {
        name: look[name] for name in look if name.startswith(("sub-02", "hollow"))
    }
    assert "H9" in _restore(top, "other", "--only", "nothing").err


def test_a_later_snapshot_has_only_what_is_new_and_packing_again_nothing(top: Path) -> None:
    must(top, HOLD, *PACK, "--encrypt", *KEYS)
    first = _pieces(top)
    assert _statuses(must(top, HOLD, *PACK, "--json", *KEYS)) == [("snapshot 0", "notneeded")]
    assert _pieces(top) == first
    (top / "scans/more").write_bytes(random.Random(1).randbytes(50_000))
    os.rename(top / "scans/sub-02/anat/scan.nii", top / "scans/moved.nii")
    (top / "scans/sub-01/small.nii").write_bytes(b"another one")
    (top / "scans/empty").unlink()
    must(top, HOLD, *PACK, *KEYS)
    new = set(_pieces(top)) - set(first)
    assert 50_000 < sum(path.stat().st_size for path in new) < 70_000
    assert _restore(top, "out").code == 0
    assert all_of(top / "out") == all_of(top / "scans")
    assert _restore(top, "old", "--at", "0").code == 0
    assert (top / "old/sub-02/anat/scan.nii").exists() and (top / "old/empty").exists()
    done = hold(top, *PACK, *BY, *KEYS)
    assert done.code == 4 and "one key for all" in done.text


def test_killed_anywhere_it_goes_on_to_the_same_pieces(top: Path) -> None:
    print(f"FAULTS_SEED={SEED}")
    begun = run_program(
        [sys.executable, str(KILL_AT), str(top / "count"), "0", *PACK, *BY, *KEYS], top,
        environment(),
    )  # fmt: skip
    assert begun.returncode == 0, begun.stderr
    changes = int((top / "count").read_text())
    for name in ("state", "keys", "pieces"):
        shutil.rmtree(top / name)
    chance, went_on = random.Random(SEED), 0
    late = range(changes * 6 // 7, changes)  # what is before is mostly the making of keys
    points = [chance.randrange(1, changes) for _ in range(times(2, 30))]
    for trial, point in enumerate([*points, *chance.sample(late, times(4, len(late)))]):
        folder = top / f"trial-{trial}"
        folder.mkdir()
        shutil.copytree(top / "scans", folder / "scans", symlinks=True)
        killed = run_program(
            [sys.executable, str(KILL_AT), str(folder / "count"), str(point), *PACK, *BY, *KEYS],
            folder, environment(),
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        # One that goes on here, and one that goes on from a copy, make the same.
        shutil.copytree(folder, top / f"copy-{trial}", symlinks=True)
        cids = folder / "state/snapshot-0/cids"
        is_begun = cids.exists() and cids.stat().st_size > 0
        for one in (folder, top / f"copy-{trial}"):
            must(one, HOLD, *PACK, *BY, *KEYS)
            assert not [path for path in os.listdir(one / "pieces") if not path.endswith(".car")]
            assert _restore(one, "out").code == 0
            assert all_of(one / "out") == all_of(top / "scans")
        names = [path.name for path in _pieces(folder)]
        if is_begun:
            went_on += 1
            assert names == [path.name for path in _pieces(top / f"copy-{trial}")], point
    assert went_on > 1


@pytest.fixture(params=["just written", "settled"])
def planned(
    top: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, SealedSources, FileRecord]:
    """A file, the sources of a plan, and its record there."""
    if request.param == "settled":
        monkeypatch.setattr(sealable, "_FRESH_NS", 0)
    keys = KeyPlace(os.fsencode(top / "keys"))
    scans, state = os.fsencode(top / "scans"), os.fsencode(top / "state")
    archive = archive_of_folder(scans, state, encrypt=EncryptBy(), keys=keys)
    archive_plan(archive, piece_size=4 << 20)
    folder = archive.folder.next_folder
    sources = archive.source.sources(folder)
    assert isinstance(sources, SealedSources)
    [record] = [
        record
        for record in Plan(folder + b"/plan")
        if isinstance(record, FileRecord) and record.source.startswith("~")
        and sealed_from(record.source).path == "sub-02/small.nii"
    ]  # fmt: skip
    assert (sealed_from(record.source).oid == "fresh") == (request.param == "just written")
    return top / "scans/sub-02/small.nii", sources, record


def test_nothing_of_another_content_is_ever_encrypted_under_the_key_of_the_one_that_was_planned(
    planned: tuple[Path, SealedSources, FileRecord],
) -> None:
    path, sources, record = planned
    sources.open_content(record).close()
    whole, seen = path.read_bytes(), path.stat()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    with pytest.raises(SourceFault, match="its hash should be"):
        sources.open_content(record)
    path.write_bytes(whole)  # it looks otherwise, and is what it was
    sources.open_content(record).close()
    path.unlink()
    with pytest.raises(SourceFault):
        sources.open_content(record)


class _Meddling(Silence):
    """Changes files as soon as all is planned."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change

    def start(self, items: int | None, total: int | None) -> None:
        """All is planned."""
        self._change()


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_file_that_changed_meanwhile_is_told_left_out_and_in_the_next_snapshot(
    top: Path, is_gone: bool
) -> None:
    names = {"sub-01/anat/scan.nii", "sub-02/small.nii"}

    def change() -> None:
        for name in names:
            path = top / "scans" / name
            whole = path.read_bytes()
            path.unlink()
            if not is_gone:
                path.write_bytes(whole[:-1] + b"!" + whole)

    archive = archive_of_folder(
        os.fsencode(top / "scans"), os.fsencode(top / "state"), encrypt=EncryptBy(),
        keys=KeyPlace(os.fsencode(top / "keys")),
    )  # fmt: skip
    write = os.fsencode(top / "pieces")
    outcomes = list(
        iter_archive_pack(archive, write=write, piece_size=4 << 20, progress=_Meddling(change))
    )
    told = {one.path: one.error.code for one in outcomes if one.error is not None}
    assert told == dict.fromkeys(names, "H905")
    assert "2 files: pack again to have them" in outcomes[-1].note
    done = _restore(top, "out", "--json")
    assert {path for path, status in _statuses(done) if status == "impossible"} == names
    assert done.code != 0 and not [path for path, status in _statuses(done) if status == "error"]
    must(top, HOLD, *PACK, *KEYS)
    assert _restore(top, "again").code == 0
    assert all_of(top / "again") == all_of(top / "scans")


def test_keys_are_not_kept_in_the_folder_nor_beside_the_notes(top: Path) -> None:
    for where in ("scans", "scans/sub/keys", "state/keys", "state"):
        done = hold(top, *PACK, "--encrypt", "--keys", where)
        assert done.code == 4 and "H932" in done.err, done.text
    for words in (("make", "."), ("import", ".", "none")):
        done = hold(top, "archive", "keys", *words, *STATE, "--keys", "state/keys")
        assert done.code == 4 and "it is noted what was packed" in done.err, done.text
    must(top, HOLD, *PACK, "--encrypt", *KEYS)
    done = hold(top, "archive", "keys", "export", ".", "state/mine", *STATE, *KEYS)
    assert done.code == 4 and not (top / "state/mine").exists()
    assert not (top / "scans/sub").exists() and not (top / "state/keys").exists()


def test_a_key_that_there_is_already_is_taken_before_the_first_pack(top: Path) -> None:
    home = {**environment(), "HOME": str(top / "home")}
    (top / "lab.key").write_text(encode_identity(bytes(range(32))) + "\n")
    (top / "lab.key").chmod(0o600)
    words = ("archive", "keys", "import", ".", "lab.key", *STATE)
    assert run_program([HOLD, *words], top, home).returncode == 0
    done = run_program([HOLD, *PACK, "--encrypt", "--json"], top, home)
    assert done.returncode == 0 and b'"action": "keys"' not in done.stdout, done.stderr
    done = hold(top, "archive", "restore", "pieces", "--to", "out", "--keys", "lab.key")
    assert done.code == 0, done.text
    assert all_of(top / "out") == all_of(top / "scans")


def test_where_no_archive_is_noted_there_are_no_keys_of_it(top: Path) -> None:
    for words in (("list",), ("export", ".", "x"), ("destroy", ".", "--force", "why")):
        done = hold(top, "archive", "keys", *words, "--state", "nothing")
        assert done.code == 4 and "no archive is noted in it" in done.err, done.text
    assert not (top / "nothing").exists()


def test_one_in_the_clear_does_not_become_an_encrypted_one(top: Path) -> None:
    must(top, HOLD, *PACK)
    done = hold(top, *PACK, "--encrypt", *KEYS)
    assert done.code == 4 and "begun in the clear" in done.text
    assert not (top / "keys").exists()
    done = hold(top, *PACK, *KEYS)
    assert done.code == 2 and "this archive is in the clear" in done.text


def test_without_its_keys_it_is_not_packed_on_and_no_key_takes_the_place_of_one(top: Path) -> None:
    must(top, HOLD, *PACK, "--encrypt", *KEYS)
    (top / "scans/new").write_text("new")
    shutil.move(top / "keys", top / "away")
    done = hold(top, *PACK, *KEYS)
    assert done.code == 4 and "was packed before" in done.text
    assert not list((top / "keys").glob("scope-*")) if (top / "keys").exists() else True
    shutil.move(top / "away", top / "keys")
    must(top, HOLD, *PACK, *KEYS)
    assert _restore(top, "out").code == 0
    assert all_of(top / "out") == all_of(top / "scans")


def test_its_pieces_are_served_from_the_folder(top: Path) -> None:
    keys = KeyPlace(os.fsencode(top / "keys"))
    scans, state = os.fsencode(top / "scans"), os.fsencode(top / "state")
    archive = archive_of_folder(scans, state, encrypt=EncryptBy(("sub-*",)), keys=keys)
    archive_pack(archive, write=os.fsencode(top / "pieces"), piece_size=4 << 20)
    chance = random.Random(SEED)
    served = ServedArchive(archive_of_folder(scans, state, keys=keys))
    for path in _pieces(top):
        piece = served.find_piece(parse_cid_text(path.stem))
        assert piece is not None
        data = path.read_bytes()
        assert b"".join(map(bytes, served.chunks(piece, 0, piece.size))) == data
        start, stop = sorted(chance.sample(range(piece.size), 2))
        assert b"".join(map(bytes, served.chunks(piece, start, stop))) == data[start:stop]
    (top / "scans/sub-01/anat/scan.nii").write_bytes(b"another one")
    with pytest.raises(Exception, match="not what was packed"):
        for piece in served.pieces():
            list(served.chunks(piece, 0, piece.size))


def test_where_the_notes_are_lost_pieces_and_keys_are_enough_to_go_on(top: Path) -> None:
    must(top, HOLD, *PACK, *BY, *KEYS)
    first = _pieces(top)
    shutil.move(top / "state", top / "lost")
    (top / "scans/new").write_text("new")
    must(top, HOLD, *PACK, *BY, *KEYS, "--known", "pieces")
    new = set(_pieces(top)) - set(first)
    assert sum(path.stat().st_size for path in new) < 10_000
    assert _restore(top, "out").code == 0
    assert all_of(top / "out") == all_of(top / "scans")
