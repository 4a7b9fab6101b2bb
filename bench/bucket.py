"""A bucket in memory that speaks as much of S3 as copying needs, for measuring who talks to it.

It believes every signature, keeps what it is given and forgets it when it ends. The servers one can
install either refuse git-annex's requests or are themselves the limit; this one answers some
thousands of small requests a second and is the same for all.

    python bench/bucket.py PORT
"""

from __future__ import annotations

import asyncio
import sys
from email.utils import formatdate
from hashlib import md5
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_LIMIT = 1 << 20
_XML = "application/xml"


class Bucket:
    """What is kept: objects by ``/bucket/key``, parts by upload and number."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.buckets: set[str] = set()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for one request."""
        split = urlsplit(target)
        path, query = unquote(split.path), parse_qs(split.query, keep_blank_values=True)
        bucket, _, key = path.lstrip("/").partition("/")
        if not key:
            return self._bucket(method, bucket, query)
        if "uploads" in query or "uploadId" in query:
            return self._upload(method, path, query, body)
        if method == "PUT":
            return 200, {"ETag": self._keep(path, body)}, b""
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, {}, b""
        if path not in self.objects:
            return 404, {"Content-Type": _XML}, _fault("NoSuchKey")
        return self._read(path, headers.get("range", ""))

    def _keep(self, path: str, content: bytes) -> str:
        tag = f'"{md5(content).hexdigest()}"'
        self.objects[path] = content, tag
        return tag

    def _read(self, path: str, wanted: str) -> tuple[int, dict[str, str], bytes]:
        content, tag = self.objects[path]
        told = {"ETag": tag, "Last-Modified": formatdate(usegmt=True), "Accept-Ranges": "bytes"}
        if not wanted.startswith("bytes="):
            return 200, told, content
        first, _, last = wanted[6:].partition("-")
        start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
        told["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return 206, told, content[start : end + 1]

    def _bucket(
        self, method: str, bucket: str, query: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], bytes]:
        if method == "PUT":
            self.buckets.add(bucket)
            return 200, {"Location": f"/{bucket}"}, b""
        if bucket not in self.buckets:
            return 404, {"Content-Type": _XML}, _fault("NoSuchBucket")
        if method == "HEAD":
            return 200, {}, b""
        if "location" in query:
            return 200, {"Content-Type": _XML}, b"<LocationConstraint/>"
        prefix = query.get("prefix", [""])[0]
        start = f"/{bucket}/"
        mark = query.get("delimiter", [""])[0]
        names = sorted(n for n in self.objects if n.startswith(start + prefix))
        folders: dict[str, None] = {}
        if mark:
            skip = len(start + prefix)
            inside = [n for n in names if mark in n[skip:]]
            folders = dict.fromkeys(prefix + n[skip:].split(mark)[0] + mark for n in inside)
            names = [n for n in names if mark not in n[skip:]]
        items = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders
        )
        items += "".join(
            f"<Contents><Key>{escape(name[len(start) :])}</Key><Size>{len(self.objects[name][0])}"
            f"</Size><ETag>{self.objects[name][1]}</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name in names
        )
        body = f"<ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>{items}"
        return 200, {"Content-Type": _XML}, f"{body}</ListBucketResult>".encode()

    def _upload(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        told = {"Content-Type": _XML}
        if "uploads" in query:
            name = f"upload-{len(self.parts)}"
            self.parts[name] = {}
            xml = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
            return 200, told, f"{xml}</InitiateMultipartUploadResult>".encode()
        name = query["uploadId"][0]
        if method == "PUT":
            self.parts[name][int(query["partNumber"][0])] = body
            return 200, {"ETag": f'"{md5(body).hexdigest()}"'}, b""
        parts = self.parts.pop(name)
        if method == "DELETE":
            return 204, {}, b""
        tag = self._keep(path, b"".join(parts[number] for number in sorted(parts)))
        xml = f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        return 200, told, xml.encode()


def _fault(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


async def serve(port: int) -> None:
    """Answer on a port of this machine for ever."""
    bucket = Bucket()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _one(bucket, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, limit=_LIMIT)
    async with server:
        await server.serve_forever()


async def _one(bucket: Bucket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    if "aws-chunked" in headers.get("content-encoding", ""):
        body = _unsigned(body)
    status, told, content = bucket.answer(method, target, headers, body)
    told = {**told, "Content-Length": str(len(content)), "x-amz-request-id": "0"}
    lines = [f"{name}: {value}" for name, value in told.items()]
    writer.write(f"HTTP/1.1 {status} OK\r\n".encode())
    writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
    if method != "HEAD":
        writer.write(content)
    await writer.drain()
    return headers.get("connection", "").lower() != "close"


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return b"".join(parts)


def _unsigned(body: bytes) -> bytes:
    """The content of a body that was signed piece by piece."""
    parts, at = [], 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].split(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
