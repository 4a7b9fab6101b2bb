"""Files from servers, archives and bags that lie, break off, or want out of their folder."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.api.addurl import iter_addurl
from holdfast.api.addurls import iter_addurls
from holdfast.api.datasets import Dataset
from holdfast.api.export import iter_export
from holdfast.api.import_bag import iter_import_bag
from holdfast.api.unpack import UnpackPlan, iter_unpack
from holdfast.api.urls import iter_check_urls, iter_urls
from holdfast.core.outcome import Outcome, Status
from holdfast.stores.http import HttpClient
from holdfast.stores.http_connection import Limits
from holdfast.testing.lying_server import Lie, LyingServer
from holdfast.transfer.download import Downloads

BIG = os.urandom(300_000)
FILES = {"a.txt": b"one\n", "big.dat": BIG, "empty": b""}


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    for name, value in {
        "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@b",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    hf.complete(hf.iter_create(tmp_path / "d", profile="all-annexed"))
    with hf.open_dataset(tmp_path / "d") as opened:
        git(opened, "config", "annex.security.allowed-ip-addresses", "127.0.0.1")
        opened.forget()
        yield opened
    subprocess.run(["chmod", "-R", "u+w", str(tmp_path)], check=True)


@pytest.fixture
def server() -> Iterator[LyingServer]:
    with LyingServer(FILES) as running:
        yield running


def git(dataset: Dataset, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=dataset.top, check=True, capture_output=True)
    return done.stdout.decode()


def by_path(outcomes: Iterator[Outcome]) -> dict[str, Outcome]:
    return {outcome.path: outcome for outcome in outcomes}


def left(dataset: Dataset) -> list[str]:
    """What stays of downloads, and in the scratch folder."""
    annex = Path(os.fsdecode(dataset.repository.annex_dir))
    return [str(p) for name in ("hold-downloads", "othertmp") for p in (annex / name).glob("*")]


def downloads(folder: Path) -> Downloads:
    client = HttpClient(
        allowed_addresses="all", proxies={}, limits=Limits(connect_s=2, stall_s=2, tries_max=1)
    )
    (folder / "whole").mkdir(exist_ok=True)
    return Downloads(
        client, bytes(folder / "parts"), bytes(folder / "whole"), progress=lambda _: None
    )


# one URL


@pytest.mark.parametrize("lie", [Lie.ERROR, Lie.FORBIDDEN, Lie.LOOP, Lie.GZIP, Lie.NONSENSE])
def test_a_server_that_fails_leaves_nothing_behind(
    dataset: Dataset, server: LyingServer, lie: Lie
) -> None:
    before = git(dataset, "rev-parse", "HEAD", "git-annex")
    (outcome,) = iter_addurl(dataset, [f"{server.url}/{lie}/a.txt"])
    assert outcome.status is Status.ERROR
    assert left(dataset) == []
    assert git(dataset, "rev-parse", "HEAD", "git-annex") == before


def test_private_addresses_are_refused_and_redirects_are_looked_at_again(
    dataset: Dataset, server: LyingServer
) -> None:
    server.elsewhere = f"http://localhost.localdomain:1/{'x'}"
    git(dataset, "config", "annex.security.allowed-ip-addresses", "192.0.2.1")
    dataset.forget()
    (outcome,) = iter_addurl(dataset, [f"{server.url}/a.txt"])
    assert outcome.error is not None and "private network" in outcome.error.why
    port = server.url.rpartition(":")[2]
    git(dataset, "config", "annex.security.allowed-ip-addresses", f"[127.0.0.1]:{port}")
    server.elsewhere = "http://127.0.0.1:9/a.txt"
    dataset.forget()
    (outcome,) = iter_addurl(dataset, [f"{server.url}/away/a.txt"])
    assert outcome.error is not None and "private network" in outcome.error.why


def test_schemes_that_are_not_allowed_are_refused(dataset: Dataset, server: LyingServer) -> None:
    git(dataset, "config", "annex.security.allowed-url-schemes", "https")
    dataset.forget()
    (outcome,) = iter_addurl(dataset, [f"{server.url}/a.txt"])
    assert outcome.error is not None and "https may be used" in outcome.error.why


def test_a_password_is_neither_kept_nor_shown(dataset: Dataset, server: LyingServer) -> None:
    url = server.url.replace("//", "//ada:s3cret@") + "/a.txt"
    (outcome,) = iter_addurl(dataset, [url])
    assert outcome.error is not None and outcome.error.code == "H801"
    assert "s3cret" not in repr(outcome.as_record())
    assert "s3cret" not in git(dataset, "log", "--all", "-p")


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, server: LyingServer) -> None:
    server.tags["big.dat"] = "v1"
    server.lies["/x/big.dat"] = Lie.TRUNCATE
    server.contents["x/big.dat"] = BIG
    server.tags["x/big.dat"] = "v1"
    url = f"{server.url}/x/big.dat"
    with pytest.raises(hf.PlaceUnavailableError):
        # Half of what is left comes each time, and never the end.
        downloads(tmp_path).fetch(url, b"SHA256")
    server.lies.clear()
    done = downloads(tmp_path).fetch(url, b"SHA256")
    assert Path(os.fsdecode(done.path)).read_bytes() == BIG
    ranges = [headers.get("Range") for _, _, headers in server.requests]
    assert ranges[0] is None and ranges[-1] not in (None, "bytes=0-")
    assert list((tmp_path / "parts").iterdir()) == []


def test_what_changed_since_it_broke_off_comes_anew(tmp_path: Path, server: LyingServer) -> None:
    server.contents["x"], server.tags["x"] = BIG, "v1"
    server.lies["/x"] = Lie.TRUNCATE
    with pytest.raises(hf.PlaceUnavailableError):
        downloads(tmp_path).fetch(f"{server.url}/x", b"SHA256")
    server.lies.clear()
    server.contents["x"], server.tags["x"] = BIG[::-1], "v2"
    done = downloads(tmp_path).fetch(f"{server.url}/x", b"SHA256")
    assert Path(os.fsdecode(done.path)).read_bytes() == BIG[::-1]


def test_an_endless_answer_ends_when_there_is_no_room(tmp_path: Path, server: LyingServer) -> None:
    full = hf.PlaceFullError("full")
    room = [2_000_000]

    def admit(size: int) -> hf.HoldError | None:
        room[0] -= size
        return full if room[0] < 0 else None

    limited = downloads(tmp_path)
    limited._admit = admit
    with pytest.raises(hf.PlaceFullError):
        limited.fetch(f"{server.url}/endless/big.dat", b"SHA256")
    assert list((tmp_path / "parts").iterdir()) == []


def test_a_password_of_a_strange_scheme_is_not_shown(dataset: Dataset) -> None:
    (outcome,) = iter_addurl(dataset, ["ftp://ada:s3cret@example.org/a"])
    assert not outcome.good
    assert "s3cret" not in repr(outcome.as_record())


def test_what_a_killed_run_left_is_taken_in_where_others_are_skipped(
    dataset: Dataset, server: LyingServer
) -> None:
    url = f"{server.url}/a.txt"
    list(iter_addurl(dataset, [url]))
    git(dataset, "reset", "-q", "--soft", "HEAD~1")
    git(dataset, "rm", "-q", "--cached", "a.txt")
    git(dataset, "update-ref", "refs/heads/git-annex", "git-annex~1")
    dataset.forget()
    (outcome,) = iter_addurl(dataset, [url], if_exists="skip")
    assert outcome.good
    assert git(dataset, "ls-files", "a.txt") == "a.txt\n"


# tables


def table(tmp_path: Path, rows: Mapping[str, str]) -> str:
    path = tmp_path / "t.csv"
    path.write_text("f,u\n" + "".join(f"{name},{url}\n" for name, url in rows.items()))
    return str(path)


def test_one_bad_row_of_a_table_harms_no_other(
    dataset: Dataset, server: LyingServer, tmp_path: Path
) -> None:
    rows = {
        "a": f"{server.url}/a.txt", "none": f"{server.url}/nope", "../out": f"{server.url}/a.txt",
        "big": f"{server.url}/big.dat", ".git/hooks/x": f"{server.url}/a.txt",
        "busy": f"{server.url}/busy-once/a.txt", ".gitattributes": f"{server.url}/a.txt",
    }  # fmt: skip
    found = by_path(iter_addurls(dataset, table(tmp_path, rows), "{u}", "{f}"))
    good = {path for path, outcome in found.items() if outcome.good}
    assert good == {"a", "big", "busy"}
    assert not (tmp_path / "out").exists()
    assert git(dataset, "status", "--porcelain") == ""
    again = by_path(iter_addurls(dataset, table(tmp_path, rows), "{u}", "{f}"))
    assert {path for path, o in again.items() if o.status is Status.NOT_NEEDED} == good


def test_files_of_people_are_not_replaced(
    dataset: Dataset, server: LyingServer, tmp_path: Path
) -> None:
    top = Path(os.fsdecode(dataset.top))
    (top / "a").write_text("mine, not saved")
    (top / "b").write_text("mine, saved in git")
    hf.save(dataset, ["b"], to_git=True)
    os.symlink(tmp_path, top / "way")
    rows = dict.fromkeys(["a", "b", "way/c"], f"{server.url}/a.txt")
    found = by_path(
        iter_addurls(dataset, table(tmp_path, rows), "{u}", "{f}", if_exists="overwrite")
    )
    assert {path for path, outcome in found.items() if outcome.good} == {"b"}
    assert (top / "a").read_text() == "mine, not saved"
    assert not (tmp_path / "c").exists()
    assert git(dataset, "show", "HEAD~1:b") == "mine, saved in git"


def test_a_killed_addurls_is_finished_by_the_same_call(
    dataset: Dataset, server: LyingServer, tmp_path: Path
) -> None:
    server.pause_s = 0.1
    rows = {f"f{n}": f"{server.url}/{'slow/' * (n > 2)}c{n}" for n in range(8)}
    server.contents.update({f"c{n}": b"content %d\n" % n * 9 for n in range(8)})
    path = table(tmp_path, rows)
    words = ["-m", "holdfast", "addurls", path, "{u}", "{f}"]
    process = subprocess.Popen([sys.executable, *words], cwd=dataset.top)
    while len(server.requests) < 4:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = by_path(iter_addurls(dataset, path, "{u}", "{f}"))
    assert all(outcome.good for outcome in found.values())
    assert git(dataset, "ls-files").split()[-8:] == sorted(rows)
    assert git(dataset, "status", "--porcelain") == ""
    assert {o.path for o in iter_urls(dataset)} == set(rows)
    assert hf.fsck(dataset).failures == []


def test_stopped_in_the_middle_what_came_is_recorded(
    dataset: Dataset, server: LyingServer, tmp_path: Path
) -> None:
    rows = {f"f{n}": f"{server.url}/c{n}" for n in range(5)}
    server.contents.update({f"c{n}": b"content %d\n" % n for n in range(5)})
    rows["hangs"] = f"{server.url}/hang/big.dat"
    path = table(tmp_path, rows)
    words = ["-m", "holdfast", "addurls", path, "{u}", "{f}"]
    process = subprocess.Popen([sys.executable, *words], cwd=dataset.top)
    while len(server.requests) < 6:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    dataset.forget()
    assert {o.path for o in iter_urls(dataset)} == {f"f{n}" for n in range(5)}
    assert git(dataset, "status", "--porcelain") == ""


@pytest.mark.parametrize("private", ["false", "true"])
def test_the_ledger_may_be_told_in_parts(
    dataset: Dataset,
    server: LyingServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    private: str,
) -> None:
    monkeypatch.setattr("holdfast.dataset.arrivals._FACTS_MAX", 3)
    monkeypatch.setattr("holdfast.api.fetching._BATCH_FILES", 2)
    git(dataset, "config", "annex.private", private)
    with hf.open_dataset(dataset.top) as opened:
        rows = {f"f{n}": f"{server.url}/c{n}" for n in range(7)}
        server.contents.update({f"c{n}": b"content %d\n" % n for n in range(7)})
        found = by_path(iter_addurls(opened, table(tmp_path, rows), "{u}", "{f}"))
        assert {path for path, outcome in found.items() if outcome.good} == set(rows)
        places = {o.path: o.facts["places"] for o in hf.iter_whereis(opened)}
        assert all(len(places[path]) == 2 for path in rows)  # type: ignore[arg-type]
        assert git(opened, "log", "--format=%s").count("\n") == 2
        assert git(opened, "status", "--porcelain") == ""
        assert git(opened, "ls-tree", "-r", "git-annex").count(".log.web\n") == 7
        assert (opened.here in git(opened, "log", "-p", "git-annex", "--", "*/*.log")) is (
            private == "false"
        )


def test_unlocked_files_come_in_as_such(dataset: Dataset, server: LyingServer) -> None:
    git(dataset, "config", "annex.addunlocked", "true")
    dataset.forget()
    urls = [f"{server.url}/a.txt", f"{server.url}/big.dat"]
    assert all(o.good for o in iter_addurl(dataset, urls))
    top = Path(os.fsdecode(dataset.top))
    assert not (top / "a.txt").is_symlink()
    assert (top / "big.dat").read_bytes() == BIG
    assert git(dataset, "show", "HEAD:a.txt").startswith("/annex/objects/")
    assert git(dataset, "status", "--porcelain") == ""
    assert {o.status for o in iter_addurl(dataset, urls)} == {Status.NOT_NEEDED}


# dead links


def test_dead_links_are_found_and_stay_registered(
    dataset: Dataset, server: LyingServer, tmp_path: Path
) -> None:
    rows = {name: f"{server.url}/{name}" for name in FILES}
    rows["nohead"] = f"{server.url}/no-head/a.txt"
    rows["busy"] = f"{server.url}/busy-once/big.dat"
    hf.complete(iter_addurls(dataset, table(tmp_path, rows), "{u}", "{f}"))
    server.requests.clear()
    assert all(o.good for o in iter_check_urls(dataset, rate=1000))
    del server.contents["a.txt"]
    server.contents["big.dat"] += b"!"
    report = [o for o in iter_check_urls(dataset, rate=1000) if not o.good]
    said = {o.path: o.note.partition(": ")[2] for o in report}
    assert said["a.txt"] == "the server answers 404"
    assert said["big.dat"].startswith("there are 300001 bytes instead of 300000")
    assert {o.error.exit_code for o in report if o.error} == {3}
    assert {o.path for o in iter_urls(dataset)} == set(rows)
    assert all(method == "HEAD" for method, path, _ in server.requests if "no-head" not in path)


# archives


def evil_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, target in (
            ("good.txt", tarfile.REGTYPE, ""), ("../out.txt", tarfile.REGTYPE, ""),
            ("/tmp/hold-evil", tarfile.REGTYPE, ""), ("way", tarfile.SYMTYPE, "../.."),
            ("way/in.txt", tarfile.REGTYPE, ""), ("etc", tarfile.SYMTYPE, "/etc"),
            ("dev", tarfile.CHRTYPE, ""), (".git/hooks/pre-commit", tarfile.REGTYPE, ""),
            (".gitattributes", tarfile.REGTYPE, ""), ("twin", tarfile.LNKTYPE, "good.txt"),
            ("lost", tarfile.LNKTYPE, "/etc/passwd"), ("near", tarfile.SYMTYPE, "good.txt"),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"evil"))


def test_an_evil_archive_stays_in_its_folder(dataset: Dataset, tmp_path: Path) -> None:
    top = Path(os.fsdecode(dataset.top))
    evil_tar(top / "evil.tgz")
    hf.save(dataset)
    found = by_path(iter_unpack(dataset, [b"evil.tgz"], plan=UnpackPlan(into=b"x")))
    assert {path for path, o in found.items() if o.good} == {
        "x/good.txt", "x/way/in.txt", "x/twin", "x/near",
    }  # fmt: skip
    assert not (tmp_path / "out.txt").exists() and not (top / "out.txt").exists()
    assert not os.path.lexists("/tmp/hold-evil")
    assert b"evil" not in (top / ".git/hooks/pre-commit").read_bytes()
    assert not (top / "x/way").is_symlink()
    assert (top / "x/twin").read_bytes() == b"evil"
    assert git(dataset, "status", "--porcelain") == ""


def test_a_damaged_zip_gives_what_is_whole(dataset: Dataset) -> None:
    path = Path(os.fsdecode(dataset.top)) / "z.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("one", b"first content")
        file.writestr("two", b"second content")
    path.write_bytes(path.read_bytes().replace(b"second content", b"sec0nd content"))
    hf.save(dataset)
    found = by_path(iter_unpack(dataset, [b"z.zip"]))
    assert found["one"].status is Status.OK
    assert not found["two"].good
    assert git(dataset, "ls-files").split()[-2:] == ["one", "z.zip"]


def test_an_archive_that_unpacks_to_more_than_fits_is_refused(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(os.fsdecode(dataset.top)) / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 50_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    hf.save(dataset)
    free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    git(dataset, "config", "annex.diskreserve", str(free - 20_000_000))
    dataset.forget()
    with pytest.raises(hf.PlaceFullError):
        list(iter_unpack(dataset, [b"bomb.tar.gz"]))
    assert not (path.parent / "zeros").exists()


# bags and exports


def bag(folder: Path, files: Mapping[str, bytes]) -> Path:
    from hashlib import md5, sha256

    for name, content in files.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "bagit.txt").write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")
    for name, algorithm in (("md5", md5), ("sha256", sha256)):
        lines = [f"{algorithm(c).hexdigest()}  data/{n}\n" for n, c in files.items()]
        (folder / f"manifest-{name}.txt").write_text("".join(lines))
    return folder


def test_of_a_damaged_bag_only_what_is_whole_comes_in(dataset: Dataset, tmp_path: Path) -> None:
    made = bag(tmp_path / "bag", {name: name.encode() * 9 for name in ("a", "b/c", "d", "e", "f")})
    (made / "data/b/c").write_bytes(b"damaged!!")
    (made / "data/d").unlink()
    (made / "data/extra").write_bytes(b"x")
    os.symlink("/etc/passwd", made / "data/link")
    (made / "data/e").unlink()
    os.symlink("/etc/passwd", made / "data/e")
    listed = (made / "manifest-md5.txt").read_text()
    (made / "manifest-md5.txt").write_text(listed.replace("data/f", "../../f"))
    found = by_path(iter_import_bag(dataset, bytes(made), into=b"in"))
    assert {path for path, o in found.items() if o.good} == {"in/a"}
    assert len([o for o in found.values() if not o.good]) == 7
    assert git(dataset, "ls-files", "in").split() == ["in/a"]


def test_an_export_is_whole_or_not_there(dataset: Dataset, tmp_path: Path) -> None:
    top = Path(os.fsdecode(dataset.top))
    for name in ("a", "b"):
        (top / name).write_bytes(name.encode() * 5000)
    hf.save(dataset)
    held = Path(os.path.realpath(top / "b"))
    held.parent.chmod(0o755)
    held.chmod(0o644)
    held.write_bytes(b"B" + b"b" * 4999)
    for target in ("out", "out.tar", "out.zip"):
        with pytest.raises(hf.IntegrityError):
            list(iter_export(dataset, bytes(tmp_path / target)))
    held.unlink()
    failures = [o for o in iter_export(dataset, bytes(tmp_path / "out")) if not o.good]
    assert [o.path for o in failures] == ["b"]
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []
    list(iter_export(dataset, bytes(tmp_path / "out"), missing="leave-out"))
    assert (tmp_path / "out/a").read_bytes() == b"a" * 5000
    assert not (tmp_path / "out/b").exists()
