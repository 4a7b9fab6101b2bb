"""Each fault of a network, between us and each kind of place: what is told is what docs/faults.md says.

Whatever happens, content is whole or not there, the ledger claims no more than there is, no secret
is told, and the same command completes when the fault is over.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from depth import spread
from network_places import ByName, Sshd, below, rclone, rsync_daemon, run_sshd, served, whole
from network_scene import SECRET, USER, Scene, git, outcome, reading, sending, watched

from holdfast.api.datasets import open_dataset
from holdfast.core.place import PlaceId
from holdfast.dataset.ledger_write import set_locations
from holdfast.stores import http_connection, program, rclone_program, rsync_program
from holdfast.stores.http import HttpClient
from holdfast.stores.http_connection import Limits
from holdfast.stores.p2p_http import P2pHttp
from holdfast.stores.p2p_http_calls import HttpCalls
from holdfast.stores.s3_client import Patience, S3Client
from holdfast.stores.sftp import SftpAnnex
from holdfast.stores.ssh import SshAnnex
from holdfast.stores.webdav_client import DavClient
from holdfast.testing.fault_proxy import FaultProxy, Tls, Trouble, make_tls
from holdfast.testing.fault_table import OF_ANY_STREAM, READING, SENDING, page
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.rclone_server import find_rclone

TROUBLES = [trouble for trouble in Trouble if trouble is not Trouble.NONE]

OpenScene = Callable[..., Scene]
Told = dict[str, dict[str, str]]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited for servers; nobody really waits."""
    found: list[float] = []
    for made in (HttpClient, HttpCalls, S3Client):
        monkeypatch.setitem(made.__init__.__kwdefaults__, "sleep", found.append)
    monkeypatch.setattr(program, "_GRACE_S", 0.2)
    return found


def be_patient(monkeypatch: pytest.MonkeyPatch, trouble: Trouble) -> None:
    """Wait long, but where it is known that nothing will come: there, a machine may not be busy."""
    stall_s = 0.3 if trouble is Trouble.STALL else 10
    limits = Limits(2, stall_s, retry_after_max_s=5, tries_max=3, redirects_max=5)
    patience = Patience(tries_max=3, wait_s=0.01, wait_max_s=5, limits=limits)
    for made in (HttpClient, DavClient, P2pHttp):
        monkeypatch.setitem(made.__init__.__kwdefaults__, "limits", limits)
    monkeypatch.setitem(S3Client.__init__.__kwdefaults__, "patience", patience)
    for made in (SshAnnex, SftpAnnex):
        monkeypatch.setitem(made.__init__.__kwdefaults__, "stall_s", stall_s)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    try:
        return make_tls(tmp_path_factory.mktemp("tls"))
    except FileNotFoundError:
        pytest.skip("openssl, which makes the proxy's certificates, is not installed")


@pytest.fixture
def open_scene(
    tmp_path: Path, tls: Tls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenScene]:
    """Makes a data set, and a proxy to a port; in TLS, unless ``plain``; not for HTTP, if ``raw``."""
    for name in list(os.environ):
        if re.search("^(GIT|AWS|WEBDAV)_|_PROXY$", name.upper()):
            monkeypatch.delenv(name)
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authorities))
    http_connection.tls_context.cache_clear()
    with ExitStack() as stack:

        def make(port: int, *, plain: bool = False, raw: bool = False) -> Scene:
            proxy = stack.enter_context(FaultProxy(port, None if plain or raw else tls, raw=raw))
            scene = Scene(tmp_path / "here", proxy, capsys)
            scene.prepare.append(lambda trouble: be_patient(monkeypatch, trouble))
            scene.begin(Trouble.NONE)
            scene.folder.mkdir()
            scene.hold("create", "--profile", "all-annexed", "--backend", "SHA256E", ".")
            git(scene.folder, "config", "annex.security.allowed-ip-addresses", "all")
            return scene

        yield make
    http_connection.tls_context.cache_clear()


# going through all faults


