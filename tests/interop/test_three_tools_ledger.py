"""The ledger when clones disagree, when it lies in the journal, and when it must not be told."""

from __future__ import annotations

import re
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

TWO = ("hold", "annex")
TURNS = list(permutations(TWO))
FILES = {"a.dat": b"a", "b.dat": b"b", "sub/c.dat": b"c"}


def source_of(tools: Tools, maker: str, folder: Path) -> Path:
    tools.create(maker, folder)
    tools.write(folder, FILES)
    tools.save(maker, folder)
    return folder


def merge(tools: Tools, tool: str, folder: Path) -> None:
    """Take in what was fetched; hold does so whenever it reads the ledger."""
    if tool == "annex":
        tools.annex(folder, "merge")
    else:
        tools.hold(folder, "whereis")


def ledger_of(tools: Tools, folder: Path) -> dict[str, set[str]]:
    """The files of the git-annex branch, each as the set of its lines."""
    listing = tools.git(folder, "ls-tree", "-r", "--name-only", "-z", "git-annex").text
    names = [name for name in listing.split("\0") if name]
    return {
        name: set(tools.git(folder, "cat-file", "blob", f"git-annex:{name}").text.splitlines())
        for name in names
    }


@pytest.mark.parametrize(("first", "second"), list(product(TWO, TWO)))
def test_two_clones_that_diverged_on_the_same_keys_are_merged_alike(
    tools: Tools, bench: Path, first: str, second: str
) -> None:
    source = source_of(tools, "hold", bench / "source")
    one = tools.clone(first, source, bench / "one")
    two = tools.clone(second, source, bench / "two")
    tools.get(first, one)
    tools.drop(first, one, "b.dat")
    tools.get(second, two, "a.dat", "b.dat")
    for clone, other in ((one, two), (two, one)):
        tools.git(clone, "remote", "add", "other", str(other))
    tools.git(one, "fetch", "-q", "other")
    merge(tools, first, one)
    tools.git(two, "fetch", "-q", "other")
    merge(tools, second, two)
    u, v, w = tools.uuid(source), tools.uuid(one), tools.uuid(two)
    expected = {"a.dat": {u, v, w}, "b.dat": {u, w}, "sub/c.dat": {u, v}}
    for clone, reader in product((one, two), TWO):
        assert tools.whereis(reader, clone) == expected
    assert ledger_of(tools, one) == ledger_of(tools, two)
    tools.settled(one)
    tools.settled(two)


@pytest.mark.parametrize("merger", TWO)
def test_merging_makes_the_tree_that_the_other_makes(
    tools: Tools, bench: Path, merger: str
) -> None:
    source = source_of(tools, "annex", bench / "source")
    one = tools.clone("annex", source, bench / "one")
    two = tools.clone("annex", source, bench / "two")
    tools.annex(one, "get", "-q", "a.dat", GIT_ANNEX_VECTOR_CLOCK="1800000000")
    tools.annex(two, "get", "-q", ".", GIT_ANNEX_VECTOR_CLOCK="1800000001")
    tools.annex(two, "untrust", "-q", "here")
    tools.git(one, "fetch", "-q", str(two), "git-annex:refs/remotes/two/git-annex")
    twin = bench / "twin"
    tools.git(bench, "clone", "-q", "--no-hardlinks", str(one), str(twin))
    tools.git(twin, "branch", "-f", "git-annex", "origin/git-annex")
    tools.git(twin, "fetch", "-q", str(two), "git-annex:refs/remotes/two/git-annex")
    for folder, tool in ((one, merger), (twin, "annex" if merger == "hold" else "hold")):
        tools.git(folder, "config", "annex.uuid", tools.uuid(one))
        tools.git(folder, "config", "annex.version", "10")
        merge(tools, tool, folder)
    assert ledger_of(tools, one) == ledger_of(tools, twin)


