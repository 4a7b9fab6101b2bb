"""Every place that can be read from keeps the contract of `Readable`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from holdfast.core.abilities import Readable
from holdfast.core.key import Key, encode_file_name, object_path, object_path_lower
from holdfast.core.place import Place, PlaceId
from holdfast.stores.annex_http import AnnexHttp
from holdfast.stores.http import HttpClient
from holdfast.stores.http_also import HttpAlso
from holdfast.stores.http_connection import Limits
from holdfast.stores.s3_public import S3Public
from holdfast.stores.sftp import SftpAnnex
from holdfast.stores.ssh import SshAnnex
from holdfast.stores.web import Web
from holdfast.testing import lying_sftp
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.lying_sftp import Lie
from holdfast.testing.store_contract import OpenStore, ReadableContract

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
SFTP_SERVER = shutil.which(
    "sftp-server", path="/usr/lib/openssh:/usr/libexec/openssh:/usr/libexec:/usr/lib/ssh"
)
Serve = Callable[[Mapping[str, bytes]], str]


def client() -> HttpClient:
    return HttpClient(
        allowed_addresses="all", proxies={}, limits=Limits(connect_s=2, stall_s=2, tries_max=1)
    )


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[LyingServer] = []

    def start(files: Mapping[str, bytes]) -> str:
        servers.append(LyingServer(files).__enter__())
        return servers[-1].url

    yield start
    for server in servers:
        server.__exit__(None, None, None)


class TestWeb(ReadableContract):
    @pytest.fixture
    def open_store(self, serve: Serve) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            names = {key: f"file-{number}" for number, key in enumerate(contents)}
            url = serve({names[key]: content for key, content in contents.items()})
            return Web(
                PLACE, lambda key: [f"{url}/{names[key]}"] if key in names else [], client=client()
            )

        return make


class TestAnnexHttpOfAWorkTree(ReadableContract):
    @pytest.fixture
    def open_store(self, serve: Serve) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            files = {
                f"r/.git/annex/objects/{object_path(k).decode()}": content
                for k, content in contents.items()
            }
            config = f"[core]\n\tbare = false\n[annex]\n\tuuid = {PLACE.id}\n"
            url = serve({**files, "r/.git/config": config.encode()})
            return AnnexHttp(PLACE, f"{url}/r", client=client())

        return make


class TestAnnexHttpOfABareRepository(ReadableContract):
    @pytest.fixture
    def open_store(self, serve: Serve) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            files = {
                f"r.git/annex/objects/{object_path_lower(k).decode()}": content
                for k, content in contents.items()
            }
            config = f"[core]\n\tbare = true\n[annex]\n\tuuid = {PLACE.id}\n"
            url = serve({**files, "r.git/config": config.encode()})
            return AnnexHttp(PLACE, f"{url}/r.git", client=client())

        return make


class TestHttpAlso(ReadableContract):
    @pytest.fixture
    def open_store(self, serve: Serve) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            files = {f"s/{encode_file_name(k).decode()}": c for k, c in contents.items()}
            return HttpAlso(PLACE, f"{serve(files)}/s", client=client())

        return make


class TestS3Public(ReadableContract):
    @pytest.fixture
    def open_store(self, serve: Serve) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            names = {key: f"ds1/sub/{number} a.dat" for number, key in enumerate(contents)}
            url = serve({name.replace(" ", "%20"): contents[k] for k, name in names.items()})
            config = {"publicurl": url, "fileprefix": "ds1/", "exporttree": "yes"}

            def versions(keys: list[Key]) -> dict[Key, bytes]:
                return {key: _record(f"vers{names[key]}") for key in keys if key in names}

            def _record(text: str) -> bytes:
                from base64 import b64encode

                value = f"v1#{text.removeprefix('vers')}".encode()
                return b"1600000000s %b:V +!%b\n" % (PLACE.id.encode(), b64encode(value))

            return S3Public(PLACE, config, versions, client=client())

        return make


class SftpContract(ReadableContract):
    """A repository of plain files behind an SFTP server of ours, honest or odd."""

    lie = Lie.HONEST
    bare = False
    layout = staticmethod(object_path)

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        made: list[SftpAnnex] = []

        def make(contents: Mapping[Key, bytes]) -> Readable:
            folder = tmp_path / ("there" if self.bare else "there/.git")
            config = f"[core]\n\tbare = {self.bare}\n[annex]\n\tuuid = {PLACE.id}\n"
            for key, content in contents.items():
                path = folder / "annex/objects" / os.fsdecode(self.layout(key))
                path.parent.mkdir(parents=True)
                path.write_bytes(content)
            (folder / "config").write_text(config)
            made.append(SftpAnnex(PLACE, self.command(), str(tmp_path / "there"), stall_s=10))
            return made[-1]

        yield make
        for store in made:
            store.close()

    def command(self) -> list[str]:
        return lying_sftp.command(self.lie)


class TestSftpOfAWorkTree(SftpContract):
    pass


class TestSftpOfABareRepository(SftpContract):
    bare = True
    layout = staticmethod(object_path_lower)


class TestSftpOfABareRepositoryInTheOldLayout(SftpContract):
    bare = True


class TestSftpWithoutExtensions(SftpContract):
    lie = Lie.PLAIN


class TestSftpOutOfOrder(SftpContract):
    lie = Lie.BACKWARDS


class TestSftpInShortReads(SftpContract):
    lie = Lie.SHORT


@pytest.mark.interop
@pytest.mark.skipif(SFTP_SERVER is None, reason="OpenSSH's sftp-server is not installed")
class TestSftpOfOpenSsh(SftpContract):
    def command(self) -> list[str]:
        return [SFTP_SERVER or ""]


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("git-annex-shell") is None, reason="git-annex is not installed")
class TestSsh(ReadableContract):
    sftp_command: list[str] | None = None

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        made: list[SshAnnex] = []

        def make(contents: Mapping[Key, bytes]) -> Readable:
            made.append(_annex_with(tmp_path / "there", contents, self.sftp_command))
            return made[-1]

        yield make
        for store in made:
            store.close()


class TestSshThatReadsBySftp(TestSsh):
    sftp_command = lying_sftp.command()


class TestSshWhereSftpIsNotSpoken(TestSsh):
    sftp_command = lying_sftp.command(Lie.BANNER)


def _annex_with(
    folder: Path, contents: Mapping[Key, bytes], sftp_command: list[str] | None
) -> SshAnnex:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    git("config", "user.name", "A Person")
    git("config", "user.email", "person@example.org")
    git("annex", "init", "-q", "there")
    for key, content in contents.items():
        path = folder / ".git/annex/objects" / os.fsdecode(object_path(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    place = Place(PlaceId(git("config", "annex.uuid")), "there")
    return SshAnnex(
        place,
        command=["git-annex-shell"],
        sftp_command=sftp_command,
        path=str(folder),
        stall_s=10,
    )
