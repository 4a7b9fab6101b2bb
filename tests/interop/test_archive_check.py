"""What is really there, of a data set whose places lost things, lie, or are away; and mending it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

WEB = "00000000-0000-0000-0000-000000000001"
BODY = b"what the web has\n"


class _Handler(BaseHTTPRequestHandler):
    """``/410/x`` is answered with 410; ``/moved/x`` leads to ``/200/x``, which has it."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        first = self.path.split("/")[1]
        if first == "cut":
            self.close_connection = True
            return
        if first == "moved":
            self.send_response(301)
            self.send_header("Location", "/200/x")
            body = b""
        elif first == "longer":
            self.send_response(200)
            body = BODY * 2
        else:
            self.send_response(int(first))
            body = BODY if first == "200" else b"sorry"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def made(tools: Tools, bench: Path, *, away: bool = True) -> Path:
    """A data set whose clone ``tape`` has all of it, and which itself has only a.txt."""
    tape = tools.create("annex", bench / "tape")
    tools.write(tape, {f"{name}.txt": name.encode() * 100 for name in "abcde"})
    tools.save("annex", tape)
    study = tools.clone("annex", tape, bench / "study")
    tools.get("annex", study, "a.txt")
    return study


def content(folder: Path, path: str) -> Path:
    """The file in a folder's annex that a link leads to, whether it is there or not."""
    return folder / os.readlink(folder / path)


def lose(folder: Path, path: str) -> None:
    """Remove content behind everybody's back."""
    found = content(folder, path)
    found.parent.chmod(0o755)
    found.unlink()


def overwrite(folder: Path, path: str, data: bytes) -> None:
    found = content(folder, path)
    found.parent.chmod(0o755)
    found.chmod(0o644)
    found.write_bytes(data)


def checked(tools: Tools, folder: Path, *words: str, exits: int = 0) -> dict[str, dict]:  # type: ignore[type-arg]
    told = tools.hold(folder, "archive", "check", "--json", *words, exits=exits).records()
    return {str(r["path"] if r["action"] != "total" else "all"): r for r in told}


def verdicts(found: dict[str, dict]) -> dict[str, str]:  # type: ignore[type-arg]
    return {path: r["verdict"] for path, r in found.items() if r["action"] == "check"}


def test_all_that_is_seen_is_safe(tools: Tools, bench: Path) -> None:
    study = made(tools, bench)
    found = checked(tools, study)
    assert set(verdicts(found).values()) == {"safe"}
    assert found["a.txt"]["copies"] == 2 and found["b.txt"]["copies"] == 1
    assert (found["origin"]["claims"], found["origin"]["confirmed"]) == (5, 5)
    assert found["all"]["copies"] == {"1": 4, "2": 1}


def test_what_was_removed_by_hand_is_dead_whatever_the_ledger_says(
    tools: Tools, bench: Path
) -> None:
    study = made(tools, bench)
    lose(bench / "tape", "b.txt")
    lose(study, "a.txt")
    lose(bench / "tape", "a.txt")
    overwrite(bench / "tape", "c.txt", b"shorter")
    found = checked(tools, study, exits=1)
    assert verdicts(found) == {
        "a.txt": "dead", "b.txt": "dead", "c.txt": "dead", "d.txt": "safe", "e.txt": "safe",
    }  # fmt: skip
    assert found["b.txt"]["error"]["code"] == "H937"
    assert "7 bytes instead of 100" in found["c.txt"]["note"]
    assert found["origin"]["refuted"] == 3 and found["here"]["refuted"] == 1
    # Nothing was changed by looking.
    assert len(tools.whereis("annex", study)["b.txt"]) == 1
    shown = tools.hold(study, "archive", "check", exits=1).text
    assert "dead: 3 files" in shown and "origin       5          2        3" in shown
    only = checked(tools, study, "d.txt")
    assert verdicts(only) == {"d.txt": "safe"}


