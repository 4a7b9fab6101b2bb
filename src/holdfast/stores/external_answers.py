"""What a program for a special remote asks its host, answered from what the data set knows."""

from __future__ import annotations

import binascii
import os
import threading
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping

from ..core.clock import SECOND, Moment, parse_moment
from ..core.errors import RemoteProtocolError
from ..core.key import Key, hash_dir_lower, hash_dir_mixed
from ..core.place import WEB
from ..wire import branch_paths, logs
from ..wire.external_remote import Message, say
from ..wire.logs import LocationState
from .special import Credentials, SpecialRemote

_TALK_KEPT = 5
_SECRET_MIN = 4


class Answers:
    """Answers for all conversations with a place's programs. Threads may share it.

    What a program sets in the configuration lasts as long as this, as with git-annex; what makes
    it last longer is told to ``remote.on_config`` (see `stores.special.SpecialRemote`).
    """

    def __init__(self, remote: SpecialRemote) -> None:
        """For the programs of one place."""
        self.remote = remote
        self.config = dict(remote.config)
        self.talk: deque[str] = deque(maxlen=_TALK_KEPT)
        """What they told people lately."""
        self._wanted = remote.wanted
        self._secrets: set[str] = set()
        self._lock = threading.Lock()

    def masked(self, words: str) -> str:
        """Words for people without the secrets that were handed over."""
        with self._lock:
            for secret in self._secrets:
                words = words.replace(secret, "…")
        return words

    # questions

    def answer(self, question: Message) -> list[Message]:
        """What to say to a question.

        Raises:
            RemoteProtocolError: We never said that we could answer it.
        """
        name, parts = question.name, question.parts
        if name == "GETURLS":
            return [*(say("VALUE", url) for url in self._urls(*parts)), say("VALUE", b"")]
        if name == "GETCREDS":
            user, password = self._credentials(question.text()) or ("", "")
            return [say("CREDS", _bytes(user), _bytes(password))]
        if name == "DOWNLOAD-URL":
            raise RemoteProtocolError("it asks for a download, which was not agreed on")
        return [say("VALUE", self._value(name, parts))]

    def _value(self, name: str, parts: tuple[bytes, ...]) -> bytes:
        match name:
            case "DIRHASH":
                return hash_dir_mixed(Key(parts[0])) + b"/"
            case "DIRHASH-LOWER":
                return hash_dir_lower(Key(parts[0])) + b"/"
            case "GETCONFIG":
                return _bytes(self.config.get(_text(parts[0]), ""))
            case "GETUUID":
                return self.remote.place.id.encode()
            case "GETGITDIR":
                return git_dir(self.remote)
            case "GETGITREMOTENAME":
                return _bytes(self.remote.place.name)
            case "GETWANTED":
                return _bytes(self._wanted)
            case _:
                assert name == "GETSTATE", name
                return self._state(Key(parts[0]))

    def _state(self, key: Key) -> bytes:
        found = self.remote.notes.read(branch_paths.place_state_log, [key]).get(key, b"")
        return logs.parse_place_map(found).get(self.remote.place.id, b"")

    def _urls(self, key: bytes, prefix: bytes) -> list[bytes]:
        found = self.remote.notes.read(branch_paths.url_log, [Key(key)]).get(Key(key), b"")
        # What is for programs is kept with a colon before it.
        urls = [url.removeprefix(b":") for url in logs.parse_urls(found)]
        return [url for url in urls if url.startswith(prefix)]

    def _credentials(self, setting: str) -> Credentials | None:
        found = read_credentials(self._credentials_file(setting))
        if found is None:
            found = embedded_credentials(self.config, setting)
        if found is not None:
            self._keep_secret(found)
        return found

    def _keep_secret(self, pair: Credentials) -> None:
        # A shorter one would be found in every other word, and tell more than it hides.
        if len(pair[1]) >= _SECRET_MIN:
            with self._lock:
                self._secrets.add(pair[1])

    def _credentials_file(self, setting: str) -> bytes:
        name = f"{self.remote.place.id}-{setting}".replace("/", "_")
        return os.path.join(self.remote.annex_dir, b"creds", _bytes(name))

    # what is only told

    def take(self, told: Message) -> None:
        """Keep what a program tells, but for its progress."""
        name, parts = told.name, told.parts
        if name in ("INFO", "DEBUG"):
            self.talk.append(told.text())
        elif name == "SETCONFIG":
            self._set_config(told.text(0), told.text(1))
        elif name == "SETCREDS":
            self._set_credentials(told.text(0), (told.text(1), told.text(2)))
        elif name == "SETWANTED":
            self._wanted = told.text()
            self.remote.on_wanted(self._wanted)
        elif name == "SETSTATE":
            self._set_state(Key(parts[0]), parts[1])
        elif name.startswith("SETUR"):
            colon = b":" if name.startswith("SETURI") else b""
            self._set_url(Key(parts[0]), colon + parts[1], there=name.endswith("PRESENT"))

    def _set_config(self, name: str, value: str) -> None:
        self.config[name] = value
        self.remote.on_config(name, value)

    def _set_credentials(self, setting: str, pair: Credentials) -> None:
        self._keep_secret(pair)
        write_credentials(self._credentials_file(setting), pair)
        plain = self.config.get("encryption", "none") == "none"
        if self.config.get("embedcreds") == "yes" and plain:
            self._set_config(setting, b64encode(_lines(pair)).decode("ascii"))

    def _set_state(self, key: Key, state: bytes) -> None:
        place = self.remote.place.id.encode()
        self.remote.notes.edit(
            branch_paths.place_state_log,
            key,
            lambda data: logs.set_map_log(data, place, state, _now()),
        )

    def _set_url(self, key: Key, url: bytes, *, there: bool) -> None:
        """Register a URL, or withdraw it; for the web this also says whether content is there."""
        state = LocationState.PRESENT if there else LocationState.MISSING
        notes = self.remote.notes
        notes.edit(branch_paths.url_log, key, lambda data: logs.set_url(data, url, state, _now()))
        if url.startswith(b":") or (not there and any(_is_web(u) for u in self._all_urls(key))):
            return
        notes.edit(
            branch_paths.location_log,
            key,
            lambda data: logs.set_location(data, WEB, state, _now()),
        )

    def _all_urls(self, key: Key) -> list[bytes]:
        found = self.remote.notes.read(branch_paths.url_log, [key]).get(key, b"")
        return logs.parse_urls(found)


