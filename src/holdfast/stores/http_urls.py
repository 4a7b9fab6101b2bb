"""URLs for HTTP: their parts, and how to show them without secrets."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

PORTS = {"http": 80, "https": 443}


def safe_url(url: str) -> str:
    """A URL for people: no user, no password, no query."""
    try:
        parts = urlsplit(url)
        query = "…" if parts.query else ""
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
    except ValueError:
        return "the URL"


def host_of(url: str) -> str:
    """Host and port of a URL, for people."""
    return urlsplit(url).netloc.rpartition("@")[2]


def server_of(url: str) -> str:
    """Host and port, by which paces are kept; nothing of what is no URL: who opens it is told."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def bare_url(parts: SplitResult) -> str:
    """A URL without user and password, to resolve others against."""
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def origin_of(parts: SplitResult) -> str:
    """Scheme, host and port: what a connection and a password belong to."""
    try:
        port = parts.port
    except ValueError:
        port = None
    scheme = parts.scheme.lower()
    return f"{scheme}://{parts.hostname}:{port or PORTS.get(scheme)}"


def login_of(parts: SplitResult) -> str | None:
    """The Authorization header that user and password of a URL make; None without them."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + b64encode(pair.encode()).decode()
