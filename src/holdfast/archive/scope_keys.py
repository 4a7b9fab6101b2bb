"""The keys of an encrypted archive's scopes: in a folder outside of the repository, one for each.

``scope-NAME/identity`` is an age identity file, as `age-keygen` writes them; ``recipients`` has a
line for each key that can open what is packed; ``secret`` is what file keys and opaque names are
derived from, and stays where it is packed. ``log`` tells who made or destroyed what. Secrets are in
no message, no outcome and no command line.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from ..core import faults
from ..core.errors import HoldError, ProtocolError
from ..core.system_errors import as_fault, as_target_fault
from ..dataset.waivers import append_record
from ..wire.age_header import STANZAS_MAX, Primitives
from ..wire.age_keys import decode_identity, decode_recipient, encode_identity, encode_recipient
from .scopes import DATASET

SECRET_SIZE = 32
DATASET_TAG = "dataset"

IMPORTED = "imported"
SECRET_START = "AGE-SECRET-KEY-1"
KEY_TEXT_MAX = 1 << 16

_PREFIX = "scope-"
_FILES = ("secret", "identity", "recipients")
"""As they are destroyed: nothing is packed any more that a key gone halfway cannot open."""
_ENCRYPTED = ("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----")
_TAG = re.compile(r"# tag: ([0-9a-z]{1,40})")
_SAFE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class ScopeKey:
    """What a scope is packed with."""

    scope: str
    tag: str
    secret: bytes = field(repr=False)
    recipients: tuple[bytes, ...]

    @property
    def check(self) -> str:
        """Tells this secret from others, and nothing else of it."""
        return hmac.digest(self.secret, b"holdfast archive: check", "sha256")[:8].hex()


@dataclass(frozen=True)
class Identity:
    """What opens age files; ``tag`` is that of the scope it was made for, if that is told."""

    secret: bytes = field(repr=False)
    tag: str = ""


def keys_folder(config: str, dataset: str) -> bytes:
    """Where the keys of a data set are, unless told otherwise; ``config`` is the user's folder.

    Raises:
        AccessError: What is said to be the data set's id cannot be one.
    """
    if not _SAFE_ID.fullmatch(dataset):
        detail = "the id of the data set cannot be the name of a folder"
        raise faults.ARCHIVE_KEYS(path=config, detail=detail, next="name the folder: --keys FOLDER")
    return os.fsencode(os.path.join(config, "holdfast", "archive-keys", dataset))


class KeyFolder:
    """The folder."""

    def __init__(self, path: bytes, use: Primitives) -> None:
        self.path = path
        self._use = use

    def scopes(self) -> list[str]:
        """The scopes that have a key here, in order."""
        try:
            names = os.listdir(os.fsdecode(self.path))
        except FileNotFoundError:
            return []
        found = (
            unquote(name[len(_PREFIX) :], errors="surrogateescape")
            for name in names
            if name.startswith(_PREFIX)
        )
        return sorted(scope for scope in found if os.path.isdir(self._folder(scope)))

    def has(self, scope: str) -> bool:
        """Whether a scope can be packed."""
        return os.path.exists(self._folder(scope) + b"/secret")

    def key(self, scope: str) -> ScopeKey:
        """What a scope is packed with.

        Raises:
            AccessError: It is not here, not as it was made, or others can read it.
        """
        folder = self._folder(scope)
        try:
            secret = bytes.fromhex(_read(folder + b"/secret").strip())
            lines = _read(folder + b"/recipients").split()
            points = tuple(decode_recipient(line) for line in lines)
        except (ValueError, ProtocolError):
            raise self._unusable(folder, "secret or recipients are not as they were made") from None
        if len(secret) != SECRET_SIZE or not 0 < len(points) <= STANZAS_MAX:
            raise self._unusable(folder, "secret or recipients are not as they were made")
        return ScopeKey(scope, _tag(scope, secret), secret, points)

    def make(
        self, scope: str, new: bytes, secret: bytes, recipients: Sequence[str] = (), who: str = "",
        why: str = "",
    ) -> ScopeKey:  # fmt: skip
        """Make the key of a scope of two times 32 random bytes; others may open it, too.

        ``new`` may be the secret of an identity that somebody has already; ``why`` says so then.

        Raises:
            ConflictError: It has one.
            UsageError: One of the others is no recipient.
            AccessError: The folder has other things, and others can look into it.
        """
        folder = self._folder(scope)
        if os.path.lexists(folder):
            raise faults.ARCHIVE_HAS_KEY(scope=named(scope), path=os.fsdecode(folder))
        own = self._use.public(new)
        try:
            points = tuple(dict.fromkeys([own, *map(decode_recipient, recipients)]))
        except ProtocolError as error:
            raise faults.BAD_USAGE(what=f"--recipient: {error}", command="archive") from None
        if len(points) > STANZAS_MAX:
            what = f"--recipient: {len(points)} keys with the one made here, and {STANZAS_MAX} go"
            raise faults.BAD_USAGE(what=what, command="archive")
        key = ScopeKey(scope, _tag(scope, secret), secret, points)
        texts = [encode_recipient(point) for point in points]
        lines = [
            f"# created: {_now()}", f"# scope: {scope!r} of an archive of Holdfast",
            f"# tag: {key.tag}", f"# public key: {texts[0]}", encode_identity(new),
        ]  # fmt: skip
        temporary = self.path + b"/.new-" + os.path.basename(folder)
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            self._keep_to_us()
            _clear(temporary)
            os.mkdir(temporary, 0o700)
            _write(temporary + b"/identity", "\n".join(lines) + "\n")
            _write(temporary + b"/recipients", "\n".join(texts) + "\n")
            _write(temporary + b"/secret", secret.hex() + "\n")
            _sync_folder(temporary)
            self._log("made", scope, key.tag, who, why, texts)
            os.rename(temporary, folder)
            _sync_folder(self.path)
        except OSError as error:
            raise as_fault(error, os.fsdecode(folder)) from error
        return key

    def _keep_to_us(self) -> None:
        """Have nobody else look into the folder; one that has other things too is left as it is.

        Raises:
            AccessError: Others can, and it has other things.
        """
        if not stat.S_IMODE(os.stat(self.path).st_mode) & 0o077:
            return
        ours = (_PREFIX.encode(), b".new-" + _PREFIX.encode())
        if any(not name.startswith(ours) and name != b"log" for name in os.listdir(self.path)):
            raise faults.ARCHIVE_KEYS(
                path=os.fsdecode(self.path),
                detail="others can look into it, and there are other things than keys in it",
                next="name a folder for keys alone, or chmod 700 this one",
            )
        os.chmod(self.path, 0o700)

    def destroy(self, scope: str, who: str, why: str) -> list[str]:
        """Overwrite and remove the key of a scope; gives the other recipients, who have theirs.

        It is noted before. A run that was stopped may be made again.

        Raises:
            AccessError: There is none.
        """
        folder = self._folder(scope)
        if not os.path.isdir(folder):
            raise self._none_of(scope)
        try:
            others = _texts(folder)
            last = self._last().get(scope, {})  # of a run that was stopped, if its file is gone
            tag = next(_tags_in(folder), "") or last.get("tag", "")
            self._log("destroying", scope, tag, who, why, others)
            for name in _FILES:
                _destroy(folder + b"/" + name.encode())
            _clear(folder)
            _sync_folder(self.path)
            self._log("destroyed", scope, tag, who, why, others)
        except OSError as error:
            raise as_fault(error, os.fsdecode(folder)) from error
        return others[1:]

    def recipients(self, scope: str) -> list[str]:
        """Who can open what is packed of a scope; the key made here first."""
        return _texts(self._folder(scope))

    def identity_text(self, scope: str) -> str:
        """The identity of a scope as its file has it: a secret.

        Raises:
            AccessError: There is none, or others can read it.
        """
        folder = self._folder(scope)
        if not os.path.isfile(folder + b"/identity"):
            raise self._none_of(scope)
        return _read(folder + b"/identity")

    def destroyed(self) -> dict[str, dict[str, str]]:
        """What was destroyed, by the scope; a new key takes it from here again."""
        return {scope: one for scope, one in self._last().items() if one["what"] != "made"}

    def was_imported(self, scope: str) -> bool:
        """Whether its identity is that of somebody, who has it elsewhere."""
        return self._last("made").get(scope, {}).get("why") == IMPORTED

    def _last(self, only: str = "") -> dict[str, dict[str, str]]:
        """The last record of each scope, of all or of one kind."""
        import json  # late: most calls have no encrypted archive

        found: dict[str, dict[str, str]] = {}
        try:
            with open(self.path + b"/log", "rb") as file:  # of any length
                lines = file.read().splitlines()
        except OSError:
            return {}
        for line in lines:
            try:
                record = json.loads(line)
                if record["what"] == (only or record["what"]):
                    found[record["scope"]] = record
            except (ValueError, KeyError, TypeError):
                continue  # a line that a kill cut off
        return found

    def _log(
        self, what: str, scope: str, tag: str, who: str, why: str, recipients: Sequence[str]
    ) -> None:
        record = {
            "time": _now(), "what": what, "scope": scope, "tag": tag, "who": who, "why": why,
            "recipients": list(recipients),
        }  # fmt: skip
        append_record(self.path + b"/log", record)
        file = os.open(self.path + b"/log", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def _folder(self, scope: str) -> bytes:
        return (
            self.path + b"/" + (_PREFIX + quote(scope, safe="", errors="surrogateescape")).encode()
        )

    def _none_of(self, scope: str) -> HoldError:
        return faults.ARCHIVE_KEYS(
            path=os.fsdecode(self.path), detail=f"there is no key of {named(scope)}",
            next="hold archive keys list",
        )  # fmt: skip

    def _unusable(self, path: bytes, detail: str) -> HoldError:
        step = "bring the folder back from where you keep a copy of it"
        return faults.ARCHIVE_KEYS(path=os.fsdecode(path), detail=detail, next=step)


def named(scope: str) -> str:
    """What people know a scope by."""
    return "the archive" if scope == DATASET else scope


def read_identities(path: bytes) -> list[Identity]:
    """All age identities in a file, or in the files of a folder and of those in it.

    Raises:
        AccessError: There is none, they cannot be read, or anybody can.
    """
    found: list[Identity] = []
    for name in _iter_files(path):
        found += identities_in(_read(name), os.fsdecode(name))
    return found


def identities_in(text: str, path: str) -> list[Identity]:
    """All age identities in the text of a file; what is wrong is told without any of it.

    Raises:
        AccessError: One cannot be.
    """
    found, tag = [], ""
    for line in text.splitlines():
        if told := _TAG.match(line):
            tag = told[1]  # of the identity that follows, and of no other
        if line.startswith(SECRET_START):
            try:
                found.append(Identity(decode_identity(line.strip()), tag))
            except ProtocolError as error:
                step = "bring the file back from where you keep a copy of it"
                raise faults.ARCHIVE_KEYS(path=path, detail=str(error), next=step) from None
            tag = ""
    return found


def the_identity_in(text: str, path: str) -> Identity:
    """The one identity in a file as age-keygen writes it.

    Raises:
        AccessError: There is none, or another kind, or there are several.
    """
    found = identities_in(text, path)
    if len(found) == 1:
        return found[0]
    detail, step = "there is no X25519 identity of age in it", "age-keygen makes one"
    if len(found) > 1:
        detail = f"there are {len(found)} identities in it, and a scope has one"
        step = "give a file with one of them; the others as --recipient"
    elif text.startswith(_ENCRYPTED):
        detail = "it is encrypted itself"
        step = "age -d FILE | hold archive keys import SCOPE -"
    raise faults.ARCHIVE_KEYS(path=path, detail=detail, next=step)


def read_recipients(words: Sequence[str]) -> list[str]:
    """Recipients, given themselves or as files with a line for each.

    Raises:
        HoldError: A file cannot be read.
    """
    found = []
    for word in words:
        if word.lower().startswith("age1"):
            found.append(word)
            continue
        lines = map(str.strip, _read(os.fsencode(word), private=False).splitlines())
        found += [line for line in lines if line and not line.startswith("#")]
    return found


def read_key_text(path: bytes) -> str:
    """The text of a file with a secret, which others may not read.

    Raises:
        HoldError: It is not there, or is a pipe or the like, or others can read it.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise faults.ARCHIVE_KEYS(
            path=os.fsdecode(path), detail="it is no regular file",
            next="give a file, or - for standard input",
        )  # fmt: skip
    return _read(path)


