"""Pieces on servers that do all that bad servers do: the right bytes come, or an error."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from piece_forger import Forger

from holdfast.archive.finding import find
from holdfast.archive.pieces import OpenedPiece, UrlPiece, open_all, read
from holdfast.core.errors import HoldError, IntegrityError
from holdfast.stores.http import HttpClient
from holdfast.stores.http_connection import Limits
from holdfast.testing.lying_server import Lie, LyingServer
from holdfast.wire.archive_manifest import FOOTER_SIZE, decode_footer

DATA = random.Random(1).randbytes(300_000)
GOOD = (Lie.HONEST, Lie.SLOW, Lie.BUSY_ONCE, Lie.NO_HEAD, Lie.LONG, Lie.CHUNKED)
"""What is bad about these harms nobody who asks for a range."""


@pytest.fixture
def client() -> Iterator[HttpClient]:
    limits = Limits(stall_s=0.4, retry_after_max_s=2)
    client = HttpClient(allowed_addresses="127.0.0.1", limits=limits, sleep=lambda _: None)
    yield client
    client.close()


@pytest.mark.parametrize("lie", [lie for lie in Lie if lie not in (Lie.AWAY, Lie.FLIP)])
def test_a_range_is_right_or_an_error(lie: Lie, client: HttpClient) -> None:
    with LyingServer({"piece": DATA}, pause_s=0.01) as server:
        try:
            piece: OpenedPiece = UrlPiece(client, f"{server.url}/{lie}/piece")
            found = read(piece, 1000, 200_000)
        except HoldError as error:
            assert lie not in GOOD, error
        else:
            assert found == DATA[1000:201_000]


def test_a_flipped_bit_in_the_end_of_a_piece_is_found(client: HttpClient, tmp_path: Path) -> None:
    forger = Forger()
    cid = forger.file(b"files/a", b"text")
    forger.write(tmp_path / "piece", forger.folder([(b"files", forger.folder([(b"a", cid)]))]))
    data = (tmp_path / "piece").read_bytes()
    scratch = os.fsencode(tmp_path)
    with LyingServer({"piece": data}) as server:
        finding = find(open_all([f"{server.url}/honest/piece"], client), scratch)
        assert finding.dataset == "id" and not finding.faults
        begin = decode_footer(data[-FOOTER_SIZE:], len(data)).manifest_offset
        for at in range(begin, len(data), 3):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            server.contents["piece"] = bytes(changed)
            try:
                found = find(open_all([f"{server.url}/honest/piece"], client), scratch).faults
            except IntegrityError as error:  # nothing else tells what the piece is of
                found = [error]
            assert found and all("piece" in str(error) for error in found), at


def test_a_redirect_to_a_private_address_is_refused(tmp_path: Path) -> None:
    with LyingServer({"piece": DATA}) as inner, LyingServer({"piece": DATA}) as outer:
        outer.elsewhere = f"{inner.url}/piece"
        client = HttpClient(allowed_addresses=f"[127.0.0.1]:{outer.port}")
        with pytest.raises(HoldError, match="may not be"):
            UrlPiece(client, f"{outer.url}/away/piece")
        assert not inner.requests
        client.close()


def test_a_login_in_a_url_is_not_shown(client: HttpClient) -> None:
    with LyingServer({"piece": DATA}) as server:
        url = server.url.replace("//", "//ada:secret@") + "/honest/piece?token=hidden"
        piece = UrlPiece(client, url)
        assert "secret" not in piece.name and "hidden" not in piece.name