def test_a_place_that_is_away_leaves_doubt_and_not_death(tools: Tools, bench: Path) -> None:
    study = made(tools, bench)
    (bench / "tape").rename(bench / "elsewhere")
    found = checked(tools, study, exits=3)
    assert verdicts(found)["a.txt"] == "safe"
    assert {verdicts(found)[f"{name}.txt"] for name in "bcde"} == {"doubtful"}
    assert found["b.txt"]["error"]["code"] == "H938"
    assert found["origin"]["unreachable"] == 5
    # Also where no remote leads to it any more.
    tools.git(study, "remote", "remove", "origin")
    found = checked(tools, study, exits=3)
    assert "no remote here leads to it" in found["b.txt"]["note"]


def test_urls_are_asked_and_told_apart(tools: Tools, bench: Path, url: str) -> None:
    study = made(tools, bench)
    tools.git(study, "config", "annex.security.allowed-ip-addresses", "all")
    for name in ("200", "404", "410", "500", "longer", "moved", "cut"):
        key = f"SHA256E-s{len(BODY)}--{hashlib.sha256(name.encode()).hexdigest()}.txt"
        tools.annex(study, "fromkey", "--force", key, f"{name}.web")
        tools.annex(study, "registerurl", key, f"{url}/{name}/x?y=<b>")
    tools.git(study, "commit", "-q", "-m", "links")
    found = checked(tools, study, "--rate", "1000", exits=1)
    assert {name: verdict for name, verdict in verdicts(found).items() if ".web" in name} == {
        "200.web": "safe", "moved.web": "safe", "404.web": "dead", "410.web": "dead",
        "longer.web": "dead", "500.web": "doubtful", "cut.web": "doubtful",
    }  # fmt: skip
    assert found["410.web"]["urls"] == [
        {"url": f"{url}/410/x?y=<b>", "answer": "absent", "remark": "the server answers 410"}
    ]
    web = found["web"]
    assert (web["claims"], web["confirmed"], web["refuted"], web["unreachable"]) == (7, 2, 3, 2)
    shown = tools.hold(study, "archive", "check", "--rate", "1000", exits=1).text
    assert f"{url}/410/x?y=<b>  (the server answers 410)" in shown


def test_the_page_is_whole_and_lets_nothing_in(tools: Tools, bench: Path, url: str) -> None:
    study = made(tools, bench)
    evil = "<script>alert(1)</script> & 'x'.txt"
    tools.write(study, {evil.replace("/", "_"): b"gone"})
    tools.save("annex", study)
    lose(study, evil.replace("/", "_"))
    tools.hold(study, "archive", "check", "--html", bench / "p.html", exits=1)
    text = (bench / "p.html").read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    page = _Page()
    page.feed(text)
    page.close()
    assert page.loaded == [] and page.open == []
    assert page.tables >= 3 and page.headings[0] == "study"
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert list(bench.glob("*.part")) == []


class _Page(HTMLParser):
    """Reads a page: what it loads, whether elements are closed, its headings."""

    OPTIONAL = frozenset(("meta", "br", "td", "th", "tr", "dt", "dd", "i", "li"))

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "link", "iframe", "object", "embed", "video", "audio"):
            self.loaded.append(tag)
        self.loaded += [name for name, _ in attrs if name in ("src", "srcset") or name[:2] == "on"]
        self.tables += tag == "table"
        if tag not in self.OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


# mending


