"""Encrypted content and names, as git-annex has them: wraps any place.

A place sees names that tell nothing, and OpenPGP messages. What is sent is checked before its last
bytes go, what comes is checked by whoever takes it in. Reading starts at the beginning always.
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from ..core import faults
from ..core.abilities import Answer, BulkSendable, Content, OnBytes, Store, Stream
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..wire import openpgp
from .cipher import Sealer, open_cipher
from .gpg import Gpg
from .lanes import iter_fetched, iter_sent
from .special import SpecialRemote

_READ = 1 << 20


def encrypted(inner: Store, remote: SpecialRemote) -> Encrypted:
    """Wrap a place by its configuration; gpg keys are asked for when a name is first needed."""
    gpg = Gpg(remote.place.label, gpg_options(remote))

    def open_sealer() -> Sealer:
        label = remote.place.label
        return Sealer(label, open_cipher(label, remote.config, gpg), gpg)

    return Encrypted(inner, open_sealer)


def gpg_options(remote: SpecialRemote) -> list[str]:
    """What a person wants gpg to be told when it encrypts for a place."""
    return remote.local.get("annex-gnupg-options", "").split()


class Encrypted:
    """A place that knows neither names nor contents."""

    def __init__(self, inner: Store, open_sealer: Callable[[], Sealer]) -> None:
        self._inner = inner
        self._open_sealer = open_sealer
        self._lock = threading.Lock()

    @property
    def place(self) -> Place:
        """Which place this is."""
        return self._inner.place

    @property
    def cost(self) -> float:
        """That of the place itself."""
        return self._inner.cost

    def close(self) -> None:
        """Let go of the place itself."""
        self._inner.close()

    @cached_property
    def _opened(self) -> Sealer:
        return self._open_sealer()

    @property
    def _sealer(self) -> Sealer:
        with self._lock:
            return self._opened

    def _name(self, key: Key) -> Key:
        return self._sealer.cipher.name_of(key)

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, under its secret name."""
        if not keys:
            return []
        try:
            names = [self._name(key) for key in keys]
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, f"{error.what} ({error.why})") for _ in keys]
        return self._inner.ask(names)

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from its start.

        Raises:
            IntegrityError: It is not what was encrypted; raised at the end of the stream, too.
        """
        sealer, name = self._sealer, self._name(key)
        try:
            with self._inner.open_content(name) as stream:
                if stream.offset:
                    detail = f"asked for the start it starts at {stream.offset}"
                    raise faults.BAD_ANSWER(place=self.place.label, detail=detail)
                yield Stream(0, None, sealer.unseal(stream.chunks, key))
        except NotFoundError as error:
            if error.code != faults.NOT_THERE.code:
                raise
            raise faults.NOT_THERE(
                place=self.place.label, key=key.text, detail=error.why
            ) from error

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream many, small ones fetched and decrypted ahead."""
        return iter_fetched(self, keys)

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content there, encrypted."""
        self._need("send")
        with Sealed(self._sealer, key, content, progress) as sealed:
            self._inner.send(self._name(key), sealed, _nobody)
            sealed.sent()

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put many contents there, as the place itself takes many."""
        if not isinstance(self._inner, BulkSendable):
            yield from iter_sent(lambda key, content: self.send(key, content, progress), items)
            return
        on_way: dict[Key, Sealed] = {}
        try:
            for name, error in self._inner.iter_send(self._seal(items, on_way, progress), _nobody):
                with on_way.pop(name) as sealed:
                    if error is None:
                        sealed.sent()
                    yield sealed.key, error
        finally:
            for sealed in on_way.values():
                sealed.close()

    def _seal(
        self,
        items: Iterable[tuple[Key, Content]],
        on_way: dict[Key, Sealed],
        progress: OnBytes,
    ) -> Iterator[tuple[Key, Content]]:
        for key, content in items:
            name = self._name(key)
            on_way[name] = sealed = Sealed(self._sealer, key, content, progress)
            yield name, sealed

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove what is there under the secret name."""
        self._need("remove")
        name = self._name(key)
        self._inner.remove(name, leave._replace(key=name))

    def _need(self, ability: str) -> None:
        if not hasattr(self._inner, ability):
            label = self.place.label
            raise faults.NO_WAY(place=label, kind="special remote that can only be read")


class Sealed:
    """Content, encrypted on its way out; see `core.abilities.Content`. Close it.

    Progress is told of the bytes of the content itself.
    """

    def __init__(self, sealer: Sealer, key: Key, content: Content, progress: OnBytes) -> None:
        self.key = key
        self._sealer = sealer
        self._content = content
        self._progress = progress
        self._randomness = sealer.cipher.randomness_of(key)
        self._told = 0
        self._file: tempfile._TemporaryFileWrapper[bytes] | None = None

    @property
    def size(self) -> int:
        """How many bytes it has, encrypted."""
        if self._sealer.knows_size(self._content.size):
            return openpgp.sealed_size(self._content.size)
        path = self.path()
        with open(path, "rb") as file:
            return file.seek(0, 2)

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The encrypted bytes from an offset; the last come once the content was found right."""
        if self._file is None and not self._sealer.knows_size(self._content.size):
            self.path()
        whole = self._iter_sealed() if self._file is None else self._iter_file()
        for chunk in whole:
            if offset < len(chunk):
                yield chunk[offset:]
            offset = max(0, offset - len(chunk))

    def path(self) -> bytes:
        """A file with the encrypted bytes, which lives until this is closed."""
        if self._file is None:
            file = tempfile.NamedTemporaryFile(prefix="sealed-")  # noqa: SIM115
            try:
                file.writelines(self._iter_sealed())
                file.flush()
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file.name.encode()

    def sent(self) -> None:
        """All is there: tell of what nobody was told of yet."""
        if self._told != self._content.size:
            self._progress(self._content.size - self._told)
            self._told = self._content.size

    def close(self) -> None:
        """Remove the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Sealed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _iter_sealed(self) -> Iterator[bytes]:
        if self._told:
            self._progress(-self._told)
            self._told = 0
        content = self._content
        return self._sealer.seal(self._iter_told(), content.size, self._randomness)

    def _iter_told(self) -> Iterator[bytes]:
        for chunk in self._content.chunks():
            self._told += len(chunk)
            self._progress(len(chunk))
            yield chunk

    def _iter_file(self) -> Iterator[bytes]:
        with open(self.path(), "rb") as file:
            while chunk := file.read(_READ):
                yield chunk


def _nobody(size: int) -> None:
    """Sizes of encrypted bytes are of no interest to people."""