def go_through(
    scene: Scene, waits: Sequence[float] | None, *, both: bool = True,
    troubles: Sequence[Trouble] = TROUBLES, not_sent: Sequence[Trouble] = (),
) -> Told:  # fmt: skip
    """Read and send once in each trouble, and again when it is over; gives what was told."""
    scene.text = ""
    told: Told = {"reading": {}, "sending": {}}
    with watched() as seen:
        for trouble in troubles:
            told["reading"][trouble] = read(scene, trouble)
            if both and trouble not in not_sent:
                told["sending"][trouble] = send(scene, trouble)
        if Trouble.FORBIDDEN in troubles:
            talk(scene, both=both)
        finish(scene, troubles, both=both)
    if Trouble.BUSY_ONCE in troubles and waits is not None:
        assert 1.0 in waits, "Retry-After was not heeded"
    assert any("git" in words for words in seen.words)
    look_for_secrets(scene, seen.words)
    return told


def look_for_secrets(scene: Scene, words: set[str]) -> None:
    kept = scene.kept()
    assert "timestamp=" in kept, "versions were looked at"
    places = {"words of programs": " ".join(words), "output": scene.text, "repository": kept}
    for place, text in places.items():
        assert SECRET not in text, f"a secret is in the {place}"


def talk(scene: Scene, *, both: bool) -> None:
    """Let commands say all they can, to people, of those troubles that secrets are close to."""
    for trouble in (Trouble.EXPIRED, Trouble.CUT):
        scene.begin(trouble)
        words = ["-v", "--debug", "--from", scene.place, reading(trouble)]
        scene.hold("get", *words, exits=None)
        if both:
            words[-3:] = ["--to", scene.place, sending(trouble)]
            scene.hold("copy", *words, exits=None)


def read(scene: Scene, trouble: Trouble) -> str:
    name = reading(trouble)
    scene.begin(trouble)
    ran = scene.hold("get", "--json", "--from", scene.place, name, exits=None)
    assert [record.get("path") for record in ran.records] == [name], ran.text
    assert scene.proxy.harmed, f"{trouble} was not met in reading"
    assert scene.is_there(name), "it is still there"
    return outcome(ran, came=scene.is_here(name))


def send(scene: Scene, trouble: Trouble) -> str:
    name = sending(trouble)
    scene.begin(trouble)
    ran = scene.hold("copy", "--json", "--to", scene.place, name, exits=None)
    assert [record.get("path") for record in ran.records] == [name], ran.text
    assert scene.proxy.harmed, f"{trouble} was not met in sending"
    assert scene.is_here(name), "it is still here"
    assert scene.is_there(name) or not scene.is_told(name), "the ledger claims what is not there"
    return outcome(ran, came=scene.is_there(name))


def finish(scene: Scene, troubles: Sequence[Trouble], *, both: bool) -> None:
    """The same commands complete, and all is there."""
    scene.begin(Trouble.NONE)
    ins, outs = [reading(t) for t in troubles], [sending(t) for t in troubles]
    scene.hold("get", "--json", "--from", scene.place, *ins)
    assert all(scene.is_here(name) for name in ins)
    if both:
        scene.hold("copy", "--json", "--to", scene.place, *outs)
        for name in outs:
            assert scene.is_here(name) and scene.is_there(name) and scene.is_told(name), name


def fill(scene: Scene, troubles: Sequence[Trouble] = TROUBLES) -> None:
    """Some files here alone, some there alone."""
    ins, outs = [reading(t) for t in troubles], [sending(t) for t in troubles]
    scene.write(*ins, *outs)
    scene.hold("copy", "-q", "--to", scene.place, *ins)
    scene.hold("drop", "-q", "--force", "it is there", *ins)


def check(name: str, told: Told) -> None:
    """It is what the page says."""
    for seen, known in ((told["reading"], READING), (told["sending"], SENDING)):
        assert seen == {trouble: known[name][trouble] for trouble in seen}


def test_the_page_is_that_of_the_table() -> None:
    """When it is not: python -m holdfast.testing.fault_table > docs/faults.md."""
    path = Path(__file__).parents[2] / "docs/faults.md"
    assert path.read_text(encoding="utf-8") == page()


