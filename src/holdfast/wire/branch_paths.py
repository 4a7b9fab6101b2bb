"""Names of files in the git-annex branch, and of their journal files.

What is known of a key lies in files named after it, below the two lower hash directories.
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from ..core.errors import ProtocolError
from ..core.key import RECENT, Key, encode_file_name, hash_dir_lower

UUID_LOG = b"uuid.log"
REMOTE_LOG = b"remote.log"
TRUST_LOG = b"trust.log"
NUMCOPIES_LOG = b"numcopies.log"
MINCOPIES_LOG = b"mincopies.log"
GROUP_LOG = b"group.log"
PREFERRED_LOG = b"preferred-content.log"
REQUIRED_LOG = b"required-content.log"
GROUP_PREFERRED_LOG = b"group-preferred-content.log"
MAXSIZE_LOG = b"maxsize.log"
CONFIG_LOG = b"config.log"
EXPORT_LOG = b"export.log"
ACTIVITY_LOG = b"activity.log"
DIFFERENCE_LOG = b"difference.log"
TRANSITIONS_LOG = b"transitions.log"

LOCATION = b".log"
URL = b".log.web"
METADATA = b".log.met"
PLACE_METADATA = b".log.rmet"
PLACE_STATE = b".log.rmt"
CHUNKS = b".log.cnk"
CONTENT_IDS = b".log.cid"
EQUIVALENT_KEYS = b".log.ek"

_KEY_LOG = re.compile(
    rb"[0-9a-f]{3}/[0-9a-f]{3}/([^/]+)(\.log(?:\.(?:web|met|rmet|rmt|cnk|cid|ek))?)", re.DOTALL
)
USUAL_KEY = rb"[A-Z0-9_]+-s(?:0|[1-9][0-9]*)--[0-9A-Za-z.]+"
"""Matches keys that are canonical and written as they are in file names: nearly all."""
_USUAL_KEY = re.compile(USUAL_KEY)
_USUAL_LOG = re.compile(rb"[0-7]+ blob ([0-9a-f]+)\t[0-9a-f]{3}/[0-9a-f]{3}/(%b)\.log" % USUAL_KEY)
"""A location log as `git ls-tree -r` lists it, its key in the usual form."""
_HASHED_JOURNAL = re.compile(rb"([0-9a-f]{3})_([0-9a-f]{3})_(.+)", re.DOTALL)


def key_log(key: Key, suffix: bytes) -> bytes:
    """The file of one kind (``LOCATION``, ``URL``…) about a key."""
    return b"%b/%b%b" % (hash_dir_lower(key), encode_file_name(key), suffix)


@lru_cache(maxsize=RECENT)
def location_log(key: Key) -> bytes:
    """Which places have a copy."""
    return key_log(key, LOCATION)


def url_log(key: Key) -> bytes:
    """Which URLs content can be had from."""
    return key_log(key, URL)


def metadata_log(key: Key) -> bytes:
    """What people say of the content."""
    return key_log(key, METADATA)


def place_metadata_log(key: Key) -> bytes:
    """What places say of the content, such as S3 version ids."""
    return key_log(key, PLACE_METADATA)


def place_state_log(key: Key) -> bytes:
    """What programs for external places noted."""
    return key_log(key, PLACE_STATE)


def chunk_log(key: Key) -> bytes:
    """In how many chunks of what size places hold the content."""
    return key_log(key, CHUNKS)


def content_id_log(key: Key) -> bytes:
    """By which identifiers places that can be imported from know the content."""
    return key_log(key, CONTENT_IDS)


def equivalent_key_log(key: Key) -> bytes:
    """Which keys with real hashes a VURL key stands for."""
    return key_log(key, EQUIVALENT_KEYS)


def parse_branch_path(path: bytes) -> tuple[Key, bytes] | None:
    """The key and the kind of file a path is about; None for files about no key.

    The hash directories are not checked against the key.
    """
    found = _KEY_LOG.fullmatch(path)
    if found is None:
        return None
    name, suffix = found.groups()
    key = key_of_file_name(name)
    return None if key is None else (key, suffix)


def iter_location_logs(fields: Iterable[bytes]) -> Iterator[tuple[Key, bytes]]:
    """The keys and objects (hex) of the location logs in a listing of `git ls-tree -r`."""
    for field in fields:
        usual = _USUAL_LOG.fullmatch(field)
        if usual is not None:
            yield Key(usual[2]), usual[1]
            continue
        facts, _, path = field.partition(b"\t")
        parsed = parse_branch_path(path)
        if parsed is not None and parsed[1] == LOCATION:
            yield parsed[0], facts.rpartition(b" ")[2]


def key_of_file_name(name: bytes) -> Key | None:
    """The key that a file is named after, or None; made for millions of names."""
    if _USUAL_KEY.fullmatch(name):
        return Key(name)
    try:
        return Key.from_file_name(name)
    except ProtocolError:
        return None


def journal_name(path: bytes) -> bytes:
    """The journal file that holds the new version of a branch file."""
    return path.replace(b"_", b"__").replace(b"/", b"_")


def branch_path_of_journal(name: bytes) -> bytes:
    """Undo `journal_name`.

    ``___`` could be read two ways; that hash directories have no ``_`` tells them apart for every
    path git-annex uses.
    """
    found = _HASHED_JOURNAL.fullmatch(name)
    if found is None:
        return _unmangle(name)
    first, second, rest = found.groups()
    return b"%b/%b/%b" % (first, second, _unmangle(rest))


def _unmangle(name: bytes) -> bytes:
    return name.replace(b"_", b"/").replace(b"//", b"_")
