"""An archive over HTTP: pieces by ranges, blocks as a gateway gives them, and nothing that is wrong."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from archive_reader import files_of
from scenes import HOLD, contents, environment, must
from serving_scene import make_folder, packed, pieces_of, served

from holdfast.api import archive_serving
from holdfast.api.archive_found import iter_archive_versions
from holdfast.api.archive_restore import RestorePlan, iter_archive_restore
from holdfast.api.archive_serving import ServedArchive
from holdfast.api.served import Rights
from holdfast.core.outcome import Status
from holdfast.site.access import Access
from holdfast.site.archive_server import ArchiveServer
from holdfast.site.http_server import Listening
from holdfast.wire import piece_cid
from holdfast.wire.car import CarReader
from holdfast.wire.cid import Cid, cid_text, dag_pb_cid
from holdfast.wire.dag_walk import ByteRange, Scope, iter_scope
from holdfast.wire.unixfs import Kind
from holdfast.wire.unixfs_folders import iter_tree, resolve
from holdfast.wire.unixfs_reading import iter_file

CAR = "application/vnd.ipld.car"


class Answer(NamedTuple):
    """What a server answered; ``is_whole`` is false when it was cut."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True


class Client:
    """Asks one server."""

    def __init__(self, server: ArchiveServer) -> None:
        self.address = ("127.0.0.1", server.server_address[1])

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with closing(http.client.HTTPConnection(*self.address, timeout=30)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return Answer(answer.status, told, answer.read())
            except http.client.IncompleteRead as error:
                return Answer(answer.status, told, error.partial, is_whole=False)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("serving")
    packed(make_folder(top / "scans"))
    return top


def start(archive: ServedArchive, access: Access | None = None) -> ArchiveServer:
    server = ArchiveServer(archive, access or Access(Rights.READ, Rights.READ), Listening())
    threading.Thread(target=server.serve_until_stopped, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def archive(scene: Path) -> ServedArchive:
    return served(scene)


@pytest.fixture(scope="module")
def client(archive: ServedArchive) -> Iterator[Client]:
    server = start(archive)
    yield Client(server)
    server.stop()


@pytest.fixture
def copy(scene: Path, tmp_path: Path) -> Iterator[tuple[Path, Client]]:
    """A scene of the test's own to do harm to, and who serves it."""
    shutil.copytree(scene, tmp_path / "top", symlinks=True)
    server = start(served(tmp_path / "top"))
    yield tmp_path / "top", Client(server)
    server.stop()


# pieces


def test_a_piece_by_ranges_is_the_file_that_was_written(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    for piece, car in pieces_of(scene, archive):
        head = client.ask(f"/piece/{piece.text}", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(car))
        assert head.headers["accept-ranges"] == "bytes"
        assert "immutable" in head.headers["cache-control"]
        parts = []
        for first in range(0, len(car), 700_001):
            last = min(first + 700_000, len(car) - 1)
            part = client.ask(f"/piece/{piece.text}", Range=f"bytes={first}-{last}")
            assert part.status == 206
            assert part.headers["content-range"] == f"bytes {first}-{last}/{len(car)}"
            parts.append(part.body)
        assert b"".join(parts) == car
        whole = client.ask(f"/piece/{piece.text}")
        assert (whole.status, whole.body) == (200, car)


def test_random_ranges_are_those_of_the_file(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    chance = random.Random(3)
    for piece, car in pieces_of(scene, archive):
        for _ in range(20):
            first = chance.randrange(len(car))
            last = chance.randrange(first, min(len(car), first + chance.choice((1, 99, 3 << 20))))
            for asked in (f"{first}-{last}", f"{first}-", f"-{len(car) - first}"):
                stop = last + 1 if asked.endswith(str(last)) and asked[0] != "-" else len(car)
                part = client.ask(f"/piece/{piece.text}", Range=f"bytes={asked}")
                assert (part.status, part.body) == (206, car[first:stop]), asked


def test_an_archive_is_restored_from_the_page_that_names_its_pieces(
    scene: Path, client: Client, tmp_path: Path
) -> None:
    allow = {"annex.security.allowed-ip-addresses": "127.0.0.1"}
    url = "http://{}:{}/".format(*client.address)
    told = list(iter_archive_versions([url], allow))
    assert [one.status for one in told] == [Status.OK] * len(told) and told
    plan = RestorePlan(settings=allow)
    outcomes = list(iter_archive_restore([url], os.fsencode(tmp_path / "out"), plan=plan))
    assert all(one.good for one in outcomes), outcomes
    assert contents(tmp_path / "out") == contents(scene / "scans")


def test_a_piece_has_two_names_and_a_tag(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    piece, car = pieces_of(scene, archive)[0]
    v1 = cid_text(piece_cid.write_v1(piece_cid.read(piece.cid).root))
    assert v1.startswith("baga6ea4seaq")
    first = client.ask(f"/piece/{v1}", Range="bytes=0-58")
    tag = first.headers["etag"]
    assert first.body == car[:59]
    path = f"/piece/{piece.text}"
    assert client.ask(path, "HEAD").headers["etag"] == tag
    assert client.ask(path, If_None_Match=f'"other", W/{tag}').status == 304
    assert client.ask(path, Range="bytes=5-9", If_Range=tag).body == car[5:10]
    assert client.ask(path, Range="bytes=5-9", If_Range='"other"').status == 200


def test_ranges_that_cannot_be_are_refused(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    piece, car = pieces_of(scene, archive)[0]
    for asked in (f"{len(car)}-", f"{len(car) + 5}-{len(car) + 9}", "9-5", "-0"):
        answer = client.ask(f"/piece/{piece.text}", Range=f"bytes={asked}")
        assert answer.status == 416, asked
        assert answer.headers["content-range"] == f"bytes */{len(car)}"
    over = client.ask(f"/piece/{piece.text}", Range=f"bytes={len(car) - 3}-{len(car) + 99}")
    assert (over.status, over.body) == (206, car[-3:])
    for asked in ("lines=0-5", "bytes=a-b", "bytes=0-1,5-6"):
        assert client.ask(f"/piece/{piece.text}", "HEAD", Range=asked).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/piece/", 400),
        ("/piece/nothing", 400),
        ("/piece/../../etc/passwd", 400),
        ("/piece/bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy", 404),
        ("/piece/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", 400),
        ("/piece/" + "b" * 5000, 400),
        ("/pieces", 404),
        ("/etc/passwd", 404),
        ("//piece/x", 400),
    ],
)
def test_what_is_no_piece_is_refused(client: Client, path: str, status: int) -> None:
    answer = client.ask(path)
    assert answer.status == status
    assert b"/tmp" not in answer.body


def test_nobody_can_send_anything(client: Client) -> None:
    assert client.ask("/piece/x", "POST").status == 405
    assert client.ask("/piece/x", "PUT").status == 501


# sources that are others now


def _change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


HARM: dict[str, Callable[[Path], object]] = {
    "changed": _change,
    "cut short": lambda path: os.truncate(path, 5),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_not_there_any_more_is_503_and_the_rest_is_given(
    copy: tuple[Path, Client], harm: str
) -> None:
    top, client = copy
    HARM[harm](top / "scans/b/05")
    refused = 0
    for piece, car in pieces_of(top, served(top)):
        for first in range(0, len(car), 200_000):
            last = min(first + 199_999, len(car) - 1)
            part = client.ask(f"/piece/{piece.text}", Range=f"bytes={first}-{last}")
            if part.status == 503:
                refused += 1
                assert b"files/b/05" in part.body
            else:
                assert part.body == car[first : first + len(part.body)]
                assert part.is_whole
    assert 1 <= refused <= 3


def test_what_fails_on_the_way_is_cut_off(copy: tuple[Path, Client]) -> None:
    top, client = copy
    _change(top / "scans/b/deep/large")
    cut = 0
    for piece, car in pieces_of(top, served(top)):
        answer = client.ask(f"/piece/{piece.text}")
        assert answer.status in (200, 503)
        if answer.status == 200:
            assert answer.body == car[: len(answer.body)]
            assert answer.is_whole == (len(answer.body) == len(car))
            cut += not answer.is_whole
    assert cut == 1
    [root] = served(top).roots
    car_answer = client.ask(f"/ipfs/{cid_text(root)}?format=car")
    assert car_answer.status == 200 and not car_answer.is_whole


def _ask_raw(client: Client, request: bytes) -> bytes:
    """All that comes until the connection is closed in order."""
    with closing(socket.create_connection(client.address, timeout=30)) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize("version", [b"", b" HTTP/1.0"])
def test_a_car_without_chunks_is_whole_or_its_connection_is_reset(
    copy: tuple[Path, Client], version: bytes
) -> None:
    top, client = copy
    path = f"/ipfs/{cid_text(served(top).roots[0])}?format=car"
    request = b"GET %b%b\r\n\r\n" % (path.encode(), version)
    answer = _ask_raw(client, request)
    car = answer.partition(b"\r\n\r\n")[2] if version else answer
    assert car == client.ask(path).body
    _change(top / "scans/b/deep/large")
    with pytest.raises(ConnectionResetError):
        _ask_raw(client, request)


def test_a_length_of_very_many_digits_is_not_understood(client: Client) -> None:
    answer = client.ask("/", Content_Length="9" * 5000)
    assert answer.status == 400


# blocks


def _blocks(car: bytes) -> dict[Cid, bytes]:
    return {section.cid: section.block for section in CarReader([car])}


def _getter(car: bytes) -> Callable[[Cid], bytes]:
    blocks = _blocks(car)
    return blocks.__getitem__


def test_a_snapshot_as_a_car_has_every_file(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    [root] = archive.roots
    answer = client.ask(f"/ipfs/{cid_text(root)}?format=car")
    assert answer.headers["content-type"] == f"{CAR}; version=1; order=dfs; dups=y"
    assert answer.headers["x-content-type-options"] == "nosniff"
    get = _getter(answer.body)
    found = {}
    for item in iter_tree(root, get):
        path = item.path.decode()
        if item.kind is Kind.FILE:
            found[path] = "file", b"".join(iter_file(item.cid, get))
        elif item.kind is Kind.SYMLINK:
            found[path] = "link", item.target
    found.pop("README.txt")
    assert found == files_of(scene / "scans")


@pytest.mark.parametrize("dups", ["y", "n"])
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("path", ["", "files", "files/b/deep/large", "files/d", "README.txt"])
def test_answers_are_the_blocks_of_the_walk(
    archive: ServedArchive, client: Client, path: str, scope: Scope, dups: str
) -> None:
    [root] = archive.roots
    names = tuple(name.encode() for name in path.split("/") if name)
    with archive.open_blocks() as blocks:
        wanted = list(iter_scope(root, names, blocks.get, scope, repeats=dups == "y"))
    accept = f"text/html, {CAR};version=1;order=dfs;dups={dups};q=0.9"
    answer = client.ask(f"/ipfs/{cid_text(root)}/{path}?dag-scope={scope}", Accept=accept)
    assert answer.status == 200
    reader = CarReader([answer.body])
    assert reader.roots == [root]
    assert [(section.cid, section.block) for section in reader] == wanted
    assert answer.headers["content-type"].endswith(f"dups={dups}")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0:*", ByteRange(0, None)),
        ("1048576:1048576", ByteRange(1_048_576, 1_048_576)),
        ("-5:*", ByteRange(-5, None)),
        ("-3000000:-2000000", ByteRange(-3_000_000, -2_000_000)),
    ],
)
def test_bytes_of_a_file_come_with_the_blocks_they_need(
    scene: Path, archive: ServedArchive, client: Client, text: str, wanted: ByteRange
) -> None:
    [root] = archive.roots
    path = f"/ipfs/{cid_text(root)}/files/b/deep/large?format=car&entity-bytes={text}"
    get = _getter(client.ask(path).body)
    content = (scene / "scans/b/deep/large").read_bytes()
    start, stop = wanted.within(len(content))
    cid = resolve(root, [b"files", b"b", b"deep", b"large"], get).cid
    assert b"".join(iter_file(cid, get, start, stop)) == content[start:stop]


def test_every_block_of_every_piece_is_given_raw(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    for _, car in pieces_of(scene, archive):
        for cid, block in _blocks(car).items():
            answer = client.ask(f"/ipfs/{cid_text(cid)}", Accept="application/vnd.ipld.raw")
            assert (answer.status, answer.body) == (200, block)
            assert answer.headers["content-type"] == "application/vnd.ipld.raw"


def test_the_probe_is_answered(client: Client) -> None:
    answer = client.ask("/ipfs/bafkqaaa?format=raw")
    assert (answer.status, answer.body) == (200, b"")
    assert client.ask("/ipfs/bafkqaaa?format=car").status == 200


NOT_DAG_PB = cid_text(dag_pb_cid(b"c" * (1 << 20)))
"""Says that a leaf is a node."""
NOBODY = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/ipfs/{NOBODY}?format=raw", 404),
        (f"/ipfs/{NOBODY}?format=car", 404),
        (f"/ipfs/{NOBODY}/a/b?format=car", 404),
        (f"/ipfs/{NOBODY}", 406),
        (f"/ipfs/{NOBODY}?format=tar", 400),
        ("/ipfs/?format=raw", 400),
        ("/ipfs/nothing?format=raw", 400),
        ("/ipfs/ROOT/files?format=raw", 400),
        ("/ipfs/ROOT/none?format=car", 404),
        ("/ipfs/ROOT/README.txt/more?format=car", 404),
        ("/ipfs/ROOT/../x?format=car", 400),
        ("/ipfs/ROOT/files/%2e%2e/x?format=car", 400),
        ("/ipfs/ROOT/files//b?format=car", 400),
        ("/ipfs/ROOT/files/%00?format=car", 400),
        ("/ipfs/ROOT/files%2Fb?format=car", 404),
        ("/ipfs/ROOT/" + "a/" * 300 + "?format=car", 404),
        ("/ipfs/ROOT?format=car&dag-scope=most", 400),
        ("/ipfs/ROOT?format=car&entity-bytes=5", 400),
        ("/ipfs/ROOT?format=car&entity-bytes=9:5", 400),
        ("/ipfs/ROOT?format=car&car-version=2", 400),
        ("/ipfs/ROOT?format=car&car-order=bfs", 400),
        ("/ipfs/ROOT?format=car&car-dups=maybe", 400),
        (f"/ipfs/{NOT_DAG_PB}/x?format=car", 400),
        ("/ipfs/ROOT?" + "&".join(f"a{n}=1" for n in range(100)), 400),
    ],
)
def test_requests_that_cannot_be_answered_say_why(
    archive: ServedArchive, client: Client, path: str, status: int
) -> None:
    answer = client.ask(path.replace("ROOT", cid_text(archive.roots[0])))
    assert answer.status == status
    assert answer.body


def test_what_is_accepted_decides(archive: ServedArchive, client: Client) -> None:
    path = f"/ipfs/{cid_text(archive.roots[0])}"
    raw = "application/vnd.ipld.raw"
    for accept, kind in (
        (f"{raw}, {CAR};q=0.5", raw),
        (f"{raw};q=0.5, {CAR};q=0.8", CAR),
        (f"{raw};q=0, {CAR};q=0.1", CAR),
    ):
        answer = client.ask(path, "HEAD", Accept=accept)
        assert answer.status == 200 and answer.headers["content-type"].startswith(kind)
    for accept in ("*/*", "text/html", f"{CAR};version=2", f"{CAR};order=bfs", f"{raw};q=0"):
        assert client.ask(path, Accept=accept).status == 406, accept
    assert client.ask(f"{path}?format=raw", Accept=CAR).headers["content-type"] == raw
    missing = f"/ipfs/{NOBODY}?format=raw"
    assert client.ask(missing, Cache_Control="only-if-cached").status == 412
    tags = {
        client.ask(f"{path}?format={words}", "HEAD").headers["etag"]
        for words in ("raw", "car", "car&dag-scope=block", "car&car-dups=n", "car&entity-bytes=0:*")
    }
    assert len(tags) == 5
    for tag in tags:
        assert tag.startswith(f'"{cid_text(archive.roots[0])}.')


# many at once


def test_slow_readers_do_not_keep_others_waiting(
    scene: Path, archive: ServedArchive, client: Client
) -> None:
    piece, car = max(pieces_of(scene, archive), key=lambda one: one[0].size)
    slow = []
    for _ in range(30):
        connection = socket.create_connection(client.address)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /piece/{piece.text} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        slow.append(connection)
    began = time.monotonic()
    found = []

    def fetch() -> None:
        found.append(client.ask(f"/piece/{piece.text}").body)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [car] * 8
    assert time.monotonic() - began < 20
    for connection in slow:
        data = b""
        while len(data) < 200:
            data += connection.recv(200)
        assert b" 200 " in data
        connection.close()


def test_without_a_login_a_private_one_gives_nothing(scene: Path, archive: ServedArchive) -> None:
    server = start(archive, Access(None, Rights.READ, token="secret"))
    try:
        client = Client(server)
        piece, car = pieces_of(scene, archive)[0]
        path = f"/piece/{piece.text}"
        assert client.ask(path).status == 401
        assert client.ask("/").status == 401
        answer = client.ask(path, Range="bytes=0-9", Authorization="Bearer secret")
        assert answer.body == car[:10]
        assert answer.headers["cache-control"].startswith("private, ")
        assert client.ask("/", Host="example.org").status == 421
    finally:
        server.stop()


def test_a_snapshot_that_cannot_be_opened_yet_hides_no_other_and_is_tried_again(
    copy: tuple[Path, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    top, client = copy
    [*old] = sorted((top / "pieces").glob("*.car"))
    (top / "scans/more").write_bytes(b"more" * 10_000)
    packed(top / "scans")
    new = [path for path in (top / "pieces").glob("*.car") if path not in old]
    notes = top / "state/snapshot-1/cids"
    whole = notes.read_bytes()
    notes.write_bytes(whole[:-40])
    lines = (top / "state/snapshots").read_text().splitlines()
    root = f"/ipfs/{cid_text(Cid(bytes.fromhex(json.loads(lines[-1])['root'])))}?format=car"
    for _ in range(2):
        assert client.ask(f"/piece/{old[0].stem}").body == old[0].read_bytes()
        answer = client.ask(f"/piece/{new[0].stem}")
        assert answer.status == 503 and b"cannot be served yet" in answer.body
        assert client.ask(root).status == 503
    notes.write_bytes(whole)
    assert client.ask(f"/piece/{new[0].stem}").status == 503, "not tried at every request"
    monkeypatch.setattr(archive_serving, "RETRY_S", 0)
    for path in new:
        assert client.ask(f"/piece/{path.stem}").body == path.read_bytes()
    assert client.ask(root).status == 200


# a data set, by the command


def test_a_data_set_is_served_by_the_command_with_what_is_packed_later(tmp_path: Path) -> None:
    must(tmp_path, HOLD, "create", "main")
    main = tmp_path / "main"
    chance = random.Random(9)
    (main / "sub").mkdir()
    (main / "sub/large.dat").write_bytes(chance.randbytes(5_500_000))
    for number in range(30):
        (main / f"sub/{number:02}.txt").write_text(f"in git {number}\n")
    (main / "sub/long.txt").write_text("in git\n" * 400_000)
    (main / "link").symlink_to("sub/00.txt")
    must(main, HOLD, "save", "-m", "files")
    pack = ("archive", "pack", "--write", "../pieces", "--piece-size", "4MiB")
    must(main, HOLD, *pack)
    process = subprocess.Popen(
        [HOLD, "archive", "serve", "--address", "127.0.0.1:0"], cwd=main, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        _check_pieces(url, tmp_path / "pieces")
        (main / "more.dat").write_bytes(chance.randbytes(100_000))
        must(main, HOLD, "save", "-m", "more")
        must(main, HOLD, *pack)
        _check_pieces(url, tmp_path / "pieces")
        listed = _get(url, "/")[1].decode()
        for path in (tmp_path / "pieces").glob("*.car"):
            assert f"/piece/{path.stem}  {path.stat().st_size}\n" in listed
        # content that was dropped since is refused, the rest is given
        must(main, HOLD, "drop", "--force", "a test", "more.dat")
        answers = [_get(url, f"/piece/{p.stem}")[0] for p in (tmp_path / "pieces").glob("*.car")]
        assert sorted(set(answers)) == [200, 503]
    finally:
        process.terminate()
        process.communicate()


def _get(url: str, path: str) -> tuple[int, bytes]:
    host = url.removeprefix("http://").strip("/")
    with closing(http.client.HTTPConnection(host, timeout=30)) as connection:
        connection.request("GET", quote(path))
        answer = connection.getresponse()
        return answer.status, answer.read()


def _check_pieces(url: str, folder: Path) -> None:
    paths = list(folder.glob("*.car"))
    assert paths
    for path in paths:
        assert _get(url, f"/piece/{path.stem}") == (200, path.read_bytes())


def test_once_ends_after_one_answer(scene: Path) -> None:
    process = subprocess.Popen(
        [HOLD, "archive", "serve", "--folder", "scans", "--state", "state", "--once"],
        cwd=scene, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    path = sorted((scene / "pieces").glob("*.car"))[0]
    assert _get(url, "/piece/nothing")[0] == 400
    assert _get(url, f"/piece/{path.stem}") == (200, path.read_bytes())
    assert process.wait(timeout=10) == 0
    process.communicate()


def test_an_archive_without_snapshots_says_so(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    done = subprocess.run(
        [HOLD, "archive", "serve", "--folder", "scans", "--state", "state"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode and "H909" in done.stderr
