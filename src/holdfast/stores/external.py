"""`external`: places that a program named `git-annex-remote-TYPE` reaches; we run it."""

from __future__ import annotations

from collections.abc import Mapping

from ..core import faults
from ..core.abilities import Readable, TreeStore
from ..wire.external_remote import say
from . import holdfast_kind
from .external_lanes import NoAnswers, carry_out, fresh_line
from .external_program import Call, find_program
from .external_store import ExternalStore
from .external_urls import url_store
from .special import Setup, SpecialRemote


def open_store(remote: SpecialRemote) -> Readable:
    """The place that an external program reaches; our own program's places are opened directly.

    Raises:
        PlaceUnavailableError: The program is not there.
    """
    kind = remote.config.get("externaltype", "")
    if "true" in (remote.local.get("annex-readonly"), remote.config.get("readonly")):
        return url_store(remote)
    if kind == holdfast_kind.NAME:
        return holdfast_kind.open_inner(remote)
    return ExternalStore(remote, _program(remote.place.label, kind, remote.environment))


def open_tree(remote: SpecialRemote) -> TreeStore:
    """A tree of files in a place of ours (``externaltype=holdfast``).

    Raises:
        PolicyError: Another program reaches it, or what is inside holds no tree.
        PlaceUnavailableError: It is not to be reached from here.
    """
    if remote.config.get("externaltype") != holdfast_kind.NAME:
        detail = "only git-annex exports by a program of somebody else"
        raise faults.HOLDS_NO_TREE(place=remote.place.label, detail=detail)
    return holdfast_kind.open_inner_tree(remote)


def plan_setup(given: Mapping[str, str]) -> Setup:
    """A new one needs ``externaltype=``; which others it needs, its program says (`prepare`).

    No word is refused here: a program may have written more down than it lists (`list_words`).

    Raises:
        UsageError: It is missing; for a place of ours, any word is missing or not known.
    """
    kind = given.get("externaltype", "")
    if not kind:
        raise faults.EXTERNAL_WORDS(detail="externaltype= is missing")
    local = {"annex-externaltype": kind}
    if kind == holdfast_kind.NAME:
        return Setup(holdfast_kind.plan_config(given), local)
    return Setup(dict(given), local)


def prepare(remote: SpecialRemote) -> None:
    """Have the program make its place; what it sets is told to ``remote.on_config``.

    Raises:
        UsageError: It refuses.
        PlaceUnavailableError: It is not there, or does not answer.
    """
    kind = remote.config.get("externaltype", "")
    if kind == holdfast_kind.NAME:
        holdfast_kind.prepare_inner(remote)
        holdfast_kind.keep_credentials(remote)
        return
    program = _program(remote.place.label, kind, remote.environment)
    ExternalStore(remote, program).initialise()


def list_words(kind: str, environment: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """The words that a program asks for, each with what it is; None when it does not list them.

    Raises:
        PlaceUnavailableError: It is not there, or does not answer.
    """
    argv = _program(kind, kind, environment or {})
    with fresh_line(Call(kind, argv, environment=environment)) as line:
        heard = carry_out(line, say("LISTCONFIGS"), NoAnswers())
    if heard[-1].name != "CONFIGEND":
        return None
    return {message.text(0): message.text(1) for message in heard[:-1]}


def _program(place: str, kind: str, environment: Mapping[str, str]) -> list[str]:
    return find_program(place, kind, environment.get("PATH"))