# the places that are read from


def test_the_web(open_scene: OpenScene, waits: list[float]) -> None:
    contents = {reading(trouble): os.urandom(100_000) for trouble in TROUBLES}
    with LyingServer(contents) as server:
        scene = open_scene(server.port)
        scene.place, scene.contents = "web", dict(contents)
        urls = [f"https://127.0.0.1:{scene.proxy.port}/{name}" for name in contents]
        scene.hold("addurl", "-q", *urls)
        scene.hold("drop", "-q", "--force", "it is there", *contents)
        scene.behind = lambda key: next(
            data for name, data in contents.items() if scene.key(name).text == key
        )
        check("the web", go_through(scene, waits, both=False))


def test_a_repository_on_a_web_server(open_scene: OpenScene, waits: list[float]) -> None:
    place = PlaceId(str(uuid.uuid4()))
    config = f"[core]\n\tbare = true\n[annex]\n\tuuid = {place}\n"
    with LyingServer({}) as server:
        scene = open_scene(server.port)
        scene.write(*(names := [reading(trouble) for trouble in TROUBLES]))
        objects = {scene.key(name).text: scene.contents[name] for name in names}
        server.contents = ByName({"config": config.encode(), **objects})
        scene.behind = objects.get
        url = f"https://{USER}:{SECRET}@127.0.0.1:{scene.proxy.port}/it.git"
        with open_dataset(scene.folder) as dataset:
            set_locations(dataset.repository, map(scene.key, names), place, present=True)
        git(scene.folder, "config", "remote.there.url", url)
        scene.user_wrote.add("config")
        git(scene.folder, "config", "remote.there.annex-uuid", place)
        scene.hold("drop", "-q", "--force", "it is there", *names)
        check("web server", go_through(scene, waits, both=False))


def test_a_mirror_on_a_web_server(open_scene: OpenScene, waits: list[float]) -> None:
    with LyingServer({}) as server:
        scene = open_scene(server.port)
        scene.write(*(names := [reading(trouble) for trouble in TROUBLES]))
        objects = {scene.key(name).text: scene.contents[name] for name in names}
        server.contents = ByName(objects)
        scene.behind = objects.get
        url = f"https://127.0.0.1:{scene.proxy.port}/mirror"
        scene.hold("siblings", "add", "there", "type=httpalso", f"url={url}", "encryption=none")
        tell_of(scene, names)
        check("httpalso", go_through(scene, waits, both=False))


def test_a_ria_store_on_a_web_server(open_scene: OpenScene, waits: list[float]) -> None:
    identity = str(uuid.uuid4())
    with LyingServer({}) as server:
        scene = open_scene(server.port)
        scene.write(*(names := [reading(trouble) for trouble in TROUBLES]))
        objects = {scene.key(name).text: scene.contents[name] for name in names}
        server.contents = ByName({"ria-layout-version": b"2\n", **objects})
        scene.behind = objects.get
        url = f"ria+https://127.0.0.1:{scene.proxy.port}/store"
        scene.hold(
            "siblings", "add", "there", "type=external", "externaltype=ora", f"url={url}",
            f"archive-id={identity}", "encryption=none",
        )  # fmt: skip
        tell_of(scene, names)
        check("ora, http", go_through(scene, waits, both=False))


def tell_of(scene: Scene, names: Sequence[str]) -> None:
    """The ledger says that the place has these, which are here no more."""
    place = PlaceId(git(scene.folder, "config", "remote.there.annex-uuid"))
    with open_dataset(scene.folder) as dataset:
        set_locations(dataset.repository, map(scene.key, names), place, present=True)
    scene.hold("drop", "-q", "--force", "it is there", *names)


# the places that are also sent to


