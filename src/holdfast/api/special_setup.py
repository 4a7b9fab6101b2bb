"""Setting up special remotes, as git-annex's initremote, enableremote and verifyremote do.

A new one is prepared first (its folder or bucket made and marked), then told to the ledger in one
commit, then to this clone's settings. One that came through the ledger is enabled, which makes
nothing usable: first a person has to look at its configuration and approve of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

from ..core import faults
from ..core.errors import HoldError
from ..core.place import Place, PlaceId, Trust
from ..core.sizes import parse_size
from ..dataset.branch import journal_lock
from ..dataset.config import append_settings
from ..dataset.key_notes import KeyNotes
from ..dataset.ledger import read_journal
from ..dataset.ledger_write import Edit, now, record, write_journal_file
from ..dataset.places import Places
from ..dataset.verified import OF_KEYS, approve, config_in_ledger, read_approved
from ..stores.cipher import MACS, SCHEMES, USUAL_MAC, Cipher, Sealer, new_cipher
from ..stores.special import Kind, SpecialRemote, kind_described, kind_named
from ..wire import logs
from ..wire.branch_paths import PREFERRED_LOG, REMOTE_LOG, UUID_LOG
from .credentials import WORDS, Open, embed, from_environment, keep
from .datasets import Dataset
from .special import gpg_of, special_remote

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OURS = frozenset(
    (
        "autoenable", "chunk", "chunksize", "cipher", "cipherkeys", "embedcreds", "encryption",
        "keyid", "mac", "name", "onlyencryptcreds", "private", "pubkeys", "sameas", "sameas-name",
        "sameas-uuid", "type", "uuid",
    )
)  # fmt: skip
"""Words about special remotes of all kinds; the others are for the kind."""

_NOT_CHANGED = frozenset(("cipher", "encryption", "keyid", "mac", "sameas", "type", "uuid"))
_HIDDEN = frozenset(("cipher", *(words.embedded for words in WORDS.values())))


@dataclass(frozen=True)
class SetUp:
    """A special remote that was set up or enabled: what a person may be shown of it.

    ``config`` holds no secret. It can be used only when it is ``approved``.
    """

    place: Place
    config: Mapping[str, str]
    approved: bool


@dataclass(frozen=True)
class _Way:
    """One special remote: its own UUID, the place it leads to, how it is known and reached."""

    id: PlaceId
    place: Place
    config: Mapping[str, str]
    local: Mapping[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """What this clone's settings hold, besides whether it is approved."""
        sameas = {"annex-config-uuid": self.id} if self.id != self.place.id else {}
        return {**self.local, "annex-uuid": self.place.id, **sameas, "skipFetchAll": "true"}


def set_up_special(dataset: Dataset, name: str, given: Mapping[str, str]) -> SetUp:
    """Make a special remote (``type=S3 bucket=… encryption=shared chunk=1MiB …``).

    ``keyid`` may hold several keys with commas between. Credentials are taken from the environment
    and kept in this clone.

    Raises:
        UsageError: A word is missing, not known or makes no sense.
        ConflictError: The folder or bucket belongs to another place.
    """
    _check_name(dataset, name)
    remotes = logs.parse_remotes(dataset.ledger.policy_file(REMOTE_LOG))
    if given.get("type") in ("packed", "pieces"):
        # git-annex has no such type: to it, it is a place that our program reaches.
        outer = {"type": "external", "externaltype": "holdfast", "store": given["type"]}
        given = {**given, **outer}
    if not given.get("type"):
        raise _bad(name, "its type is missing", "say type=directory, type=S3 and so on")
    kind = kind_named(kind_described(given), name)
    way = _with_credentials(_plan_new(dataset, kind, remotes, name, given), given)
    way = _prepare(dataset, kind, {**remotes, way.id: way.config}, way)
    _tell_ledger(dataset, way, is_new="sameas" not in given)
    whole = config_in_ledger({**remotes, way.id: way.config}, way.id)
    _finish(dataset, way, whole)
    return SetUp(way.place, shown(whole), approved=True)


