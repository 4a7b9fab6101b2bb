"""What `git-annex-remote-holdfast` does for its host: one of our stores behind each request."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

from ..core import faults
from ..core.abilities import Readable, Store
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, PlaceId, Presence
from ..core.policy import Waiver
from ..stores import holdfast_kind
from ..stores.special import Credentials, LogOf, SpecialRemote
from ..stores.url_store import UrlStore
from ..transfer.to_file import bring_to_file, content_at
from ..wire.external_remote import Message, one_line, say
from .pieces import open_pieces
from .program_exports import ExportedPlace
from .program_talk import Talk, reason

TELL_EVERY_S = 0.1
"""How often progress is told, at most."""

_LEAVE = "it asked its program to remove a copy, having proven that it may"


class Service:
    """One place, served to one host. Requests may come from several threads at a time."""

    def __init__(
        self, environment: Mapping[str, str], settings_of: Callable[[str], Mapping[str, str]]
    ) -> None:
        """Nothing is opened yet; ``settings_of`` gives this clone's settings of a remote."""
        self.host_extensions: frozenset[str] = frozenset()
        self._environment = environment
        self._settings_of = settings_of
        self._store: Readable | None = None
        self._config: dict[str, str] = {}
        self._exports = ExportedPlace()
        self._lock = threading.Lock()

    def carry_out(self, request: Message, talk: Talk) -> None:
        """Do what is asked, and say how it ended; an error of ours becomes an answer."""
        serve = self._requests.get(request.name)
        if serve is None:
            talk.say(say("UNSUPPORTED-REQUEST"))
            return
        serve(request, talk)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()
        self._exports.close()

    @cached_property
    def _requests(self) -> dict[str, Callable[[Message, Talk], None]]:
        return {
            "LISTCONFIGS": self._list_configs,
            "INITREMOTE": self._initialise,
            "PREPARE": self._prepare,
            "TRANSFER": self._transfer,
            "CHECKPRESENT": self._check_present,
            "REMOVE": self._remove,
            "GETCOST": self._cost,
            "GETAVAILABILITY": self._availability,
            "WHEREIS": self._whereis,
            "GETINFO": self._info,
            "EXPORTSUPPORTED": lambda _, talk: talk.say(say("EXPORTSUPPORTED-SUCCESS")),
            "EXPORT": self._exports.take_name,
            "TRANSFEREXPORT": self._transfer_export,
            "CHECKPRESENTEXPORT": self._exports.check_present,
            "REMOVEEXPORT": self._exports.remove,
            "RENAMEEXPORT": self._exports.rename,
            "IMPORTSUPPORTED": lambda _, talk: talk.say(say("IMPORTSUPPORTED-FAILURE")),
            "CLAIMURL": lambda _, talk: talk.say(say("CLAIMURL-FAILURE")),
        }

    # setting up

    def _list_configs(self, _: Message, talk: Talk) -> None:
        for word, what in holdfast_kind.describe_words().items():
            talk.say(say("CONFIG", word.encode(), one_line(what)))
        talk.say(say("CONFIGEND"))

    def _initialise(self, _: Message, talk: Talk) -> None:
        try:
            given = _config(talk)
            config = holdfast_kind.plan_config(given)
            credentials = self._credentials(given, talk)
            remote = self._remote(config, credentials, talk)
            holdfast_kind.prepare_inner(replace(remote, on_config=config.__setitem__))
        except (HoldError, OSError) as error:
            talk.say(say("INITREMOTE-FAILURE", reason(error)))
            return
        for word in sorted(config):
            if config[word] != given.get(word) and word in holdfast_kind.ALL_WORDS:
                talk.say(say("SETCONFIG", word.encode(), _bytes(config[word])))
        if credentials is not None:
            setting = holdfast_kind.CREDENTIALS.encode()
            talk.say(say("SETCREDS", setting, *map(_bytes, credentials)))
        talk.say(say("INITREMOTE-SUCCESS"))

    def _prepare(self, _: Message, talk: Talk) -> None:
        try:
            with self._lock:
                if self._store is None:
                    self._config = _config(talk)
                    credentials = self._credentials(self._config, talk)
                    remote = self._remote(self._config, credentials, talk)
                    if self._config.get(holdfast_kind.EXPORTS) == "yes":
                        remote = replace(remote, paths_of=self._exports.paths_of)
                        self._exports.tree = holdfast_kind.open_inner_tree(remote)
                    self._store = holdfast_kind.open_inner(remote)
        except (HoldError, OSError) as error:
            talk.say(say("PREPARE-FAILURE", reason(error)))
            return
        talk.say(say("PREPARE-SUCCESS"))

    def _remote(
        self, config: Mapping[str, str], credentials: Credentials | None, talk: Talk
    ) -> SpecialRemote:
        name = ""
        if "GETGITREMOTENAME" in self.host_extensions:
            name = talk.ask(say("GETGITREMOTENAME")).text()
        uuid = PlaceId(talk.ask(say("GETUUID")).text())
        folder = os.path.abspath(talk.ask(say("GETGITDIR")).last)
        settings = self._settings_of(name) if name else {}
        return SpecialRemote(
            Place(uuid, name or holdfast_kind.NAME), config, settings,
            os.path.join(folder, b"annex"), _NoNotes(), credentials=lambda: credentials,
            environment=self._environment, allowed_addresses=settings.get(ALLOWED, ""),
            open_pieces=open_pieces,
        )  # fmt: skip

    def _credentials(self, config: Mapping[str, str], talk: Talk) -> Credentials | None:
        """Those of the environment, or those that the host keeps for us."""
        kind = holdfast_kind.login_kind(config)
        if kind not in holdfast_kind.VARIABLES:
            return None
        found = holdfast_kind.from_environment(kind, self._environment)
        if found is None:
            kept = talk.ask(say("GETCREDS", holdfast_kind.CREDENTIALS.encode()))
            found = (kept.text(0), kept.text(1)) if kept.parts[0] else None
        return found

    # content

    def _transfer(self, request: Message, talk: Talk) -> None:
        way, key = request.parts[0], Key(request.parts[1])
        try:
            if way == b"STORE":
                self._send(key, request.last, talk)
            elif self._host_brings and (url := self._url(key)) is not None:
                talk.say(say("TRANSFER-RETRIEVE-URL", key, _bytes(url)))
                return
            else:
                bring_to_file(self._opened, key, request.last, _Progress(talk).add)
        except (HoldError, OSError) as error:
            talk.say(say("TRANSFER-FAILURE", way, key, reason(error)))
            return
        talk.say(say("TRANSFER-SUCCESS", way, key))

    def _transfer_export(self, request: Message, talk: Talk) -> None:
        way, key = request.parts[0], Key(request.parts[1])
        path, progress = os.path.abspath(request.last), _Progress(talk)
        try:
            if way == b"STORE":
                self._exports.send(key, path, talk, progress.add)
                progress.tell()
            else:
                self._exports.bring(self._opened, key, path, talk, progress.add)
        except (HoldError, OSError) as error:
            talk.say(say("TRANSFER-FAILURE", way, key, reason(error)))
            return
        talk.say(say("TRANSFER-SUCCESS", way, key))

    def _send(self, key: Key, path: bytes, talk: Talk) -> None:
        progress = _Progress(talk)
        self._writable.send(key, content_at(key, os.path.abspath(path)), progress.add)
        progress.tell()

    def _check_present(self, request: Message, talk: Talk) -> None:
        key = Key(request.last)
        try:
            [answer] = self._opened.ask([key])
        except (HoldError, OSError) as error:
            talk.say(say("CHECKPRESENT-UNKNOWN", key, reason(error)))
            return
        if answer.presence is Presence.UNKNOWN:
            talk.say(say("CHECKPRESENT-UNKNOWN", key, one_line(answer.remark)))
        else:
            there = answer.presence is Presence.PRESENT
            talk.say(say("CHECKPRESENT-SUCCESS" if there else "CHECKPRESENT-FAILURE", key))

    def _remove(self, request: Message, talk: Talk) -> None:
        key = Key(request.last)
        try:
            store = self._writable
            store.remove(key, Waiver(key, store.place.id, "git-annex", _LEAVE))
        except (HoldError, OSError) as error:
            talk.say(say("REMOVE-FAILURE", key, reason(error)))
            return
        talk.say(say("REMOVE-SUCCESS", key))

    def _url(self, key: Key) -> str | None:
        """Where anybody can read content; None when there is no such place, or are several."""
        store = self._opened
        # What can be written to wants a password, which the host would not give.
        if not isinstance(store, UrlStore) or hasattr(store, "send"):
            return None
        urls = store.urls(key)
        return urls[0] if len(urls) == 1 else None

    # what it is

    def _cost(self, _: Message, talk: Talk) -> None:
        store = self._store
        usual = 100.0 if self._is_local else 200.0
        talk.say(say("COST", b"%d" % (usual if store is None else store.cost)))

    def _availability(self, _: Message, talk: Talk) -> None:
        talk.say(say("AVAILABILITY", b"LOCAL" if self._is_local else b"GLOBAL"))

    def _whereis(self, request: Message, talk: Talk) -> None:
        key = Key(request.last)
        try:
            told = getattr(self._opened, "whereis", self._url)(key)
        except HoldError:
            told = None
        if told:
            talk.say(say("WHEREIS-SUCCESS", one_line(told)))
        else:
            talk.say(say("WHEREIS-FAILURE"))

    def _info(self, _: Message, talk: Talk) -> None:
        for word, value in self._config.items():
            talk.say(say("INFOFIELD", word.encode()))
            talk.say(say("INFOVALUE", _bytes(value)))
        talk.say(say("INFOEND"))

    @property
    def _host_brings(self) -> bool:
        return "TRANSFER-RETRIEVE-URL" in self.host_extensions

    @property
    def _is_local(self) -> bool:
        return holdfast_kind.is_local(self._config)

    @property
    def _opened(self) -> Readable:
        store = self._store
        if store is None:
            raise faults.UNREACHABLE(place=holdfast_kind.NAME, detail="it was not prepared")
        return store

    @property
    def _writable(self) -> Store:
        store = self._opened
        if not hasattr(store, "send") or not hasattr(store, "remove"):
            raise faults.STORE_READ_ONLY(
                place=store.place.label, detail="nothing is sent there or removed",
                next="send it to another place; look at `git annex info` for what there is",
            )  # fmt: skip
        return store  # type: ignore[return-value]