def write_key_text(path: bytes, text: str) -> None:
    """Write a new file that only we can read.

    Raises:
        HoldError: Something is there, or it cannot be written.
    """
    try:
        _write(path, text)
    except OSError as error:
        raise as_target_fault(error, os.fsdecode(path)) from error


def _iter_files(path: bytes) -> Iterator[bytes]:
    if not os.path.isdir(path):
        yield path
        return
    for above, folders, names in os.walk(path):
        depth = above[len(path) :].count(b"/")
        folders[:] = sorted(folders) if depth < 1 else []
        for name in sorted(names):
            if name not in (b"secret", b"recipients", b"log"):
                yield above + b"/" + name


def _texts(folder: bytes) -> list[str]:
    try:
        return _read(folder + b"/recipients").split()
    except HoldError:
        return []


def _tags_in(folder: bytes) -> Iterator[str]:
    try:
        yield from _TAG.findall(_read(folder + b"/identity"))
    except HoldError:
        return


def _tag(scope: str, secret: bytes) -> str:
    """What stands for a scope in pieces: it tells nothing without the secret."""
    if scope == DATASET:
        return DATASET_TAG
    return hmac.digest(secret, b"holdfast archive: tag", "sha256")[:8].hex()


def _read(path: bytes, *, private: bool = True) -> str:
    """The text of a small file, which others may not read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            seen = os.fstat(file)
            is_open = private and stat.S_IMODE(seen.st_mode) & 0o077
            data = os.read(file, KEY_TEXT_MAX) if stat.S_ISREG(seen.st_mode) else b""
        finally:
            os.close(file)
    except OSError as error:
        raise as_fault(error, os.fsdecode(path), reading=True) from error
    if is_open:
        raise faults.ARCHIVE_KEYS(
            path=os.fsdecode(path),
            detail="others may read it",
            next=f"chmod 600 {os.fsdecode(path)}",
        )
    return data.decode("utf-8", "replace")


def _write(path: bytes, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)


def _destroy(path: bytes) -> None:
    """Overwrite a file, and remove it."""
    _overwrite(path)
    with suppress(FileNotFoundError):
        os.unlink(path)


def _overwrite(path: bytes) -> None:
    """Put other bytes where a file's are; they are on the disk afterwards."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(file).st_size
        for pattern in (os.urandom(size), bytes(size)):
            os.pwrite(file, pattern, 0)
            os.fsync(file)
    finally:
        os.close(file)


def _clear(folder: bytes) -> None:
    """Remove a folder of ours."""
    import shutil

    if os.path.isdir(folder):
        shutil.rmtree(folder)


def _sync_folder(path: bytes) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
