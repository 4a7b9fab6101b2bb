"""What URLs give their names to: files, and requests that a server understands. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from ..core.extensions import key_extension

_SAFE = re.compile(r"[^A-Za-z0-9._-]")
_NAME_MAX = 255


def file_name(url: str) -> str:
    """The name git-annex's addurl gives to a file: host, path and query, odd signs as ``_``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    return _plain(host + rest)[:_NAME_MAX]


def last_name(url: str) -> str:
    """The last component of a URL's path, as people would call the file; empty when it has none."""
    name = unquote(urlsplit(url).path, errors="surrogateescape").rpartition("/")[2]
    return "" if name in (".", "..") else name.replace("\0", "_").replace("\n", "_")


def requestable(url: str) -> str:
    """A URL as it can be sent: what is not ASCII, and spaces, percent-encoded; no fragment."""
    return quote(url.partition("#")[0], safe="%/:=&?~+!$,;'@()*[]", errors="surrogateescape")


def parts_of(url: str) -> dict[str, str]:
    """What templates may use of a URL: ``_url_hostname``, ``_url0``…, ``_url_basename`` and its
    ``_root`` and ``_ext``.
    """
    parsed = urlsplit(url)
    found = {"_url_hostname": parsed.netloc.rpartition("@")[2]}
    names = parsed.path.strip("/").split("/") if parsed.path.strip("/") else []
    found.update({f"_url{number}": name for number, name in enumerate(names)})
    if names:
        extension = key_extension(names[-1].encode("utf-8", "surrogateescape"))
        end = extension.decode("utf-8", "surrogateescape")
        found["_url_basename"] = names[-1]
        found["_url_basename_root"] = names[-1].removesuffix(end) if end else names[-1]
        found["_url_basename_ext"] = end
    return found


def _plain(text: str) -> str:
    return _SAFE.sub("_", quote(text, safe=_KEPT, errors="surrogateescape").replace("%", "_"))


_KEPT = "".join(chr(code) for code in range(128))