def _plan_new(
    dataset: Dataset,
    kind: Kind,
    remotes: Mapping[PlaceId, Mapping[str, str]],
    name: str,
    given: Mapping[str, str],
) -> _Way:
    """What a new one will be, by its words; nothing is made yet."""
    setup = kind.plan_setup({word: given[word] for word in given if word not in _OURS})
    way_id = PlaceId(given.get("uuid") or str(uuid4()))
    config, local = {**setup.config, "type": given["type"]}, dict(setup.local)
    if given["type"] == "S3":
        config.setdefault("bucket", f"{name}-{way_id}".lower())
    place = Place(way_id, name)
    if "sameas" in given:
        first = _way_named(dataset, remotes, name, given["sameas"])
        place = Place(PlaceId(remotes[first].get("sameas-uuid", first)), name)
        config |= {"sameas-name": name, "sameas-uuid": place.id}
    else:
        config |= {"name": name, **_plan_chunks(name, given)}
        config |= _plan_encryption(place, given, local)
    config |= {w: given[w] for w in ("autoenable", "onlyencryptcreds") if w in given}
    _check_tree(name, config)
    if given.get("private") in ("true", "yes"):
        local["annex-private"] = "true"
    return _Way(way_id, place, config, local)


def enable_special(dataset: Dataset, name: str, given: Mapping[str, str]) -> SetUp:
    """Make a special remote that the ledger knows known to this clone, perhaps with changed words.

    What it says is somebody's word: unless just this was approved here before, it cannot be used
    until `approve_special` was called.

    Raises:
        NotFoundError: The ledger knows none of this name.
        UsageError: A word is missing, not known or cannot be changed.
    """
    remotes = logs.parse_remotes(dataset.ledger.policy_file(REMOTE_LOG))
    way_id = _way_named(dataset, remotes, name, name)
    stored = remotes[way_id]
    for word in sorted(_NOT_CHANGED & set(given)):
        if given[word] != stored.get(word):
            raise _bad(
                name, f"{word} cannot be changed by us", "git annex enableremote can, for some"
            )
    kind = kind_named(kind_described(stored), name)
    words = {word: value for word, value in {**stored, **given}.items() if _is_of_kind(word)}
    setup = kind.plan_setup({**_known_here(dataset, name), **words})
    config = {**stored, **setup.config}
    config |= {w: given[w] for w in ("autoenable",) if w in given} | _plan_chunks(name, given)
    called = stored.get("name") or stored.get("sameas-name") or name
    place = Place(
        PlaceId(stored.get("sameas-uuid", way_id)), called,
        dataset.ledger.trust.get(way_id, Trust.SEMITRUSTED),
    )  # fmt: skip
    way = _Way(way_id, place, config, setup.local)
    if dict(way.config) != dict(stored):
        _tell_ledger(dataset, way, is_new=False)
    whole = config_in_ledger({**remotes, way_id: way.config}, way_id)
    if is_approved(dataset, way_id, whole):
        prepared = _prepare(dataset, kind, {**remotes, way_id: way.config}, way)
        if prepared.config != way.config:
            way = prepared
            _tell_ledger(dataset, way, is_new=False)
            whole = config_in_ledger({**remotes, way_id: way.config}, way_id)
        _finish(dataset, way, whole)
        return SetUp(place, shown(whole), approved=True)
    _keep_credentials(dataset, way)
    _write_settings(dataset, called, {**way.settings, "annex-verified": "manual"})
    return SetUp(place, shown(whole), approved=False)


def approve_special(dataset: Dataset, name: str, config: Mapping[str, str]) -> SetUp:
    """Approve of a special remote's configuration, as it was shown (`SetUp.config`).

    From then on it may be used, and only as it is now: changes that the ledger brings later are
    not believed.

    Raises:
        ConflictError: It is not what was shown any more, or its bucket belongs to another place.
        NotFoundError: No such remote was enabled here.
    """
    settings = _settings_of(dataset, name)
    remotes = logs.parse_remotes(dataset.ledger.policy_file(REMOTE_LOG))
    way_id = PlaceId(settings.get("annex-config-uuid", settings["annex-uuid"]))
    whole = config_in_ledger(remotes, way_id)
    if shown(whole) != dict(config):
        raise faults.PLACE_UNVERIFIED(place=name, state="manual, and its settings have changed")
    place = Place(PlaceId(settings["annex-uuid"]), name)
    way = _Way(way_id, place, whole, settings)
    _prepare(dataset, kind_named(kind_described(whole), name), remotes, way)
    approve(dataset.repository, way_id, whole)
    _write_settings(dataset, name, {"annex-verified": "verified"})
    return SetUp(place, shown(whole), approved=True)


