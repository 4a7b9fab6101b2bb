"""X25519 and ChaCha20-Poly1305 by the package `cryptography`, which is an extra of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import faults
from ..core.errors import IntegrityError, ProtocolError

if TYPE_CHECKING:
    from ..wire.age_header import Primitives


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
    def x25519(self, secret: bytes, point: bytes) -> bytes:
        """The shared secret."""
        from cryptography.hazmat.primitives.asymmetric import x25519

        private = x25519.X25519PrivateKey.from_private_bytes(secret)
        try:
            return private.exchange(x25519.X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise ProtocolError("an age stanza whose point is of low order") from None

    def public(self, secret: bytes) -> bytes:
        """The point of a secret."""
        from cryptography.hazmat.primitives.asymmetric import x25519

        return x25519.X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()

    def seal(self, key: bytes, nonce: bytes, data: bytes | memoryview) -> bytes:
        """ChaCha20-Poly1305; the tag comes last."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        return ChaCha20Poly1305(key).encrypt(nonce, data, None)

    def open(self, key: bytes, nonce: bytes, data: bytes | memoryview) -> bytes:
        """The reverse."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            return ChaCha20Poly1305(key).decrypt(nonce, data, None)
        except InvalidTag:
            raise IntegrityError("it was not sealed so") from None