def test_a_repository_that_is_served(
    open_scene: OpenScene, waits: list[float], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    with served(there) as server:
        scene = open_scene(server.server_address[1])
        helper = tmp_path / "helper"
        helper.write_text(f"#!/bin/sh\necho username={USER}\necho password={SECRET}\n")
        helper.chmod(0o700)
        url = f"https://127.0.0.1:{scene.proxy.port}"
        settings = {
            "credential.helper": str(helper), "remote.there.url": f"{url}/",
            "remote.there.annexurl": f"annex+{url}/git-annex/",
            "remote.there.annex-uuid": server.served.uuid,
        }  # fmt: skip
        for name, value in settings.items():
            git(scene.folder, "config", name, value)
        scene.behind = whole(there)
        fill(scene)
        check("annex+http", go_through(scene, waits))


def test_s3(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    with rclone("s3", there, RCLONE_AUTH_KEY=f'"{USER},{SECRET}"') as port:
        scene = open_scene(port)
        with monkeypatch.context() as known:
            known.setenv("AWS_ACCESS_KEY_ID", USER)
            known.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            scene.hold(
                "siblings", "add", "there", "type=S3", "bucket=scans", "host=127.0.0.1",
                f"port={scene.proxy.port}", "protocol=https", "requeststyle=path",
                "encryption=none",
            )  # fmt: skip
        scene.behind = below(there)
        fill(scene)
        check("S3", go_through(scene, waits))


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_webdav(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:  # fmt: skip
    there = tmp_path / "there"
    # TLS would tell of a changed bit; a proxy that ends it is no fault of a network.
    troubles = [t for t in TROUBLES if (t is Trouble.FLIP) == (scheme == "http")]
    with rclone("webdav", there, RCLONE_USER=USER, RCLONE_PASS=SECRET) as port:
        scene = open_scene(port, plain=scheme == "http")
        with monkeypatch.context() as known:
            known.setenv("WEBDAV_USERNAME", USER)
            known.setenv("WEBDAV_PASSWORD", SECRET)
            url = f"{scheme}://127.0.0.1:{scene.proxy.port}/dav"
            scene.hold("siblings", "add", "there", "type=webdav", f"url={url}", "encryption=none")
        scene.behind = below(there)
        fill(scene, troubles)
        check("WebDAV", go_through(scene, waits, troubles=troubles))


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    yield from run_sshd(tmp_path_factory.mktemp("sshd"))


def test_ssh(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    sshd: Sshd,
) -> None:  # fmt: skip
    there = tmp_path / "there"
    scene = open_scene(sshd.port, raw=True)
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(scene.proxy.port))
    scene.hold("create", str(there))
    scene.prepare.append(lambda trouble: sshd.prepare(trouble, scene.proxy))
    settings = {
        "url": f"ssh://127.0.0.1{there}", "annex-uuid": git(there, "config", "annex.uuid"),
        "annex-shell": str(sshd.shell),
    }  # fmt: skip
    for name, value in settings.items():
        git(scene.folder, "config", f"remote.there.{name}", value)
    scene.behind = whole(there)
    fill(scene, OF_ANY_STREAM)
    check("ssh", go_through(scene, waits, troubles=OF_ANY_STREAM))


@pytest.fixture
def rclone_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], None]:
    """Lets rclone know a remote of its own: a WebDAV server behind the proxy."""

    def know(scene: Scene) -> None:
        program = find_rclone()
        assert program is not None
        hidden = subprocess.run(
            [program, "obscure", "-"], input=SECRET, check=True, capture_output=True, text=True
        ).stdout.strip()
        (tmp_path / "rclone.conf").write_text(
            f"[cloud]\ntype = webdav\nurl = https://127.0.0.1:{scene.proxy.port}\n"
            f"vendor = other\nuser = {USER}\npass = {hidden}\n"
        )
        monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
        monkeypatch.setenv("PATH", f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}")

    return know