def enabled_config(dataset: Dataset, name: str) -> dict[str, str]:
    """What the ledger says of a special remote that was enabled here, as a person may see it.

    Raises:
        NotFoundError: No such remote was enabled here.
    """
    settings = _settings_of(dataset, name)
    remotes = logs.parse_remotes(dataset.ledger.policy_file(REMOTE_LOG))
    way_id = PlaceId(settings.get("annex-config-uuid", settings["annex-uuid"]))
    return shown(config_in_ledger(remotes, way_id))


def _settings_of(dataset: Dataset, name: str) -> dict[str, str]:
    remotes = dataset.repository.config.sections("remote")
    settings = remotes.get(name)
    if settings is None or "annex-uuid" not in settings:
        raise faults.NO_SUCH_PLACE(place=name, known=", ".join(sorted(remotes)) or "none")
    return settings


def is_approved(dataset: Dataset, way: PlaceId, config: Mapping[str, str]) -> bool:
    """Whether just this configuration was approved, or made, in this clone."""
    found = read_approved(dataset.repository).get(way)
    plain = {name: value for name, value in config.items() if name not in OF_KEYS}
    return found is not None and plain == {n: v for n, v in found.items() if n not in OF_KEYS}


def shown(config: Mapping[str, str]) -> dict[str, str]:
    """A configuration without what is nobody's business."""
    return {name: value for name, value in sorted(config.items()) if name not in _HIDDEN}


# what the words say


def _check_name(dataset: Dataset, name: str) -> None:
    if not _NAME.fullmatch(name) or ".." in name:
        raise _bad(name, "a name has letters, digits and _.- only", "choose another name")
    taken = set(dataset.repository.config.sections("remote"))
    remotes = logs.parse_remotes(dataset.ledger.policy_file(REMOTE_LOG))
    taken |= {c.get("name") or c.get("sameas-name") or "" for c in remotes.values()}
    if name in taken or name == "here":
        raise _bad(name, "a place is called so already", "choose another name, or enable that one")


def _way_named(
    dataset: Dataset, remotes: Mapping[PlaceId, Mapping[str, str]], name: str, wanted: str
) -> PlaceId:
    called = {c.get("name") or c.get("sameas-name"): way for way, c in remotes.items()}
    found = called.get(wanted) or (PlaceId(wanted) if wanted in remotes else None)
    if found is None:
        local = Places(dataset.repository, dataset.ledger).find(wanted)
        found = local if local in remotes else None
    if found is None:
        known = ", ".join(sorted(filter(None, called))) or "none"
        raise faults.NO_SUCH_PLACE(place=wanted, known=known)
    return found


def _plan_encryption(
    place: Place, given: Mapping[str, str], local: Mapping[str, str]
) -> dict[str, str]:
    scheme, mac = given.get("encryption", "none"), given.get("mac", USUAL_MAC)
    recipients = tuple(filter(None, given.get("keyid", "").split(",")))
    if scheme == "none":
        return {"encryption": "none"}
    if scheme not in SCHEMES or mac not in MACS:
        known = f"encryption is one of none {' '.join(SCHEMES)}, mac one of {' '.join(MACS)}"
        raise _bad(place.name, f"encryption={scheme} mac={mac} is not known", known)
    if (scheme == "shared") == bool(recipients):
        following = "leave keyid= out" if recipients else "say keyid= and the id of a gpg key"
        raise _bad(place.name, f"encryption={scheme} and its keyid do not fit", following)
    return new_cipher(place.label, scheme, recipients, mac, gpg_of(place, local))[1]


def _plan_chunks(name: str, given: Mapping[str, str]) -> dict[str, str]:
    if "chunk" not in given:
        return {}
    size = parse_size(given["chunk"])
    if size is None or size < 0:
        raise _bad(name, f"chunk={given['chunk']} is no size", "say, for instance, chunk=10MiB")
    return {"chunk": given["chunk"]}


def _check_tree(name: str, config: Mapping[str, str]) -> None:
    holds_tree = config.get("exporttree") == "yes"
    if holds_tree and (config.get("encryption", "none") != "none" or "chunk" in config):
        detail = "a tree of files is neither encrypted nor in chunks"
        raise _bad(name, detail, "leave out exporttree, or chunk and encryption")


def _is_of_kind(word: str) -> bool:
    return word not in _OURS and word not in _HIDDEN


def _known_here(dataset: Dataset, name: str) -> dict[str, str]:
    """Words that only this clone's settings hold, when it was enabled here before."""
    settings = dataset.repository.config.sections("remote").get(name, {})
    folder = settings.get("annex-directory")
    return {"directory": folder} if folder else {}


