"""`hold annex find` and `whereis`: what the ledger and the disk say of files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ..core.place import WEB, PlaceId, Trust
from .annex_content import below
from .annex_real import Elsewhere
from .annex_verbs import Front

if TYPE_CHECKING:
    from ..core.key import Key
    from ..dataset.annexed import TrackedFile

_BLOCK = 4096


def run(front: Front) -> int:
    """Tell of the files named, or all below the current folder."""
    if front.words.verb == "find":
        for file in _iter_files(front):
            if front.words.terms or front.dataset.objects.has(_key(file)):
                _found(front, file)
    else:
        _whereis(front)
    return front.show.close()


def _key(file: TrackedFile) -> Key:
    assert file.key is not None
    return file.key


def _iter_files(front: Front) -> Iterator[TrackedFile]:
    from ..dataset.annexed import TrackedFile, iter_all_keys, iter_annexed
    from ..dataset.changes import missing_paths

    repository = front.dataset.repository
    if front.words.has("--all"):
        for key, _ in iter_all_keys(repository):
            yield TrackedFile(b"", b"", b"", key)
        return
    absent = missing_paths(repository, front.paths)
    for path in absent:
        front.show.missing(os.fsdecode(path))
    paths = [path for path in front.paths if path not in absent]
    if paths:
        top = repository.top + b"/"
        files = (
            file
            for file in iter_annexed(repository, below(paths))
            if repository.bare or os.path.lexists(top + file.path)
        )
        named = _as_named(files, paths)
        if not front.words.terms:
            yield from named
            return
        from .annex_match import iter_matching

        yield from iter_matching(front.dataset, named, front.words.terms)


def _as_named(files: Iterable[TrackedFile], paths: list[bytes]) -> Iterable[TrackedFile]:
    """The files of the first path that was named, then those of the second; as git-annex does."""
    if len(paths) < 2:
        return files

    def place(file: TrackedFile) -> int:
        return next(
            number
            for number, path in enumerate(paths)
            if not path or file.path == path or file.path.startswith(path + b"/")
        )

    return sorted(files, key=place)


def _found(front: Front, file: TrackedFile) -> None:
    path, key = os.fsdecode(file.path), _key(file)
    if front.words.json:
        front.show.record({**_key_facts(key), "error-messages": [], "file": front.show.path(path)})
        return
    front.show.text(front.show.path(path) + ("\0" if front.words.has("--print0") else "\n"))


def _key_facts(key: Key) -> dict[str, object]:
    from ..core.key import hash_dir_lower, hash_dir_mixed

    size = key.size
    return {
        "backend": key.backend.decode(),
        "bytesize": "unknown" if size is None else str(size),
        "hashdirlower": hash_dir_lower(key).decode() + "/",
        "hashdirmixed": hash_dir_mixed(key).decode() + "/",
        "humansize": "unknown" if size is None else rough_size(size),
        "key": key.text,
        "keyname": key.name.decode("utf-8", "surrogateescape"),
        "mtime": "unknown" if key.mtime is None else str(key.mtime),
    }


def rough_size(size: int) -> str:
    """A size as git-annex prints it: decimal units, two places at most."""
    for unit, name in ((10**15, "PB"), (10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{size} B"


def _whereis(front: Front) -> None:
    remotes = front.dataset.repository.config.sections("remote").values()
    if any("annex-uuid" in settings and "url" not in settings for settings in remotes):
        # Programs of special remotes may have more to tell.
        raise Elsewhere
    files = _iter_files(front)
    ledger = front.dataset.ledger
    while block := list(islice(files, _BLOCK)):
        keys = [_key(file) for file in block]
        places = ledger.locations(keys)
        urls = ledger.urls(keys)
        for file in block:
            _tell_places(front, file, places[_key(file)], urls.get(_key(file), []))


def _tell_places(
    front: Front, file: TrackedFile, places: Iterable[PlaceId], urls: list[bytes]
) -> None:
    ledger, here = front.dataset.ledger, front.dataset.here
    rows = [
        {
            "description": _describe(front, place),
            "here": place == here,
            "urls": [url.decode("utf-8", "surrogateescape") for url in urls]
            if place == WEB
            else [],
            "uuid": place,
        }
        for place in sorted(places)
    ]
    bad = [row for row in rows if ledger.trust.get(PlaceId(str(row["uuid"]))) is Trust.UNTRUSTED]
    good = [row for row in rows if row not in bad]
    path = os.fsdecode(file.path)
    if front.words.json:
        front.show.item(
            path, key=file.key, good=bool(good), note=_whereis_text(good, bad, urls, "\t"),
            facts={"whereis": good, "untrusted": bad},
        )  # fmt: skip
        return
    front.show.failed += not good
    if not front.words.has("--quiet"):
        name = front.show.path(path) if path else _key(file).text
        text = _whereis_text(good, bad, urls, "  \t")
        first, _, rest = text.partition("\n")
        front.show.text(f"whereis {name} ({first}) \n{rest}{'ok' if good else 'failed'}\n")


def _whereis_text(
    good: list[dict[str, object]], bad: list[dict[str, object]], urls: list[bytes], start: str
) -> str:
    copies = "1 copy" if len(good) == 1 else f"{len(good)} copies"
    lines = [copies, *(_row(row, start) for row in good)]
    if bad:
        lines += [f"{start.rstrip(chr(9))}The following untrusted locations may also have copies:"]
        lines += [_row(row, start) for row in bad]
    if any(row["urls"] for row in good):
        lines.append("")
        lines += [f"{start.rstrip(chr(9))}web: {url.decode('utf-8', 'replace')}" for url in urls]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, object], start: str) -> str:
    return f"{start}{row['uuid']} -- {row['description']}"


def _describe(front: Front, place: PlaceId) -> str:
    ledger = front.dataset.ledger
    text = "web" if place == WEB else ledger.descriptions.get(place, "")
    name = "here" if place == front.dataset.here else ledger.remote_names.get(place, "")
    if not name or name == text:
        return f"[{name}]" if name and name == text else text
    return f"{text} [{name}]" if text else f"[{name}]"