class _Progress:
    """Bytes on their way, told to the host now and then."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._size = 0
        self._told_at = time.monotonic()

    def add(self, size: int) -> None:
        """So many more."""
        self._size += size
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Say how many there are."""
        self._told_at = time.monotonic()
        self._talk.say(say("PROGRESS", b"%d" % max(0, self._size)))


class _NoNotes:
    """The host keeps no logs for us: no kind that needs them is served."""

    def read(self, log: LogOf, keys: object) -> dict[Key, bytes]:
        """There are none."""
        return {}

    def edit(self, log: LogOf, key: Key, edit: object) -> None:
        """Nothing can be kept."""
        raise faults.NO_WAY(place=holdfast_kind.NAME, kind="holdfast with notes of single keys")


ALLOWED = "annex.security.allowed-ip-addresses"


def settings_of(name: str) -> dict[str, str]:
    """What git has configured here for a remote, and the addresses that may be asked.

    Nothing, when the current folder is in no repository.
    """
    from ..dataset.repository import Repository

    try:
        repository = Repository(os.getcwdb())
    except HoldError:
        return {}
    found = dict(repository.config.sections("remote").get(name, {}))
    repository.close()
    return {**found, ALLOWED: repository.config.get(ALLOWED) or ""}


def _config(talk: Talk) -> dict[str, str]:
    """The words of the place that its host keeps: its kind, then those of that kind."""
    found = {}
    words = [holdfast_kind.STORE, holdfast_kind.EXPORTS]
    for word in words:
        if value := talk.ask(say("GETCONFIG", word.encode())).text():
            found[word] = value
        if word == holdfast_kind.STORE:
            words += holdfast_kind.words_of(found.get(word, ""))
    return found


def _bytes(words: str) -> bytes:
    return words.encode("utf-8", "surrogateescape")