def test_rclone(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    rclone_remote: Callable[[Scene], None],
) -> None:  # fmt: skip
    there = tmp_path / "there"
    with rclone("webdav", there, RCLONE_USER=USER, RCLONE_PASS=SECRET) as port:
        scene = open_scene(port)
        rclone_remote(scene)
        monkeypatch.setenv("RCLONE_LOW_LEVEL_RETRIES", "2")
        monkeypatch.setenv("RCLONE_TIMEOUT", "2s")
        scene.prepare.append(lambda trouble: monkeypatch.setattr(
            rclone_program, "STALL_S", 1 if trouble is Trouble.STALL else 10
        ))  # fmt: skip
        scene.hold(
            "siblings", "add", "there", "type=rclone", "rcloneremotename=cloud",
            "rcloneprefix=set", "encryption=none",
        )  # fmt: skip
        scene.behind = below(there)
        # rclone tries all errors of a server again, alike, and each try is a start of it.
        errors = (Trouble.ERROR, Trouble.BROKEN, Trouble.BAD_GATEWAY, Trouble.LATE_GATEWAY)
        tried = spread(errors, 1, "rclone")
        troubles = [t for t in TROUBLES if t not in errors or t in tried]
        fill(scene, troubles)
        # TLS would tell of a changed bit, and a WebDAV server has no checksums to ask for.
        told = go_through(scene, None, troubles=troubles, not_sent=[Trouble.FLIP])
        check("rclone", told)


def test_rsync(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    with rsync_daemon(there) as port:
        scene = open_scene(port, raw=True)
        be_patient_with_rsync(scene, monkeypatch)
        monkeypatch.setenv("RSYNC_PASSWORD", SECRET)
        url = f"rsync://{USER}@127.0.0.1:{scene.proxy.port}/there"
        scene.hold("siblings", "add", "there", "type=rsync", f"rsyncurl={url}", "encryption=none")
        scene.behind = below(there)
        troubles = [t for t in OF_ANY_STREAM if t in READING["rsync"]]
        fill(scene, troubles)
        scene.prepare.append(lambda trouble: change_password(scene, monkeypatch, trouble))
        check("rsync", go_through(scene, waits, troubles=troubles))


def test_rsync_by_ssh(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    sshd: Sshd,
) -> None:  # fmt: skip
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    there = tmp_path / "there"
    scene = open_scene(sshd.port, raw=True)
    be_patient_with_rsync(scene, monkeypatch)
    monkeypatch.setenv("RSYNC_RSH", sshd.command(scene.proxy.port))
    scene.prepare.append(lambda trouble: sshd.prepare(trouble, scene.proxy))
    scene.hold(
        "siblings", "add", "there", "type=rsync", f"rsyncurl=127.0.0.1:{there}", "encryption=none"
    )
    scene.behind = below(there)
    fill(scene, OF_ANY_STREAM)
    check("rsync, ssh", go_through(scene, waits, troubles=OF_ANY_STREAM))


def be_patient_with_rsync(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.prepare.append(lambda trouble: monkeypatch.setattr(
        rsync_program, "SILENT_S", 1 if trouble is Trouble.STALL else 20
    ))  # fmt: skip


def change_password(scene: Scene, monkeypatch: pytest.MonkeyPatch, trouble: Trouble) -> None:
    """The daemon knows another one than we do, where that is the trouble."""
    is_old = trouble is Trouble.EXPIRED
    monkeypatch.setenv("RSYNC_PASSWORD", f"{SECRET}-of-old" if is_old else SECRET)
    scene.proxy.harmed += is_old


def test_a_ria_store_by_ssh(
    open_scene: OpenScene, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    sshd: Sshd,
) -> None:  # fmt: skip
    scene = open_scene(sshd.port, raw=True)
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(scene.proxy.port))
    scene.prepare.append(lambda trouble: sshd.prepare(trouble, scene.proxy))
    identity = str(uuid.uuid4())
    folder = tmp_path / "store" / identity[:3] / identity[3:]
    (folder / "annex/objects").mkdir(parents=True)
    (tmp_path / "store/ria-layout-version").write_text("1\n")
    (folder / "ria-layout-version").write_text("2\n")
    scene.hold(
        "siblings", "add", "there", "type=external", "externaltype=ora",
        f"url=ria+ssh://127.0.0.1{tmp_path}/store", f"archive-id={identity}", "encryption=none",
    )  # fmt: skip
    scene.behind = below(folder / "annex")
    fill(scene, OF_ANY_STREAM)
    check("ora, ssh", go_through(scene, waits, troubles=OF_ANY_STREAM))
