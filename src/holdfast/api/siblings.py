"""Siblings: the places that remotes of a clone lead to. Listed, added, changed, taken away."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import PlaceId, Trust
from ..core.rates import Direction
from ..dataset.place_rules import TRUST_WORDS, PlaceRules, set_place_rules
from ..dataset.places import Places
from ..dataset.remotes import add_remote, remotes_of, remove_remote, set_remote
from ..dataset.wanting import Wanting
from ..wire import logs
from .datasets import Dataset
from .sources import is_ssh, local_folder, open_sources
from .targets import remote_named

HERE = "here"
_TRUST = {trust: word for word, trust in TRUST_WORDS.items()}


@dataclass(frozen=True)
class Change:
    """What to change of a sibling: what all clones know of its place, and settings of this one."""

    rules: PlaceRules = field(default_factory=PlaceRules)
    settings: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to change."""
        return self.rules == PlaceRules() and not self.settings


def iter_siblings(dataset: Dataset, names: Sequence[str] = ()) -> Iterator[Outcome]:
    """Tell of each sibling, this place first; of those named only, when some are."""
    places, wanting = (
        Places(dataset.repository, dataset.ledger),
        Wanting(dataset.repository, dataset.ledger),
    )
    teller = _Teller(dataset, places, wanting)
    for name in names:
        if name != HERE:
            remote_named(remotes_of(dataset.repository), name)
    if not names or HERE in names:
        yield teller.tell(HERE, {"annex-uuid": dataset.here, "url": os.fsdecode(dataset.top)})
    for name, settings in remotes_of(dataset.repository).items():
        if not names or name in names or settings.get("annex-uuid") in names:
            yield teller.tell(name, settings)


