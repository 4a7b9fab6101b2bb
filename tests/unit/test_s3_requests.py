"""Requests of S3 against published examples; a bucket's words as git-annex understands them."""

from __future__ import annotations

import pytest

from holdfast.core.errors import (
    AccessError,
    NotFoundError,
    PlaceFullError,
    PlaceUnavailableError,
    UsageError,
)
from holdfast.stores.s3 import plan_setup
from holdfast.stores.s3_reply import Reply, Where, check
from holdfast.wire import s3

EXAMPLE = s3.Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
HOST = "examplebucket.s3.amazonaws.com"
MOMENT = "20130524T000000Z"


def signature(method: str, path: str, query: dict[str, str], **headers: str) -> str:
    named = {"host": HOST, **{name.replace("_", "-"): v for name, v in headers.items()}}
    digest = named.pop("digest", s3.EMPTY_SHA256)
    made = EXAMPLE.headers(method, path, query, named, digest, MOMENT)
    return made["authorization"].rpartition("=")[2]


def test_the_signatures_of_the_published_examples_come_out() -> None:
    assert signature("GET", "/test.txt", {}, range="bytes=0-9") == (
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    assert signature("GET", "/", {"lifecycle": ""}) == (
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )
    assert signature("GET", "/", {"max-keys": "2", "prefix": "J"}) == (
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_no_secret_is_in_what_is_shown_of_a_signer() -> None:
    assert "wJalr" not in repr(EXAMPLE)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"SHA256E-s1--ab.txt", "/b/SHA256E-s1--ab.txt"),
        (b"URL--http://h//x?a=1&b", "/b/URL--http%3A//h//x%3Fa%3D1%26b"),
        (b"a%b \xff/", "/b/a%25b%20%FF/"),
    ],
)
def test_every_byte_of_a_name_comes_through(name: bytes, path: str) -> None:
    bucket = s3.bucket_of({"bucket": "b", "host": "h", "requeststyle": "path"})
    assert bucket.path(name) == path


@pytest.mark.parametrize(
    ("config", "host", "path"),
    [
        ({}, "name.s3.amazonaws.com", "/k"),
        ({"requeststyle": "path"}, "s3.amazonaws.com", "/name/k"),
        ({"bucket": "with.dot"}, "s3.amazonaws.com", "/with.dot/k"),
        ({"datacenter": "EU"}, "name.s3.eu-west-1.amazonaws.com", "/k"),
        ({"region": "eu-north-1"}, "name.s3.eu-north-1.amazonaws.com", "/k"),
        ({"host": "127.0.0.1", "port": "9", "protocol": "http"}, "127.0.0.1:9", "/name/k"),
        ({"host": "s3.example.org", "port": "80"}, "name.s3.example.org", "/k"),
    ],
)
def test_where_a_bucket_is(config: dict[str, str], host: str, path: str) -> None:
    bucket = s3.bucket_of({"bucket": "name", **config})
    assert (bucket.host_header, bucket.path(b"k")) == (host, path)


def test_words_that_are_not_known_are_refused() -> None:
    for given in ({"buket": "b"}, {"partsize": "1GiB"}, {"signature": "v2"}, {"port": "x"}):
        with pytest.raises(UsageError):
            plan_setup(given)


def test_what_is_usual_is_written_down_as_git_annex_does() -> None:
    setup = plan_setup({"bucket": "b", "host": "h", "protocol": "http"})
    assert setup.local == {"annex-s3": "true"}
    assert setup.config == {
        "bucket": "b", "host": "h", "protocol": "http", "port": "80", "datacenter": "US",
        "storageclass": "STANDARD",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", AccessError),
        (400, b"<Error><Code>ExpiredToken</Code></Error>", AccessError),
        (404, b"<Error><Code>NoSuchKey</Code></Error>", NotFoundError),
        (403, b"<Error><Code>QuotaExceeded</Code></Error>", AccessError),
        (507, b"", PlaceFullError),
        (503, b"<Error><Code>SlowDown</Code></Error>", PlaceUnavailableError),
    ],
)
def test_what_a_server_says_is_one_of_our_faults(
    status: int, body: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        check(Reply(status, {}, body), Where("place", "b", "h", 1.0))


def test_lists_of_uploads_are_read_quoted_or_not_and_go_on_at_their_markers() -> None:
    entry = "<Upload><Key>{}</Key><UploadId>{}</UploadId></Upload>"
    begin, end = "<ListMultipartUploadsResult>", "</ListMultipartUploadsResult>"
    quoted = begin + entry.format("a%20b+c", "1") + entry.format("&amp;%FF", "2")
    quoted += "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
    quoted += "<NextKeyMarker>%26%C3%A9</NextKeyMarker>"
    quoted += f"<NextUploadIdMarker>2</NextUploadIdMarker>{end}"
    assert s3.read_uploads(quoted.encode()) == (
        [(b"a b c", "1"), (b"&\xff", "2")],
        {"key-marker": "&é", "upload-id-marker": "2"},
    )
    raw = f"{begin}{entry.format('a%20b+c', '1')}<IsTruncated>false</IsTruncated>{end}"
    assert s3.read_uploads(raw.encode()) == ([(b"a%20b+c", "1")], {})
    assert s3.read_uploads(quoted.encode()[:-1]) is None


def test_lists_of_parts_are_read_and_what_is_none_is_not() -> None:
    entry = "<Part><PartNumber>{}</PartNumber><ETag>&quot;ab&quot;</ETag><Size>{}</Size></Part>"
    more = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker>"
    body = f"<ListPartsResult>{entry.format(7, 12)}{more}</ListPartsResult>"
    assert s3.read_parts(body.encode()) == ([(7, 12, '"ab"')], {"part-number-marker": "7"})
    assert s3.read_parts(body.replace(">12<", ">-1<").encode()) is None
    assert s3.read_parts(b"<html>") is None