def test_content_is_mended_from_another_data_set_only_if_it_is_the_right_one(
    tools: Tools, bench: Path
) -> None:
    study = made(tools, bench)
    stock = bench / "stock"
    (stock / "deep").mkdir(parents=True)
    bad = tools.create("annex", stock / "bad")
    good = tools.create("hold", stock / "deep" / "good")
    for folder in (bad, good):
        tools.write(folder, {"x.txt": b"b" * 100, "y.txt": b"c" * 100})
        tools.save("annex", folder)
    overwrite(bad, "x.txt", b"B" * 100)
    overwrite(bad, "y.txt", b"C" * 100)
    lose(good, "y.txt")
    for name in ("b.txt", "c.txt", "d.txt"):
        lose(bench / "tape", name)
    lose(study, "a.txt")
    before = tools.git(study, "rev-parse", "git-annex").text

    planned = checked(tools, study, "--repair", "--dry-run", "--look-in", str(stock), exits=1)
    assert str(good) in planned["b.txt"]["source"] and not planned["b.txt"]["mended"]
    assert tools.git(study, "rev-parse", "git-annex").text == before
    assert not content(study, "b.txt").exists()

    found = checked(tools, study, "--repair", "--look-in", str(stock), exits=1)
    assert found["b.txt"]["verdict"] == "safe" and found["b.txt"]["source"] == str(good)
    assert content(study, "b.txt").read_bytes() == b"b" * 100
    # The damaged one was looked at, and refused.
    assert found["c.txt"]["verdict"] == "dead" and str(bad) in found["c.txt"]["note"]
    assert not content(study, "c.txt").exists()
    assert (found["all"]["mended"], found["all"]["corrected"]) == (1, 4)
    # What other places lack is one entry of the ledger, what came here one, what went here one.
    entries = tools.git(study, "rev-list", "--count", f"{before.strip()}..git-annex").text
    assert int(entries) == 3
    # The ledger says it as git-annex would.
    here, tape = tools.uuid(study), tools.uuid(bench / "tape")
    where = tools.whereis("annex", study)
    assert where["a.txt"] == {tape} and where["b.txt"] == {here} and where["c.txt"] == set()
    tools.settled(study, annex=False)
    told = tools.annex(study, "fsck", "b.txt", "e.txt").all_text
    assert "ok" in told and "fixing" not in told
    again = checked(tools, study, exits=1)
    assert again["origin"]["refuted"] == again["here"]["refuted"] == 0


def test_places_the_ledger_does_not_know_of_are_found_and_told(tools: Tools, bench: Path) -> None:
    study = made(tools, bench)
    other = tools.clone("annex", bench / "tape", bench / "other")
    tools.get("annex", other, "b.txt")
    tools.git(study, "remote", "add", "other", other)
    tools.git(study, "config", "remote.other.annex-uuid", tools.uuid(other))
    lose(bench / "tape", "b.txt")
    found = checked(tools, study)
    assert found["b.txt"]["verdict"] == "safe" and found["other"]["found"] == 1
    found = checked(tools, study, "--repair")
    assert found["b.txt"]["source"] == "other"
    here, there = tools.uuid(study), tools.uuid(other)
    assert tools.whereis("annex", study)["b.txt"] == {here, there}


def test_few_copies_are_mended_by_one_more_here(tools: Tools, bench: Path) -> None:
    study = made(tools, bench)
    tools.annex(study, "numcopies", "2")
    found = checked(tools, study)
    assert verdicts(found) == dict.fromkeys(("b.txt", "c.txt", "d.txt", "e.txt"), "few") | {
        "a.txt": "safe"
    }
    found = checked(tools, study, "--repair")
    assert set(verdicts(found).values()) == {"safe"}
    assert tools.here("annex", study) == {f"{name}.txt".encode() for name in "abcde"}


def test_content_without_a_hash_is_taken_only_if_that_is_said(tools: Tools, bench: Path) -> None:
    study = tools.create("annex", bench / "study")
    tools.write(study, {"w.dat": b"worm\n"})
    tools.annex(study, "add", "-q", "--backend", "WORM", "w.dat")
    tools.git(study, "commit", "-q", "-m", "w")
    twin = bench / "stock" / "twin"
    shutil.copytree(study, twin, symlinks=True)
    tools.git(twin, "config", "annex.uuid", "11111111-2222-3333-4444-555555555555")
    lose(study, "w.dat")
    words = ("--repair", "--look-in", str(bench / "stock"))
    assert verdicts(checked(tools, study, *words, exits=1)) == {"w.dat": "dead"}
    found = checked(tools, study, *words, "--accept-unhashed")
    assert found["w.dat"]["mended"] and content(study, "w.dat").read_bytes() == b"worm\n"


