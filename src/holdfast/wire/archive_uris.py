"""URIs that say of content: it is a file in an archive, which is content itself. Pure.

DataLad's form: ``dl+archive:ARCHIVEKEY#path=folder/file&size=N``, the path quoted as in a form; an
older one is ``dl+archive:ARCHIVEKEY/folder/file#size=N``. In URL logs a colon goes before it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote_plus, unquote_to_bytes

from ..core.errors import ProtocolError
from ..core.key import Key
from ..core.place import PlaceId

ARCHIVES = PlaceId("c04eb54b-4b4e-5755-8436-866b043170fa")
"""The place of content in archives: the same one in all data sets."""

PROGRAM = "datalad-archives"
"""The special remote's name, and what its program is called after ``git-annex-remote-``."""

CONFIG = {
    "autoenable": "true",
    "encryption": "none",
    "externaltype": PROGRAM,
    "name": PROGRAM,
    "type": "external",
}
"""Its configuration, as DataLad writes it."""

_PREFIX = b":dl+archive:"
_SIZE = re.compile(rb"(?:^|&)size=([0-9]+)(?:&|$)")
_PATH = re.compile(rb"(?:^|&)path=([^&]*)")


class Packed(NamedTuple):
    """Where content is: the archive's key, the path in it, and how many bytes, if that is told."""

    archive: Key
    path: bytes
    size: int | None


def encode(packed: Packed) -> bytes:
    """The line of a URL log."""
    size = b"" if packed.size is None else b"&size=%d" % packed.size
    path = quote_plus(packed.path, safe="/").encode()
    return _PREFIX + packed.archive + b"#path=" + path + size


def decode(uri: bytes) -> Packed | None:
    """Read a line of a URL log; None when it is of no archive, or makes no sense."""
    if not uri.startswith(_PREFIX):
        return None
    name, _, fragment = uri[len(_PREFIX) :].partition(b"#")
    found = _PATH.search(fragment)
    if found is not None:
        path = unquote_to_bytes(found[1].replace(b"+", b" "))
    else:
        name, _, path = name.partition(b"/")
    size = _SIZE.search(fragment)
    try:
        key = Key.parse(name)
    except ProtocolError:
        return None
    return Packed(key, path, int(size[1]) if size else None) if path else None
