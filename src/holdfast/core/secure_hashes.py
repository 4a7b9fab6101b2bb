"""annex.securehashesonly: what is kept where only hashes are trusted that nobody can forge. Pure.

As git-annex has it: content of other keys is neither taken in nor passed on; what is there already
stays, and fsck speaks of it.
"""

from __future__ import annotations

from . import faults
from .backends import is_secure, is_verifiable
from .errors import HoldError

SETTING = "annex.securehashesonly"

_BY_OTHER_MEANS = frozenset((b"VURL", b"GITBUNDLE"))
"""What git-annex counts as secure, since other keys or git vouch for it; we check neither."""


def is_demanded(here: str | None, shared: str | None) -> bool:
    """Whether the rule is set: in git's configuration, or, when that says nothing, the ledger's.

    What is neither true nor false does not set it. A name without a value is true to git; it looks
    here like an empty one.
    """
    if here is None:
        return shared is not None and _is_true(shared)
    return not here or _is_true(here)


def _is_true(value: str) -> bool:
    if value.lower() in ("true", "yes", "on"):
        return True
    digits = value.lstrip("+-")
    return digits.isdecimal() and int(digits) != 0


def is_secure_to_git_annex(backend: bytes) -> bool:
    """Whether git-annex trusts a key of this backend, not an external one."""
    return is_secure(backend) or backend in _BY_OTHER_MEANS


def refusal(name: str, backend: bytes) -> HoldError | None:
    """Why content is not let in under a key of this backend, or None; ``name`` is its file."""
    if is_secure(backend):
        return None
    shown = backend.decode("utf-8", "replace")
    return faults.INSECURE_HASH(name=name, backend=shown, weakness=weakness(backend))


def weakness(backend: bytes) -> str:
    """What is wrong with a backend that is not secure."""
    if backend in _BY_OTHER_MEANS:
        return "is checked by git-annex only"
    return "can be forged" if is_verifiable(backend) else "holds no hash that we know"
