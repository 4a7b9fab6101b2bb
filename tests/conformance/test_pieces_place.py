"""Pieces keep the contract of a place that can be read from, as files and over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from piece_forger import Forger

from holdfast.archive.content_index import ContentIndex
from holdfast.archive.finding import find
from holdfast.archive.pieces import open_all
from holdfast.archive.pieces_place import PiecesPlace
from holdfast.core.abilities import Readable
from holdfast.core.key import Key
from holdfast.stores.http import HttpClient
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.store_contract import OpenStore, ReadableContract


def _forged(folder: Path, contents: Mapping[Key, bytes]) -> Path:
    forger, path = Forger(), folder / "piece"
    for number, (key, data) in enumerate(contents.items()):
        forger.annexed(b"files/%06d" % number, key, data)
    forger.write(path, forger.folder([]))
    return path


def _place(name: str, client: HttpClient | None, folder: Path, expected: list[Key]) -> PiecesPlace:
    scratch = os.fsencode(folder)
    finding = find(open_all([name], client), scratch)
    place = PiecesPlace(ContentIndex(finding.pieces, scratch), "the pieces")
    assert all(place.expect(key) for key in expected)
    return place


class TestPieceFiles(ReadableContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            return _place(str(_forged(tmp_path, contents)), None, tmp_path, [])

        return make


class TestPiecesByUrl(ReadableContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        client = HttpClient(allowed_addresses="127.0.0.1")
        with LyingServer({}) as server:

            def make(contents: Mapping[Key, bytes]) -> Readable:
                server.contents["piece"] = _forged(tmp_path, contents).read_bytes()
                return _place(f"{server.url}/honest/piece", client, tmp_path, list(contents))

            yield make
        client.close()