def git_dir(remote: SpecialRemote) -> bytes:
    """The git folder of the clone, in full."""
    return os.path.dirname(os.path.abspath(remote.annex_dir))


def embedded_credentials(config: Mapping[str, str], setting: str) -> Credentials | None:
    """Credentials that everybody with the data set may have (``embedcreds=yes``, no encryption)."""
    if config.get("encryption", "none") != "none":
        return None
    try:
        return _pair(b64decode(config.get(setting, ""), validate=True))
    except (binascii.Error, ValueError):
        return None


def read_credentials(path: bytes) -> Credentials | None:
    """The pair in a file of ``annex/creds``; None when there is no such file."""
    try:
        with open(path, "rb") as file:
            return _pair(file.read())
    except FileNotFoundError:
        return None


def write_credentials(path: bytes, pair: Credentials) -> None:
    """Keep a pair as git-annex does: two lines, for the eyes of the owner alone."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    staged = b"%b.%d" % (path, os.getpid())
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(_lines(pair))
    os.rename(staged, path)


def _lines(pair: Credentials) -> bytes:
    return b"".join(_bytes(word) + b"\n" for word in pair)


def _pair(data: bytes) -> Credentials | None:
    user, line, rest = data.partition(b"\n")
    return (_text(user), _text(rest.removesuffix(b"\n"))) if line else None


def _is_web(url: bytes) -> bool:
    return not url.startswith(b":")


def _now() -> Moment:
    clock = os.environ.get("GIT_ANNEX_VECTOR_CLOCK")
    given = parse_moment(clock.encode()) if clock else None
    return given if given is not None else Moment(int(time.time()) * SECOND)


def _bytes(words: str) -> bytes:
    return words.encode("utf-8", "surrogateescape")


def _text(words: bytes) -> str:
    return words.decode("utf-8", "surrogateescape")