def test_urls_that_nobody_claimed_mend_too(tools: Tools, bench: Path, url: str) -> None:
    study = made(tools, bench)
    tools.git(study, "config", "annex.security.allowed-ip-addresses", "all")
    tools.write(study, {"w.txt": BODY})
    tools.save("annex", study)
    key = tools.keys(study)[b"w.txt"].decode()
    tools.annex(study, "registerurl", key, f"{url}/404/x")
    tools.annex(study, "registerurl", key, f"{url}/moved/x")
    tools.annex(study, "setpresentkey", key, WEB, "0")
    lose(study, "w.txt")
    found = checked(tools, study, "w.txt", "--repair", "--rate", "100")
    assert found["w.txt"]["source"] == "web" and content(study, "w.txt").read_bytes() == BODY
    assert WEB in tools.whereis("annex", study)["w.txt"]


def test_a_wrong_file_here_is_set_aside_before_the_right_one_comes(
    tools: Tools, bench: Path
) -> None:
    study = made(tools, bench)
    overwrite(study, "a.txt", b"short")
    tools.annex(study, "numcopies", "2")
    found = checked(tools, study, "a.txt", "--repair")
    assert found["a.txt"]["verdict"] == "safe" and found["a.txt"]["source"] == "origin"
    assert content(study, "a.txt").read_bytes() == b"a" * 100
    kept = list((study / ".git/annex/bad").iterdir())
    assert [one.read_bytes() for one in kept] == [b"short"]


def test_versions_and_data_sets_inside(tools: Tools, bench: Path) -> None:
    study = made(tools, bench)
    tools.git(study, "rm", "-q", "e.txt")
    tools.git(study, "commit", "-q", "-m", "without")
    assert "e.txt" not in checked(tools, study)
    assert "e.txt" in checked(tools, study, "--at", "HEAD~1")
    inner = tools.create("hold", study / "inner")
    tools.write(inner, {"i.txt": b"inside"})
    tools.save("hold", inner)
    tools.hold(study, "save", "-m", "inner")
    lose(inner, "i.txt")
    assert "inner/i.txt" not in checked(tools, study)
    found = checked(tools, study, "-r", exits=1)
    assert found["inner/i.txt"]["verdict"] == "dead"
    assert verdicts(checked(tools, study, "inner", exits=1)) == {"inner/i.txt": "dead"}
    refused = tools.hold(study, "archive", "check", "-r", "--at", "HEAD", exits=2)
    assert "without -r" in refused.all_text
    missing = checked(tools, study, "nothing.txt", "--json", exits=1)
    assert missing["nothing.txt"]["error"]["code"] == "H104"


def test_from_python_it_gives_a_report(tools: Tools, bench: Path) -> None:
    import holdfast as hf
    from holdfast.archive.verdicts import Verdict

    study = made(tools, bench)
    lose(bench / "tape", "b.txt")
    with hf.open_dataset(study) as dataset, hf.archive_check(dataset, ["b.txt", "c.txt"]) as report:
        assert report.exit_code == 1
        assert report.totals.by_verdict[Verdict.DEAD].keys == 1
        assert [trouble.path for trouble in report.iter_troubles(Verdict.DEAD)] == ["b.txt"]


def test_options_of_other_works_are_refused(tools: Tools, bench: Path) -> None:
    study = made(tools, bench)
    for words in (
        ("check", "--write", "x"), ("plan", "--repair"), ("pack", "--html", "x"),
        ("check", "--look-in", "."), ("check", "--repair", "--accept-unhashed"),
        ("check", "--whole", "0"), ("plan", "--seed", "0"),
    ):  # fmt: skip
        tools.hold(study, "archive", *words, exits=2)
    assert json.loads(
        tools.hold(study, "archive", "check", "--repair", "--look-in", "no", "--json", exits=1).text
    )["error"]["code"]
