"""X25519 and ChaCha20-Poly1305 by the package `cryptography`, which is an extra of ours."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ..core import faults
from ..core.errors import IntegrityError, ProtocolError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    from ..wire.age_header import Cipher, Primitives

_POINTS = 64


def primitives() -> Primitives:
    """What age files are made and opened with.

    Raises:
        PlaceUnavailableError: The package is not installed.
    """
    try:
        import cryptography.hazmat.primitives.asymmetric.x25519  # noqa: F401
    except ImportError:
        raise faults.NO_CRYPTOGRAPHY() from None
    return _Cryptography()


class _Cryptography:
    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import x25519
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._private = x25519.X25519PrivateKey.from_private_bytes
        # The few points of recipients are asked for with every file.
        self._point = lru_cache(maxsize=_POINTS)(x25519.X25519PublicKey.from_public_bytes)
        self._aead = ChaCha20Poly1305

    def x25519(self, secret: bytes, point: bytes) -> bytes:
        """The shared secret."""
        return self.agree(secret, point)[1]

    def public(self, secret: bytes) -> bytes:
        """The point of a secret."""
        return self._private(secret).public_key().public_bytes_raw()

    def agree(self, secret: bytes, point: bytes) -> tuple[bytes, bytes]:
        """Both of these."""
        private = self._private(secret)
        try:
            shared = private.exchange(self._point(point))
        except ValueError:
            raise ProtocolError("an age stanza whose point is of low order") from None
        return private.public_key().public_bytes_raw(), shared

    def cipher(self, key: bytes) -> Cipher:
        """ChaCha20-Poly1305 under a key."""
        return _Cipher(self._aead(key))


class _Cipher:
    __slots__ = ("_aead",)

    def __init__(self, aead: ChaCha20Poly1305) -> None:
        self._aead = aead

    def seal(self, nonce: bytes, data: bytes | memoryview) -> bytes:
        """What is sealed; the tag comes last."""
        return self._aead.encrypt(nonce, data, None)

    def open(self, nonce: bytes, data: bytes | memoryview) -> bytes:
        """The reverse."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead.decrypt(nonce, data, None)
        except InvalidTag:
            raise IntegrityError("it was not sealed so") from None