class _Teller:
    def __init__(self, dataset: Dataset, places: Places, wanting: Wanting) -> None:
        self._dataset = dataset
        self._places = places
        self._wanting = wanting
        self._specials = logs.parse_remotes(dataset.ledger.policy_file(b"remote.log"))

    def tell(self, name: str, settings: Mapping[str, str]) -> Outcome:
        """What is known of one sibling."""
        place = PlaceId(settings.get("annex-uuid", ""))
        grounds = self._wanting.grounds
        facts: dict[str, object] = {
            "name": name,
            "kind": self._kind(name, settings),
            "url": shown_url(settings.get("url") or settings.get("annex-directory") or ""),
            "uuid": place,
            "description": self._places.description(place) if place else "",
            "trust": _TRUST[self._places.trust(place)] if place else "semitrusted",
            "groups": sorted(grounds.groups.get(place, ())),
            "wanted": self._wanting.preferred.get(place, ""),
            "required": self._wanting.required.get(place, ""),
            "limits": {} if name == HERE else self._limits(name),
            "max_size": grounds.limits.get(place),
            "state": _state(settings),
        }
        return Outcome("siblings", Status.OK, facts=facts)

    def _limits(self, name: str) -> dict[str, dict[str, object]]:
        """Bytes a second each way, where there is a limit, and whether somebody heeds it."""
        limits = self._dataset.limits
        return {
            str(way): {"rate": rate, "held": limits.is_held(name, way)}
            for way in Direction
            if (rate := limits.rate(name, way)) is not None
        }

    def _kind(self, name: str, settings: Mapping[str, str]) -> str:
        if name == HERE:
            return "here"
        url = settings.get("url")
        if url is None:
            source = PlaceId(settings.get("annex-config-uuid", settings.get("annex-uuid", "")))
            config = self._specials.get(source, {})
            inner = config.get("store") or config.get("externaltype")
            return inner or config.get("type", "unknown")
        if local_folder(self._dataset.top, url) is not None:
            return "path"
        return "ssh" if is_ssh(url) else url.partition(":")[0]


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user names stay, passwords do not."""
    head, sep, rest = url.partition("://")
    user, at, host = rest.partition("@")
    if not sep or not at or "/" in user or ":" not in user:
        return url
    return f"{head}://{user.partition(':')[0]}@{host}"


def _state(settings: Mapping[str, str]) -> str:
    if settings.get("annex-ignore") == "true":
        return "no content is exchanged with it"
    verified = settings.get("annex-verified", "verified")
    if verified != "verified":
        return "set up by somebody else, not approved here"
    return "only read" if settings.get("annex-readonly") == "true" else ""


def iter_add(
    dataset: Dataset,
    name: str,
    url: str | None,
    config: Mapping[str, str],
    change: Change,
) -> Iterator[Outcome]:
    """Add a sibling: a git repository at a URL, or a special remote by its configuration.

    ``config`` has ``type`` and what that kind asks for, as git-annex's initremote takes it.

    Raises:
        ConflictError: There is a remote of that name.
        UsageError: The configuration is not right.
    """
    dataset.repository.check_writable()
    change.rules.check()
    if url is not None:
        add_remote(dataset.repository, name, url, change.settings.get("pushurl"))
        yield from _after_adding(dataset, name)
    else:
        from .special_setup import set_up_special

        set_up_special(dataset, name, config)
        dataset.forget()
        yield Outcome("add", Status.OK, name, note=f"a {config.get('type')} remote")
    if not change.is_empty:
        yield from iter_configure(dataset, name, change)


def _after_adding(dataset: Dataset, name: str) -> Iterator[Outcome]:
    """Fetch from a new remote, and find out which place it is."""
    code, _, errors = dataset.repository.git.ask(
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-recurse-submodules",
        name,
        environment={"GIT_TERMINAL_PROMPT": "0"},
    )
    dataset.forget()
    if code:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        note = f"added, but it does not answer: {shown_url(words[0]) if words else ''}"
        yield Outcome("add", Status.OK, name, note=note)
        return
    with open_sources(dataset) as sources:
        missed = [m for m in sources.unreached if m.place.name == name]
    dataset.forget()
    note = missed[0].error.why if missed else ""
    if missed and not remotes_of(dataset.repository)[name].get("annex-uuid"):
        note = "it has no annex yet; the first push makes one"
    yield Outcome("add", Status.OK, name, note=note)


def iter_configure(dataset: Dataset, name: str, change: Change) -> Iterator[Outcome]:
    """Change what is said of a sibling, or of this place (``here``).

    Raises:
        NotFoundError: There is no such sibling.
        UsageError: An expression cannot be read.
    """
    dataset.repository.check_writable()
    change.rules.check()
    place, remote = dataset.here, ""
    if name != HERE:
        remotes = remotes_of(dataset.repository)
        remote = remote_named(remotes, name)
        place = PlaceId(remotes[remote].get("annex-uuid", ""))
    if change.rules != PlaceRules() and not place:
        raise faults.NO_WAY(place=name, kind="repository whose annex has not been asked for yet")
    if change.settings:
        if not remote:
            raise faults.BAD_USAGE(what="this place has no URL, cost or limit", command="siblings")
        set_remote(dataset.repository, remote, change.settings)
    if change.rules != PlaceRules():
        set_place_rules(dataset.repository, place, change.rules)
    dataset.forget()
    yield Outcome("configure", Status.OK, name)


def iter_remove_sibling(dataset: Dataset, name: str, *, dead: bool = False) -> Iterator[Outcome]:
    """Take a sibling away from this clone; what it has stays there, and stays in the ledger.

    With ``dead`` the ledger says of its place, for all clones, that it is lost for good.

    Raises:
        NotFoundError: There is no such sibling.
    """
    dataset.repository.check_writable()
    remotes = remotes_of(dataset.repository)
    remote = remote_named(remotes, name)
    place = PlaceId(remotes[remote].get("annex-uuid", ""))
    if dead and place:
        set_place_rules(dataset.repository, place, PlaceRules(trust=Trust.DEAD))
    remove_remote(dataset.repository, remote)
    dataset.forget()
    yield Outcome("remove", Status.OK, remote, note="marked as dead" if dead and place else "")


def iter_enable(dataset: Dataset, name: str, config: Mapping[str, str]) -> Iterator[Outcome]:
    """Make a special remote that other clones have known here.

    What it says is somebody else's word: unless just that was approved before, it is shown, with
    an id to approve of it by, and cannot be used yet.

    Raises:
        NotFoundError: The ledger knows none of that name.
        UsageError: What it needs to know of this machine was not given.
    """
    from .special_setup import enable_special

    dataset.repository.check_writable()
    found = enable_special(dataset, name, config)
    dataset.forget()
    if found.approved:
        yield Outcome("enable", Status.OK, name)
        return
    words = " ".join(f"{word}={value}" for word, value in found.config.items())
    facts = {"config": dict(found.config), "safe": _id_of(found.config)}
    error = faults.NOT_APPROVED(place=name, words=words, safe_id=facts["safe"])
    yield Outcome("enable", Status.IMPOSSIBLE, name, note=error.why, error=error, facts=facts)


def iter_approve(dataset: Dataset, name: str, safe: str) -> Iterator[Outcome]:
    """Approve of a special remote as `iter_enable` showed it, by the id that was told with it.

    Raises:
        PolicyError: It is not what was shown any more.
        NotFoundError: No such remote was enabled here.
    """
    from .special_setup import approve_special, enabled_config

    dataset.repository.check_writable()
    config = enabled_config(dataset, name)
    if _id_of(config) != safe:
        words = " ".join(f"{word}={value}" for word, value in config.items())
        raise faults.NOT_APPROVED(place=name, words=words, safe_id=_id_of(config))
    approve_special(dataset, name, config)
    dataset.forget()
    yield Outcome("approve", Status.OK, name)


def _id_of(config: Mapping[str, str]) -> str:
    """A short name for a configuration: somebody who gives it has seen that one."""
    lines = "".join(f"{word}={value}\0" for word, value in sorted(config.items()))
    return sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def siblings(dataset: Dataset, names: Sequence[str] = ()) -> Report:
    """Tell of siblings; see `iter_siblings`."""
    return complete(iter_siblings(dataset, names))
