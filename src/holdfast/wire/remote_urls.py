"""Where content lies on web servers: pure rules from a key to URLs.

For git-annex repositories served as plain files, for `httpalso`, for public S3 buckets, and
DataLad's short name of its own collection. Format: docs/formats/annex.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ..core.key import Key, encode_file_name, hash_dir_lower, hash_dir_mixed
from ..core.place import PlaceId

DATALAD_TOP = "https://datasets.datalad.org"


def quote_component(raw: bytes) -> str:
    """Percent-encode all but the unreserved characters."""
    return quote(raw, safe="")


def quote_path(raw: bytes) -> str:
    """Percent-encode each component of a path."""
    return quote(raw, safe="/")


def annex_object_urls(base: str, key: Key, *, bare: bool = False) -> list[str]:
    """Where content may be at a git repository (its git directory) served as files; likely first.

    Repositories with a work tree use mixed hash directories; bare ones lower, and old ones mixed.
    """
    mixed, lower = (hash_dir_mixed(key), hash_dir_lower(key))
    name = quote_component(encode_file_name(key))
    order = (lower, mixed) if bare else (mixed, lower)
    top = base.rstrip("/")
    return [f"{top}/annex/objects/{quote_path(dirs)}/{name}/{name}" for dirs in order]


def http_also_urls(base: str, key: Key) -> list[str]:
    """Where content may be at a server that mirrors some other store; in git-annex's order."""
    name = quote_component(encode_file_name(key))
    lower, mixed = hash_dir_lower(key).decode(), hash_dir_mixed(key).decode()
    top = base.rstrip("/")
    return [
        f"{top}/{lower}/{name}/{name}",
        f"{top}/{mixed}/{name}/{name}",
        f"{top}/{name}",
        f"{top}/{lower}/{name}",
        f"{top}/{mixed}/{name}",
        f"{top}/{lower.partition('/')[0]}/{name}",
        f"{top}/{mixed.partition('/')[0]}/{name}",
    ]


def exported_urls(base: str, paths: Sequence[bytes]) -> list[str]:
    """Where content is at a server that holds a tree of files."""
    return [f"{base.rstrip('/')}/{quote_path(path)}" for path in paths]


@dataclass(frozen=True, slots=True)
class S3Version:
    """One version of one object in a bucket."""

    id: str
    object_name: bytes


def parse_s3_version(raw: bytes) -> S3Version | None:
    """Read a ``V`` value of a ``.log.rmet`` file: ``VERSIONID#OBJECT``; None when it is none."""
    version, mark, name = raw.partition(b"#")
    if not (version and mark and name):
        return None
    return S3Version(version.decode("utf-8", "surrogateescape"), name)


def s3_public_url(config: Mapping[str, str]) -> str | None:
    """The base of a bucket's public URLs from its remote.log settings; None when it has none."""
    given = config.get("publicurl")
    if given:
        return given.rstrip("/")
    bucket = config.get("bucket")
    if config.get("public") != "yes" or not bucket:
        return None
    host = config.get("host") or "s3.amazonaws.com"
    scheme = config.get("protocol") or "https"
    if config.get("requeststyle") == "path" or "." in bucket:
        # A bucket with dots in front of the host would not fit the host's certificate.
        return f"{scheme}://{host}/{bucket}"
    return f"{scheme}://{bucket}.{host}"


def s3_public_urls(
    config: Mapping[str, str],
    key: Key,
    *,
    versions: Sequence[bytes] = (),
    paths: Sequence[bytes] = (),
) -> list[str]:
    """Where content may be in a public bucket; certain ones first.

    ``versions`` are the ``V`` values recorded for the key and the place, ``paths`` the files of
    the exported tree that hold the key. A bucket that is no export holds objects named by the key
    as it is, not as file names have it.
    """
    base = s3_public_url(config)
    if base is None:
        return []
    found = [version for raw in versions if (version := parse_s3_version(raw)) is not None]
    urls = [
        f"{base}/{quote_path(version.object_name)}?versionId={quote(version.id, safe='')}"
        for version in found
    ]
    prefix = config.get("fileprefix", "").encode("utf-8", "surrogateescape")
    if config.get("exporttree") == "yes":
        return urls + [f"{base}/{quote_path(prefix + path)}" for path in paths]
    return [*urls, f"{base}/{quote_path(prefix + key)}"]


def datalad_url(source: str, top: str = DATALAD_TOP) -> str | None:
    """The URL that ``///NAME`` means to DataLad; None when it is no such name."""
    if not source.startswith("///"):
        return None
    name = source[3:].strip("/")
    return f"{top.rstrip('/')}/{name}" if name else top.rstrip("/")


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """What the git configuration of a repository tells those who read content from it."""

    uuid: PlaceId | None
    bare: bool
    annex_url: str | None
    tuned: bool = False
    """Whether content lies in other places than the standard layout says."""
    storage: PlaceId | None = None
    """The special remote that keeps content of this repository in a RIA store."""


_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\](.*)')
_SETTING = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?")


def parse_remote_config(text: str) -> RemoteConfig | None:
    """Read a ``config`` file of git that a server gave; None when it is something else.

    Only plain values are read; nothing is included from elsewhere.
    """
    values: dict[str, str] = {}
    section = None
    for raw in text.splitlines():
        line = raw.strip()
        if found := _SECTION.fullmatch(line):
            section = found[1].lower() + (f".{found[2]}" if found[2] is not None else "")
            line = found[3].strip()
        if not line or line[0] in "#;":
            continue
        setting = _SETTING.fullmatch(line)
        if setting is None or section is None:
            return None
        value = "true" if setting[2] is None else setting[2]
        values[f"{section}.{setting[1].lower()}"] = value.strip().strip('"')
    if section is None:
        return None
    uuid = values.get("annex.uuid")
    return RemoteConfig(
        PlaceId(uuid) if uuid else None,
        values.get("core.bare", "false").lower() in ("true", "yes", "on", "1"),
        values.get("annex.url"),
        any(name.startswith("annex.tune.") for name in values),
        PlaceId(values.get("datalad.ora-remote.uuid", "")) or None,
    )
