"""The least that a kind of special remote can be: content in ``FOLDER/KEYFILE``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from holdfast.core import faults
from holdfast.core.abilities import Answer, Content, OnBytes, Stream
from holdfast.core.key import Key
from holdfast.core.place import Presence
from holdfast.core.policy import DropProof, Waiver
from holdfast.stores.special import Setup, SpecialRemote


class Folder:
    def __init__(self, remote: SpecialRemote) -> None:
        self.place = remote.place
        self.cost = remote.cost(100.0)
        self.folder = os.fsencode(remote.local["annex-directory"])

    def path(self, key: Key) -> bytes:
        return os.path.join(self.folder, key.file_name)

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        if not os.path.isdir(self.folder):
            return [Answer(Presence.UNKNOWN, "the folder is not there") for _ in keys]
        there = {True: Presence.PRESENT, False: Presence.ABSENT}
        return [Answer(there[os.path.exists(self.path(key))]) for key in keys]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        try:
            file = open(self.path(key), "rb")  # noqa: SIM115 (closed below)
        except FileNotFoundError:
            detail = "no such file"
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail=detail) from None
        with file:
            file.seek(offset)
            yield Stream(offset, None, iter(lambda: file.read(4096), b""))

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        staged = self.path(key) + b"." + os.urandom(6).hex().encode()
        try:
            with open(staged, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                    progress(len(chunk))
            os.rename(staged, self.path(key))
        finally:
            if os.path.exists(staged):
                os.unlink(staged)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        assert leave.key == key and leave.place == self.place.id
        if os.path.exists(self.path(key)):
            os.unlink(self.path(key))

    def close(self) -> None:
        pass


def open_store(remote: SpecialRemote) -> Folder:
    return Folder(remote)


def plan_setup(given: Mapping[str, str]) -> Setup:
    if "directory" not in given:
        raise faults.BAD_USAGE(what="directory= is missing")
    config = {word: value for word, value in given.items() if word != "directory"}
    return Setup(config, {"annex-directory": given["directory"]})


def prepare(remote: SpecialRemote) -> None:
    os.makedirs(remote.local["annex-directory"], exist_ok=True)
