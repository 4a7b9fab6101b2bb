"""Archives keep the contract of `Readable`, whatever kind they are of."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.core.abilities import Readable
from holdfast.core.key import Key
from holdfast.core.place import Place, Presence
from holdfast.stores.archive_files import open_archive
from holdfast.stores.archives import Archives
from holdfast.testing.store_contract import CONTENTS, OpenStore, ReadableContract
from holdfast.wire.archive_uris import ARCHIVES, Packed, encode

PLACE = Place(ARCHIVES, "datalad-archives")
BOX = Key(b"SHA256E-s1--00.tar")


def name_of(number: int) -> str:
    return f"./in/file {number}.dat"


def write_tar(path: Path, contents: Mapping[Key, bytes], mode: str) -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for number, content in enumerate(contents.values()):
            info = tarfile.TarInfo(name_of(number))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_zip(path: Path, contents: Mapping[Key, bytes], mode: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number, content in enumerate(contents.values()):
            file.writestr(name_of(number), content)


def opened(folder: Path, contents: Mapping[Key, bytes], *, here: bool = True) -> Readable:
    uris = {
        key: [encode(Packed(BOX, f"in/file {number}.dat".encode(), len(content)))]
        for number, (key, content) in enumerate(contents.items())
    }
    box = bytes(folder / "box")
    return Archives(
        PLACE,
        lambda keys: {key: uris[key] for key in keys if key in uris},
        lambda key: box if here and key == BOX else None,
        scratch=bytes(folder),
    )


@pytest.mark.parametrize("mode", ["w:", "w:gz", "zip"])
class TestArchives(ReadableContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path, mode: str) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            (write_zip if mode == "zip" else write_tar)(tmp_path / "box", contents, mode)
            return opened(tmp_path, contents)

        return make


@pytest.mark.parametrize("mode", ["w:bz2", "w:xz"])
def test_other_compressions_are_read_too(tmp_path: Path, mode: str) -> None:
    key, content = next(iter(CONTENTS.items()))
    write_tar(tmp_path / "box", {key: content[:5000]}, mode)
    with closing(open_archive(bytes(tmp_path / "box"), bytes(tmp_path))) as archive:
        assert b"".join(archive.iter_chunks(b"in/file 0.dat", 10)) == content[10:5000]


def test_of_an_archive_that_is_not_here_nobody_can_say(tmp_path: Path) -> None:
    store = opened(tmp_path, CONTENTS, here=False)
    answers = store.ask(list(CONTENTS))
    assert {answer.presence for answer in answers} == {Presence.UNKNOWN}
    assert "not here" in answers[0].remark


def test_a_member_of_another_size_is_no_copy(tmp_path: Path) -> None:
    write_tar(tmp_path / "box", dict.fromkeys(CONTENTS, b"other"), "w:")
    answers = opened(tmp_path, CONTENTS).ask(list(CONTENTS))
    assert {answer.presence for answer in answers} == {Presence.ABSENT}


def test_what_is_no_archive_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(b"no archive at all")
    answers = opened(tmp_path, CONTENTS).ask(list(CONTENTS))
    assert {answer.presence for answer in answers} == {Presence.UNKNOWN}
