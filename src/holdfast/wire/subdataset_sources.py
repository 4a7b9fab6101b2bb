"""Where a data set that belongs into another may be cloned from: pure rules, by cost.

Format: DataLad's candidates for `get`, docs/formats/nesting.md.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlsplit

SETTING = "datalad.get.subdataset-source-candidate-"
_COSTED = re.compile(r"(\d{3})(.*)", re.DOTALL)
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_SCP = re.compile(r"(?:(?P<user>[^/@:]+)@)?(?P<host>[^/:]+):(?!/)(?P<path>.*)", re.DOTALL)
_LOGIN = re.compile(r"(://)[^/@\s:]*:[^/@\s]*@")
_WEB_AND_SSH = ("http", "https", "ssh")


class Candidate(NamedTuple):
    """One source to try: what to give to clone, and what it costs."""

    cost: int
    source: str


class Outer(NamedTuple):
    """The data set that it belongs into: its folder, its remotes by name, its templates.

    The remotes come in the order in which to ask them. ``templates`` are settings whose names
    begin with `SETTING`, by the rest of the name.
    """

    top: str
    remotes: Mapping[str, str]
    templates: Mapping[str, str]


def candidates(path: str, settings: Mapping[str, str], outer: Outer) -> list[Candidate]:
    """Every source of the data set that .gitmodules has at a path, cheapest first, none twice.

    ``settings`` is what .gitmodules says of it.
    """
    found = sorted(_iter_candidates(path, settings, outer), key=lambda candidate: candidate.cost)
    target = posixpath.join(outer.top, path)
    by_source = {one.source: one for one in reversed(found) if one.source != target}
    return sorted(by_source.values(), key=found.index)


def _iter_candidates(path: str, settings: Mapping[str, str], outer: Outer) -> Iterator[Candidate]:
    url = settings.get("url", "")
    if given := settings.get("datalad-url"):
        yield Candidate(590, _from_folder(given, outer.top))
    for remote in outer.remotes.values():
        base = _from_folder(remote, outer.top)
        if url:
            yield Candidate(600, _join(base, url) if is_relative(url) else _from_folder(url, base))
        if rewritten := _in_scheme_of(base, url):
            yield Candidate(610, rewritten)
        yield Candidate(650, _below(base, path))
    yield from _by_templates(path, settings, outer)
    if url:
        yield Candidate(900, _join(outer.top, url) if is_relative(url) else url)


def is_relative(url: str) -> bool:
    """Whether git reads a URL of .gitmodules as one beside that of the outer data set."""
    return url in (".", "..") or url.startswith(("./", "../"))


def _is_path(source: str) -> bool:
    return "://" not in source and "::" not in source and not _SCP.fullmatch(source)


def _from_folder(source: str, folder: str) -> str:
    """A local path made whole, as if somebody in a folder had named it; all else as it is."""
    if source.startswith("///") or not _is_path(source) or not _is_path(folder):
        return source
    return posixpath.normpath(posixpath.join(folder, source))


def _without_git_dir(url: str) -> str:
    return url.rstrip("/").removesuffix("/.git")


def _join(base: str, url: str) -> str:
    """A relative URL, beside another; its steps up take away parts of the other's path."""
    start = _without_git_dir(base)
    if _is_path(start):
        return posixpath.normpath(posixpath.join(start, url))
    rest = url
    while rest:
        step, _, rest = rest.partition("/")
        if step == "..":
            start = re.sub(r"[/:]?[^/:]*$", "", start)
        elif step not in ("", "."):
            start = f"{start}/{step}"
    return start


def _below(base: str, path: str) -> str:
    start = _without_git_dir(base)
    tail = "/.git" if start != base.rstrip("/") else ""
    return f"{start}/{quote(path) if '://' in base else path}{tail}"


def _in_scheme_of(base: str, url: str) -> str | None:
    """A URL of the web by ssh, or the other way round, where the outer data set is reached so."""
    wanted, found = _parts(base), _parts(url)
    if wanted is None or found is None or wanted[0] == found[0]:
        return None
    scheme, (_, host, path) = wanted[0], found
    return f"{scheme}://{host}/{path.lstrip('/')}"


def _parts(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and path of what lies on the web or behind ssh; None of all else."""
    if "://" in url:
        split = urlsplit(url)
        if split.scheme not in _WEB_AND_SSH or not split.hostname:
            return None
        return split.scheme, split.hostname, split.path
    found = _SCP.fullmatch(url) if "::" not in url else None
    return ("ssh", found["host"], found["path"]) if found else None


def _by_templates(path: str, settings: Mapping[str, str], outer: Outer) -> Iterator[Candidate]:
    values = {
        **settings,
        **{f"remoteurl-{name}": url for name, url in outer.remotes.items()},
        "path": path,
        "path_basename": posixpath.basename(path),
        "id": settings.get("datalad-id"),
    }
    for name, template in outer.templates.items():
        costed = _COSTED.fullmatch(name)
        source = _fill(template, values)
        if source is not None:
            cost = int(costed[1]) if costed else 700
            yield Candidate(cost, _from_folder(source, outer.top))


def _fill(template: str, values: Mapping[str, str | None]) -> str | None:
    """A template with its fields filled in; None when one of them is not known."""
    parts: list[str] = []
    position = 0
    for found in _FIELD.finditer(template):
        parts.append(template[position : found.start()])
        position = found.end()
        value = found[0][:1] if found[1] is None else values.get(found[1])
        if value is None:
            return None
        parts.append(value)
    return "".join([*parts, template[position:]])


def url_to_record(source: str, url: str, place: str) -> str:
    """What .gitmodules shall say of a clone at ``place``: what git can clone.

    A path stays as it was given, but a relative one leads from where the clone is.
    ``url`` is what git cloned.
    """
    if not _is_path(source) or source.startswith("///"):
        return without_login(url)
    if posixpath.isabs(source):
        return source
    return posixpath.relpath(posixpath.abspath(source), place)


def without_login(text: str) -> str:
    """A URL, or text with URLs in it, without any user's password: to be shown or saved."""
    return _LOGIN.sub(r"\1", text)


def order_remotes(remotes: Mapping[str, str], tracked: str | None) -> dict[str, str]:
    """Remotes in the order to ask them: the one that the branch follows goes first."""
    names: Sequence[str] = sorted(remotes, key=lambda name: name != tracked)
    return {name: remotes[name] for name in names}
