"""The cipher of a special remote: who can open it, the names it gives, how content is sealed.

What git-annex calls shared, hybrid, pubkey and sharedpubkey. Format: docs/formats/annex.md.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from ..core import faults
from ..core.backends import is_verifiable
from ..core.errors import AccessError, ProtocolError
from ..core.key import Key
from ..wire import openpgp
from .gpg import Gpg

SCHEMES = ("shared", "hybrid", "pubkey", "sharedpubkey")
MACS = ("HMACSHA1", "HMACSHA224", "HMACSHA256", "HMACSHA384", "HMACSHA512")
USUAL_MAC = "HMACSHA1"

_SYMMETRIC = ("shared", "hybrid")
_NAMING = 256
"""So many bytes name things in symmetric schemes; what follows is the passphrase."""


@dataclass(frozen=True)
class Cipher:
    """The secret of a special remote, and to whom content is encrypted where that is by keys."""

    scheme: str
    secret: bytes = field(repr=False)
    recipients: tuple[str, ...]
    mac: str

    @property
    def passphrase(self) -> bytes | None:
        """What content is encrypted under; None where it is encrypted to keys."""
        if self.scheme not in _SYMMETRIC:
            return None
        return self.secret[_NAMING:].partition(b"\n")[0]

    @cached_property
    def _naming(self) -> bytes:
        return self.secret[:_NAMING] if self.scheme in _SYMMETRIC else self.secret

    def name_of(self, key: Key) -> Key:
        """The key under which a place keeps the encrypted content of a key."""
        digest = hmac.new(self._naming, key, self.mac.removeprefix("HMAC").lower()).hexdigest()
        return Key.make(b"GPG" + self.mac.encode(), digest.encode())

    def randomness_of(self, key: Key) -> openpgp.Randomness:
        """What sets one message apart from others.

        It is the same each time for content that its key names for certain, so that a transfer
        that was broken off goes on with the same bytes; what it tells, equal content, the name
        tells already.
        """
        if is_verifiable(key.backend):
            raw = hmac.digest(self.secret, b"what sets messages apart: " + key, "sha256")
        else:
            raw = os.urandom(openpgp.RANDOM)
        return openpgp.Randomness(raw[: openpgp.SALT], raw[openpgp.SALT : openpgp.RANDOM])


def open_cipher(place: str, config: Mapping[str, str], gpg: Gpg) -> Cipher:
    """The cipher of a special remote; where gpg keys guard it, gpg is asked to open it.

    Raises:
        AccessError: It does not open here.
        PlaceUnavailableError: It is of a kind that is not known, or gpg is not installed.
    """
    scheme = config.get("encryption", "none")
    mac = config.get("mac", USUAL_MAC)
    try:
        raw = b64decode(config["cipher"], validate=True)
    except (KeyError, Base64Error):
        raise faults.NOT_DECRYPTED(place=place, detail="its cipher cannot be read") from None
    if scheme not in SCHEMES or mac not in MACS:
        raise faults.NO_WAY(place=place, kind=f"special remote with encryption={scheme} mac={mac}")
    if scheme in ("hybrid", "pubkey"):
        raw = b"".join(gpg.decrypt([raw]))
    named = config.get("pubkeys" if scheme == "sharedpubkey" else "cipherkeys", "")
    return Cipher(scheme, raw, tuple(filter(None, named.split(","))), mac)


def new_cipher(
    place: str, scheme: str, recipients: tuple[str, ...], mac: str, gpg: Gpg
) -> tuple[Cipher, dict[str, str]]:
    """Make a cipher, and what of it goes to the configuration that all clones share.

    Raises:
        AccessError: gpg does not encrypt to these keys.
    """
    # As git-annex makes them: base64 of random bytes, and a line's end.
    size = 256 if scheme == "pubkey" else 512
    secret = b64encode(os.urandom(size)) + b"\n"
    cipher = Cipher(scheme, secret, recipients, mac)
    guarded = scheme in ("hybrid", "pubkey")
    kept = b"".join(gpg.encrypt_to(recipients, [secret])) if guarded else secret
    config = {"encryption": scheme, "cipher": b64encode(kept).decode()}
    if mac != USUAL_MAC:
        config["mac"] = mac
    if recipients:
        config["pubkeys" if scheme == "sharedpubkey" else "cipherkeys"] = ",".join(recipients)
    return cipher, config


class Sealer:
    """Encrypts and decrypts with one cipher, by ourselves where that can be, else by gpg."""

    def __init__(self, place: str, cipher: Cipher, gpg: Gpg) -> None:
        self._place = place
        self._gpg = gpg
        self.cipher = cipher
        self._aes = _aes() if cipher.passphrase is not None else None

    def knows_size(self, size: int) -> bool:
        """Whether the sealed size is known before, and the bytes are the same each time."""
        return self._aes is not None and size <= openpgp.SIZE_MAX

    def seal(
        self, chunks: Iterable[bytes], size: int, randomness: openpgp.Randomness
    ) -> Iterator[bytes]:
        """Encrypt; the last bytes come after the last chunk was taken."""
        passphrase = self.cipher.passphrase
        if passphrase is None:
            return self._gpg.encrypt_to(self.cipher.recipients, chunks)
        if self._aes is None or size > openpgp.SIZE_MAX:
            return self._gpg.encrypt(passphrase, chunks)
        return openpgp.seal(chunks, size, passphrase, randomness, self._aes)

    def unseal(self, chunks: Iterator[bytes], key: Key) -> Iterator[bytes]:
        """Decrypt; what comes is to be believed only once it ended without an error.

        Raises:
            IntegrityError: It is not what was encrypted.
        """
        passphrase = self.cipher.passphrase
        if passphrase is None:
            yield from self._gpg.decrypt(chunks)
            return
        try:
            yield from self._open(chunks, passphrase)
        except (ProtocolError, AccessError) as error:
            if error.code not in ("", faults.NOT_DECRYPTED.code):
                raise
            detail = error.why or str(error)
            raise faults.CHANGED_THERE(place=self._place, key=key.text, detail=detail) from None

    def _open(self, chunks: Iterator[bytes], passphrase: bytes) -> Iterator[bytes]:
        if self._aes is None:
            yield from self._gpg.decrypt(chunks, passphrase)
            return
        kept = _Kept(chunks)
        try:
            for chunk in openpgp.unseal(kept, passphrase, self._aes):
                kept.forget()
                yield chunk
        except openpgp.NotForUs:
            if kept.seen is None:
                raise
            yield from self._gpg.decrypt(kept.again(), passphrase)


class _Kept:
    """Chunks as they pass, kept until the first bytes came out of them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.seen: list[bytes] | None = []

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self.seen is not None:
                self.seen.append(chunk)
            yield chunk

    def forget(self) -> None:
        """Nobody will want them once more."""
        self.seen = None

    def again(self) -> Iterator[bytes]:
        """From the first chunk on."""
        yield from self.seen or ()
        yield from self._chunks


class _Aes:
    """AES by the package `cryptography`."""

    def encryptor(self, key: bytes) -> openpgp.Crypt:
        """A stream that encrypts."""
        return cast(openpgp.Crypt, _cfb(key).encryptor().update)

    def decryptor(self, key: bytes) -> openpgp.Crypt:
        """A stream that decrypts."""
        return cast(openpgp.Crypt, _cfb(key).decryptor().update)


def _cfb(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher as Stream
    from cryptography.hazmat.primitives.ciphers.algorithms import AES

    try:
        from cryptography.hazmat.decrepit.ciphers.modes import CFB
    except ImportError:  # before release 47
        from cryptography.hazmat.primitives.ciphers.modes import CFB
    return Stream(AES(key), CFB(b"\0" * openpgp.BLOCK))


def _aes() -> openpgp.Aes | None:
    """Our own AES, None where the package for it is not installed."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        return None
    return _Aes()
