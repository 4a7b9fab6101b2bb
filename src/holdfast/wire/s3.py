"""Requests of S3: names in URLs, signatures (version 4), the few answers whose words matter. Pure.

Answers are XML of which one word is wanted each time; it is looked for, never parsed as XML.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from html import escape, unescape
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, unquote_to_bytes

EMPTY_SHA256 = hashlib.sha256().hexdigest()
Item = TypeVar("Item")
_REQUEST, _SERVICE, _ALGORITHM = "aws4_request", "s3", "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Signer:
    """Who signs requests, for which region."""

    access_key: str
    secret: str = field(repr=False)
    region: str
    token: str | None = field(default=None, repr=False)

    def headers(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        payload_sha256: str,
        moment: str,
    ) -> dict[str, str]:
        """The headers of a request, its signature among them.

        ``path`` is quoted, as it will be sent; ``headers`` has the host; ``moment`` is such as
        ``20261121T231500Z``.
        """
        signed = {name.lower(): value.strip() for name, value in headers.items()}
        signed["x-amz-content-sha256"] = payload_sha256
        signed["x-amz-date"] = moment
        if self.token:
            signed["x-amz-security-token"] = self.token
        ordered, names = _in_order(tuple(signed))
        lines = "".join([f"{name}:{_one_spaced(signed[name])}\n" for name in ordered])
        asked = query_of(query) if query else ""
        request = f"{method}\n{path}\n{asked}\n{lines}\n{names}\n{payload_sha256}"
        scope = f"{moment[:8]}/{self.region}/{_SERVICE}/{_REQUEST}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = _signing_key(self.secret, moment[:8], self.region)
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={self.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return signed


@lru_cache(64)
def _in_order(names: tuple[str, ...]) -> tuple[list[str], str]:
    """Names of headers as they are signed, and the one word of all."""
    ordered = sorted(names)
    return ordered, ";".join(ordered)


def _one_spaced(value: str) -> str:
    return " ".join(value.split()) if "  " in value else value


@lru_cache(16)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for word in (day, region, _SERVICE, _REQUEST):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


def quote_name(name: bytes) -> str:
    """The name of an object as part of a path; every byte comes through."""
    return quote(name, safe="/-_.~")


def query_of(query: Mapping[str, str]) -> str:
    """A query, sorted and quoted as signatures want it."""
    pairs = ((quote(name, safe="-_.~"), quote(query[name], safe="-_.~")) for name in query)
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def word_of(body: bytes, tag: str) -> str:
    """The text of the first element of a name; empty when there is none."""
    found = re.search(rb"<%b(?:\s[^>]*)?>([^<]*)</%b>" % ((tag.encode(),) * 2), body)
    return unescape(found[1].decode("utf-8", "replace")).strip() if found else ""


class ObjectPage(NamedTuple):
    """Some objects of a bucket: name, size, ETag; ``token`` leads to more, if there are."""

    objects: list[tuple[bytes, int, str]]
    token: str


def read_page(body: bytes) -> ObjectPage | None:
    """The answer to a request for a list with quoted names; None when it is none, or cut short."""
    if b"<ListBucketResult" not in body or b"</ListBucketResult>" not in body:
        return None
    objects = []
    for entry in re.findall(rb"<Contents>(.*?)</Contents>", body, re.DOTALL):
        size = word_of(entry, "Size")
        if not _is_number(size):
            return None
        objects.append((_name_of(word_of(entry, "Key")), int(size), word_of(entry, "ETag")))
    has_more = word_of(body, "IsTruncated") == "true"
    return ObjectPage(objects, word_of(body, "NextContinuationToken") if has_more else "")


class Page(NamedTuple, Generic[Item]):
    """A part of a longer list; ``markers`` lead to more, as words of a query, if there is more."""

    items: list[Item]
    markers: dict[str, str]


def read_uploads(body: bytes) -> Page[tuple[bytes, str]] | None:
    """Uploads in parts that were begun: object and id, the latest of an object last.

    From the answer to a request for quoted names, which not every server heeds; None when it is no
    such list.
    """
    if b"</ListMultipartUploadsResult>" not in body:
        return None
    named = _name_of if word_of(body, "EncodingType") == "url" else _raw_name
    items = [
        (named(word_of(entry, "Key")), word_of(entry, "UploadId"))
        for entry in re.findall(rb"<Upload>(.*?)</Upload>", body, re.DOTALL)
    ]
    markers = _markers(
        body, {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
    )
    if markers:
        after = named(markers["key-marker"])
        markers["key-marker"] = after.decode("utf-8", "surrogateescape")
    return Page(items, markers)


def read_parts(body: bytes) -> Page[tuple[int, int, str]] | None:
    """Parts of an upload that are there: number, size, ETag; None when it is no such list."""
    if not re.search(
        rb"</ListParts(Result|Response)>", body
    ):  # the second is what some servers say
        return None
    items = []
    for entry in re.findall(rb"<Part>(.*?)</Part>", body, re.DOTALL):
        number, size = word_of(entry, "PartNumber"), word_of(entry, "Size")
        if not (_is_number(number) and _is_number(size)):
            return None
        items.append((int(number), int(size), word_of(entry, "ETag")))
    return Page(items, _markers(body, {"part-number-marker": "NextPartNumberMarker"}))


def _markers(body: bytes, names: Mapping[str, str]) -> dict[str, str]:
    if word_of(body, "IsTruncated") != "true":
        return {}
    return {word: word_of(body, tag) for word, tag in names.items()}


def _name_of(quoted: str) -> bytes:
    return unquote_to_bytes(quoted.replace("+", "%20"))


def _raw_name(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,18}", text) is not None


def parts_document(etags: Sequence[str]) -> bytes:
    """What completes an upload in parts."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag, quote=False)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def bucket_document(region: str) -> bytes:
    """What makes a bucket in a region; nothing where that needs no words."""
    if region == "us-east-1":
        return b""
    where = f"<LocationConstraint>{escape(region)}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{where}</CreateBucketConfiguration>".encode()


VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


@dataclass(frozen=True)
class Bucket:
    """Where a bucket is: server, name, and how both make URLs."""

    scheme: str
    host: str
    port: int
    name: str
    by_path: bool

    @cached_property
    def host_header(self) -> str:
        """Host and port as requests name them."""
        name = self.host if self.by_path else f"{self.name}.{self.host}"
        usual = {"http": 80, "https": 443}[self.scheme]
        return name if self.port == usual else f"{name}:{self.port}"

    def path(self, name: bytes = b"") -> str:
        """The path of an object, or of the bucket itself."""
        return (f"/{self.name}/" if self.by_path else "/") + quote_name(name)


def bucket_of(config: Mapping[str, str]) -> Bucket:
    """The bucket of a special remote, by git-annex's words for it.

    Raises:
        ValueError: The words make no sense.
    """
    host = config.get("host") or "s3.amazonaws.com"
    if host == "s3.amazonaws.com" and region_of(config) != "us-east-1":
        host = f"s3.{region_of(config)}.amazonaws.com"
    scheme = config.get("protocol") or ("http" if config.get("port") == "80" else "https")
    if scheme not in ("http", "https"):
        raise ValueError(f"protocol={scheme}")
    port = int(config.get("port") or {"http": 80, "https": 443}[scheme])
    name = config["bucket"]
    plain = re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) is not None
    # An address has no names below it, and a certificate covers one level of names.
    alone = re.fullmatch(r"[0-9.]+|\[.*\]|localhost", host) is not None
    return Bucket(
        scheme, host, port, name, config.get("requeststyle") == "path" or not plain or alone
    )


_PLACES = {"": "us-east-1", "us": "us-east-1", "eu": "eu-west-1"}


def region_of(config: Mapping[str, str]) -> str:
    """The region to sign for, until a bucket says otherwise."""
    datacenter = config.get("datacenter", "")
    return config.get("region") or _PLACES.get(datacenter.lower(), datacenter)