@pytest.mark.parametrize(("pusher", "receiver"), TURNS)
def test_pushed_ledgers_arrive_and_go_on(
    tools: Tools, bench: Path, pusher: str, receiver: str
) -> None:
    source = source_of(tools, receiver, bench / "source")
    hub = bench / "hub.git"
    tools.git(bench, "clone", "-q", "--bare", str(source), str(hub))
    one = tools.clone(pusher, hub, bench / "one")
    tools.git(source, "remote", "add", "hub", str(hub))
    tools.git(one, "remote", "add", "source", str(source))
    tools.get(pusher, one)
    tools.write(one, {"more.dat": b"more"})
    tools.save(pusher, one)
    tools.git(one, "push", "-q", "origin", "main", "git-annex")
    tools.git(source, "pull", "-q", "--ff-only", "hub", "main")
    tools.git(source, "fetch", "-q", "hub")
    where = tools.whereis(receiver, source)
    assert where["more.dat"] == {tools.uuid(one)}
    assert where["a.dat"] == {tools.uuid(source), tools.uuid(one)}
    tools.git(source, "remote", "add", "one", str(one))
    tools.get(receiver, source, "more.dat")
    assert (source / "more.dat").read_bytes() == b"more"
    assert tools.whereis("hold", source) == tools.whereis("annex", source)
    tools.settled(source)


@pytest.mark.parametrize(
    ("command", "counted"),
    [("untrust", False), ("dead", False), ("trust", True), ("semitrust", True)],
)
def test_trust_told_by_git_annex_is_what_hold_shows(
    tools: Tools, bench: Path, command: str, counted: bool
) -> None:
    source = source_of(tools, "hold", bench / "source")
    clone = tools.clone("annex", source, bench / "clone")
    tools.get("annex", clone)
    tools.annex(clone, command, "--force", "origin")
    told = tools.hold(clone, "whereis", "--json", "a.dat").records()[0]
    places = {place["uuid"] for place in told["places"]}  # type: ignore[attr-defined]
    untrusted = {place["uuid"] for place in told["untrusted"]}  # type: ignore[attr-defined]
    assert (tools.uuid(source) in places) is counted
    assert (tools.uuid(source) in untrusted) is (command == "untrust")
    assert tools.whereis("hold", clone) == tools.whereis("annex", clone)
    tools.settled(clone)


@pytest.mark.parametrize("work", ["save", "get and drop", "unlock", "fsck", "filter"])
def test_nothing_of_a_private_repository_is_told_to_others(
    tools: Tools, bench: Path, work: str
) -> None:
    source = source_of(tools, "hold", bench / "source")
    clone = bench / "clone"
    tools.git(bench, "clone", "-q", str(source), str(clone))
    tools.git(clone, "config", "annex.private", "true")
    tools.annex(clone, "init", "-q", "secret place")
    before = tools.git(clone, "rev-parse", "git-annex").text
    if work == "save":
        tools.write(clone, {"mine.dat": b"mine"})
        tools.hold(clone, "save", "-m", "mine")
    elif work == "get and drop":
        tools.hold(clone, "get")
        tools.hold(clone, "drop", "a.dat")
    elif work == "unlock":
        tools.hold(clone, "get")
        tools.hold(clone, "unlock", "a.dat")
        (clone / "a.dat").write_bytes(b"changed")
        tools.hold(clone, "save", "-m", "changed")
    elif work == "fsck":
        tools.hold(clone, "get")
        tools.hold(clone, "fsck")
    else:
        tools.git(clone, "config", "annex.largefiles", "anything")
        tools.write(clone, {"mine.dat": b"mine"})
        tools.git(clone, "add", "mine.dat")
        tools.git(clone, "commit", "-q", "-m", "mine")
    uuid = tools.uuid(clone)
    history = tools.git(clone, "log", "--all", "-p", "--text", "--full-diff").text
    assert uuid not in history
    assert "secret place" not in history
    assert tools.git(clone, "rev-parse", "git-annex").text == before or work == "fsck"
    assert tools.whereis("hold", clone) == tools.whereis("annex", clone)
    assert tools.here("hold", clone) == tools.here("annex", clone)
    tools.git(clone, "fsck", "--no-dangling", "--no-progress")
    assert "fixing" not in tools.annex(clone, "fsck", "--fast").all_text


def test_a_private_repository_of_holds_own_is_private_to_git_annex(
    tools: Tools, bench: Path
) -> None:
    source = source_of(tools, "annex", bench / "source")
    clone = bench / "clone"
    tools.git(bench, "clone", "-q", str(source), str(clone))
    tools.git(clone, "config", "annex.private", "true")
    tools.hold(clone, "get", "a.dat")
    tools.annex(clone, "get", "-q", "b.dat")
    both = {tools.uuid(source), tools.uuid(clone)}
    expected = {"a.dat": both, "b.dat": both, "sub/c.dat": {tools.uuid(source)}}
    assert tools.whereis("hold", clone) == tools.whereis("annex", clone) == expected
    assert tools.uuid(clone) not in tools.git(clone, "log", "--all", "-p", "--text").text