def _bad(name: str, detail: str, following: str) -> HoldError:
    return faults.BAD_SETUP(name=name, detail=detail, next=following)


# credentials


def _with_credentials(way: _Way, given: Mapping[str, str]) -> _Way:
    """The same, with the credentials there are embedded in it, where that is asked for."""
    words = WORDS.get(way.config.get("type", ""))
    found = from_environment(words, os.environ) if words else None
    if words is None or found is None:
        return way
    # As git-annex does: where gpg keys guard them, they go along unless that is refused.
    guarded = way.config.get("encryption") in ("hybrid", "pubkey")
    wanted = given.get("embedcreds")
    config = dict(way.config)
    if wanted in ("yes", "no"):
        config["embedcreds"] = wanted
    if wanted == "yes" or (wanted is None and guarded):
        config[words.embedded] = embed(found, _encrypting(way))
    return _Way(way.id, way.place, config, way.local)


def _keep_credentials(dataset: Dataset, way: _Way) -> None:
    """Keep what the environment holds in this clone."""
    words = WORDS.get(way.config.get("type", ""))
    found = from_environment(words, os.environ) if words else None
    if found is not None:
        keep(dataset.repository.annex_dir, way.id, found)


def _encrypting(way: _Way) -> Open | None:
    if way.config.get("encryption", "none") == "none":
        return None
    from ..stores.cipher import open_cipher
    from ..wire.openpgp import RANDOM, SALT, Randomness

    gpg = gpg_of(way.place, way.local)
    cipher: Cipher = open_cipher(way.place.label, way.config, gpg)
    sealer = Sealer(way.place.label, cipher, gpg)

    def encrypt(raw: bytes) -> bytes:
        random = os.urandom(RANDOM)
        return b"".join(sealer.seal([raw], len(raw), Randomness(random[:SALT], random[SALT:])))

    return encrypt


# what is written down


def _prepare(
    dataset: Dataset, kind: Kind, remotes: Mapping[PlaceId, Mapping[str, str]], way: _Way
) -> _Way:
    """Have the place made; gives it with what its program, if it has one, set meanwhile."""
    notes = KeyNotes(dataset.repository, dataset.ledger)
    told: dict[str, str] = {}
    wanted: list[str] = []
    local = {name.lower(): value for name, value in way.settings.items()}
    whole = config_in_ledger(remotes, way.id)
    remote: SpecialRemote = special_remote(dataset, way.place, whole, local, notes)
    kind.prepare(replace(remote, on_config=told.__setitem__, on_wanted=wanted.append))
    notes.finish()
    if wanted and way.local.get("annex-private") != "true":
        expression = wanted[-1].encode("utf-8", "surrogateescape")
        record(
            dataset.repository,
            [(PREFERRED_LOG, lambda old: logs.set_uuid_log(old, way.place.id, expression, now()))],
        )
        dataset.forget()
    return replace(way, config={**way.config, **told})


def _tell_ledger(dataset: Dataset, way: _Way, *, is_new: bool) -> None:
    moment = now()
    description = way.place.name.encode("utf-8", "surrogateescape")
    edits: list[tuple[bytes, Edit]] = [
        (REMOTE_LOG, lambda old: logs.set_remote(old, way.id, way.config, moment))
    ]
    if is_new:
        edits.append(
            (UUID_LOG, lambda old: logs.set_uuid_log(old, way.place.id, description, moment))
        )
    if way.local.get("annex-private") == "true":
        with journal_lock(dataset.repository):
            private = read_journal(dataset.repository.annex_dir + b"/journal-private")
            for path, edit in edits:
                fresh = edit(private.get(path, b""))
                write_journal_file(dataset.repository, b"journal-private", path, fresh)
    else:
        record(dataset.repository, edits)
    dataset.forget()


def _finish(dataset: Dataset, way: _Way, whole: Mapping[str, str]) -> None:
    _keep_credentials(dataset, way)
    approve(dataset.repository, way.id, whole)
    _write_settings(dataset, way.place.name, {**way.settings, "annex-verified": "verified"})


def _write_settings(dataset: Dataset, name: str, settings: Mapping[str, str]) -> None:
    known = dataset.repository.config.sections("remote").get(name, {})
    fresh = [(n, value) for n, value in settings.items() if known.get(n.lower()) != value]
    if fresh:
        path = os.path.join(dataset.repository.common_dir, b"config")
        append_settings(path, [(f"remote.{name}", fresh)])
    dataset.forget()
