"""The gpg program: content through it as a stream; secrets go by a pipe, never by words."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from ..core import faults

_STEP = 1 << 18
_GOOD_BYE_S = 10.0
_ALWAYS = ("--batch", "--no-tty", "--quiet", "--trust-model", "always")


class Gpg:
    """Encrypts and decrypts; one process for each content."""

    def __init__(self, place: str, options: Sequence[str] = ()) -> None:
        """``options`` are a person's own, for encryption (annex-gnupg-options)."""
        self._place = place
        self._options = options

    def encrypt_to(self, recipients: Sequence[str], chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Encrypt to public keys."""
        named = [word for recipient in recipients for word in ("--recipient", recipient)]
        words = ["--no-encrypt-to", "--no-default-recipient", *self._options, *named, "--encrypt"]
        return self._run(words, chunks)

    def encrypt(self, passphrase: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Encrypt under a passphrase."""
        words = ["--cipher-algo", "AES256", "--s2k-count", "65536", *self._options, "--symmetric"]
        return self._run(words, chunks, passphrase)

    def decrypt(self, chunks: Iterable[bytes], passphrase: bytes | None = None) -> Iterator[bytes]:
        """Decrypt, under a passphrase or with the secret keys of the person."""
        return self._run(["--decrypt"], chunks, passphrase)

    def _run(
        self, words: Sequence[str], chunks: Iterable[bytes], passphrase: bytes | None = None
    ) -> Iterator[bytes]:
        program = shutil.which("gpg")
        if program is None:
            raise faults.NEEDS(place=self._place, what="the program gpg", how="install GnuPG")
        secret: tuple[int, ...] = ()
        if passphrase is not None:
            secret = (_pipe_with(passphrase),)
            loop = ["--pinentry-mode", "loopback", "--passphrase-fd", str(secret[0])]
            words = [*loop, *words]
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    [program, *_ALWAYS, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=said, pass_fds=secret,
                )  # fmt: skip
            finally:
                for descriptor in secret:
                    os.close(descriptor)
            feeder = _Feeder(process, chunks)
            try:
                assert process.stdout is not None
                while chunk := process.stdout.read1(_STEP):  # type: ignore[attr-defined]
                    yield chunk
                feeder.finish()
                if process.wait():
                    said.seek(0)
                    raise self._failed(said.read(4096))
            finally:
                _end(process)
                feeder.leave()

    def _failed(self, said: bytes) -> Exception:
        lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        detail = lines[-1] if lines else "gpg failed"
        return faults.NOT_DECRYPTED(place=self._place, detail=detail)


class _Feeder:
    """Gives a process its input from a thread, so that neither waits for the other."""

    def __init__(self, process: subprocess.Popen[bytes], chunks: Iterable[bytes]) -> None:
        self._process = process
        self._chunks = chunks
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            for chunk in self._chunks:
                stdin.write(chunk)
        except BrokenPipeError:
            pass  # it ended by itself, and tells why
        except BaseException as error:
            # Killed before its input ends: it must not take for whole what is not.
            self._error = error
            self._process.kill()
        finally:
            with suppress(OSError):
                stdin.close()

    def finish(self) -> None:
        """Wait for it, and raise what stopped it."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Give it a moment to see that nobody reads any more."""
        self._thread.join(_GOOD_BYE_S)


def _pipe_with(secret: bytes) -> int:
    """The reading end of a pipe that holds a short secret."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(secret + b"\n")
    return reading


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    if process.stdout is not None:
        process.stdout.close()
    process.wait()