def test_what_git_annex_left_in_the_journal_is_read_and_then_committed(
    tools: Tools, bench: Path
) -> None:
    source = source_of(tools, "annex", bench / "source")
    clone = tools.clone("annex", source, bench / "clone")
    before = tools.git(clone, "rev-parse", "git-annex").text
    tools.annex(clone, "get", "-q", "-c", "annex.alwayscommit=false", "a.dat", "b.dat")
    tools.annex(clone, "group", "-q", "-c", "annex.alwayscommit=false", "here", "archive")
    assert tools.git(clone, "rev-parse", "git-annex").text == before
    both = {tools.uuid(source), tools.uuid(clone)}
    assert tools.whereis("hold", clone)["a.dat"] == both
    tools.hold(clone, "drop", "b.dat")
    tools.write(clone, {"d.dat": b"d"})
    tools.hold(clone, "save", "-m", "more")
    assert list((clone / ".git" / "annex" / "journal").iterdir()) == []
    assert "group.log" in ledger_of(tools, clone)
    assert tools.whereis("hold", clone) == tools.whereis("annex", clone)
    assert tools.whereis("annex", clone)["a.dat"] == both
    tools.settled(clone)


def test_what_hold_left_in_the_journal_is_read_by_git_annex(tools: Tools, bench: Path) -> None:
    source = source_of(tools, "annex", bench / "source")
    clone = tools.clone("annex", source, bench / "clone")
    tools.git(clone, "config", "annex.alwayscommit", "false")
    before = tools.git(clone, "rev-parse", "git-annex").text
    tools.hold(clone, "get", "a.dat")
    tools.write(clone, {"d.dat": b"d"})
    tools.hold(clone, "save", "-m", "more")
    assert tools.git(clone, "rev-parse", "git-annex").text == before
    assert tools.whereis("annex", clone) == tools.whereis("hold", clone)
    assert tools.whereis("annex", clone)["d.dat"] == {tools.uuid(clone)}
    tools.git(clone, "config", "--unset", "annex.alwayscommit")
    tools.settled(clone)


def test_files_and_lines_of_the_ledger_that_nobody_knows_stay(tools: Tools, bench: Path) -> None:
    folder = source_of(tools, "annex", bench / "study")
    index = {"GIT_INDEX_FILE": str(bench / "index")}
    tools.git(folder, "read-tree", "git-annex", **index)
    (bench / "strange").write_bytes(b"line of another time\n")
    blob = tools.git(folder, "hash-object", "-w", str(bench / "strange")).text.strip()
    tools.git(
        folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},future/thing.log", **index
    )
    tree = tools.git(folder, "write-tree", **index).text.strip()
    commit = tools.git(folder, "commit-tree", tree, "-p", "git-annex", "-m", "strange").text.strip()
    tools.git(folder, "update-ref", "refs/heads/git-annex", commit)
    tools.write(folder, {"d.dat": b"d"})
    tools.hold(folder, "save", "-m", "more")
    tools.annex(folder, "numcopies", "1")
    assert ledger_of(tools, folder)["future/thing.log"] == {"line of another time"}
    tools.settled(folder)


@pytest.mark.parametrize("clock", ["9999999999", "1900000000.123456789"])
def test_time_in_the_ledger_goes_on_after_a_clock_that_ran_ahead(
    tools: Tools, bench: Path, clock: str
) -> None:
    source = source_of(tools, "annex", bench / "source")
    clone = tools.clone("annex", source, bench / "clone")
    tools.annex(clone, "get", "-q", ".", GIT_ANNEX_VECTOR_CLOCK=clock)
    tools.hold(clone, "drop", "a.dat")
    assert tools.uuid(clone) not in tools.whereis("annex", clone)["a.dat"]
    tools.annex(clone, "get", "-q", "a.dat")
    assert tools.uuid(clone) in tools.whereis("hold", clone)["a.dat"]
    tools.settled(clone)


def test_forgetting_history_is_left_to_git_annex(tools: Tools, bench: Path) -> None:
    source = source_of(tools, "annex", bench / "source")
    clone = tools.clone("annex", source, bench / "clone")
    tools.get("annex", clone)
    tools.annex(source, "forget", "--force", "-q")
    tools.git(clone, "fetch", "-q", "origin", "+git-annex:refs/remotes/origin/git-annex")
    told = tools.hold(clone, "get", exits=4).all_text
    assert re.search(r"git annex merge", told)
    tools.annex(clone, "merge", "-q")
    tools.hold(clone, "get")
    tools.settled(clone)
