"""Leave to drop: in the same situation hold and git-annex give the same answer."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

TWO = ("hold", "annex")
REFUSED = {"hold": 4, "annex": 1}
SCAN = b"the only scan"


@pytest.fixture(scope="module")
def family(tools: Tools, shelf: Path) -> Path:
    """A source, two more clones with the content, and one to drop from that knows all three."""
    top = shelf / "family"
    top.mkdir()
    source = tools.create("annex", top / "source")
    tools.write(source, {"scan.dat": SCAN, "raw/scan.dat": b"raw " + SCAN})
    tools.save("annex", source)
    for name in ("second", "third", "here"):
        clone = tools.clone("annex", source, top / name)
        tools.annex(clone, "get", "-q", ".")
    for name in ("second", "third"):
        tools.git(top / "here", "remote", "add", name, str(top / name))
        tools.git(top / "here", "fetch", "-q", name)
    tools.annex(top / "here", "merge", "-q")
    return top


class Twins:
    """Two copies of the clone to drop in, one for each tool; the other places are the same."""

    def __init__(self, tools: Tools, family: Path, folder: Path) -> None:
        self._tools = tools
        self.folders = {tool: folder / tool for tool in TWO}
        for clone in self.folders.values():
            tools.copy(family / "here", clone)

    def annex(self, *words: str) -> None:
        """Set the same up in both."""
        for folder in self.folders.values():
            self._tools.annex(folder, *words)

    def git(self, *words: str) -> None:
        for folder in self.folders.values():
            self._tools.git(folder, *words)

    def attributes(self, rules: str) -> None:
        for folder in self.folders.values():
            (folder / ".gitattributes").write_text(rules)
        self.git("add", ".gitattributes")
        self.git("commit", "-q", "-m", "rules")

    def drop(self, path: str, *options: str, allowed: bool, gone: tuple[str, ...] = ()) -> None:
        """Each tool is asked to drop; both do, or both refuse, and content is as that says."""
        for tool, folder in self.folders.items():
            run = self._tools.hold if tool == "hold" else self._tools.annex
            run(folder, "drop", path, *options, exits=0 if allowed else REFUSED[tool])
            assert (folder / path).exists() is not allowed
            where = [self._tools.whereis(reader, folder)[path] for reader in TWO]
            assert where[0] == where[1]
            assert (self._tools.uuid(folder) in where[0]) is not allowed
            self._tools.git(folder, "fsck", "--no-dangling", "--no-progress")
            assert self._tools.porcelain(folder) == [f" D {name}" for name in gone]


@pytest.fixture
def twins(tools: Tools, family: Path, bench: Path) -> Twins:
    return Twins(tools, family, bench)


@pytest.mark.parametrize(("number", "allowed"), [(1, True), (3, True), (4, False)])
def test_numcopies_of_the_data_set_allow_or_refuse(
    twins: Twins, number: int, allowed: bool
) -> None:
    twins.annex("numcopies", str(number))
    twins.drop("scan.dat", allowed=allowed)


@pytest.mark.parametrize(
    ("number", "least", "reachable", "allowed"),
    [
        (1, 1, 0, False),
        (1, 1, 1, True),
        (1, 2, 1, False),
        (1, 2, 2, True),
        (2, 1, 1, False),
        (3, 2, 2, False),
        (2, 3, 3, True),
    ],
)
def test_numcopies_and_mincopies_count_those_that_answer(
    twins: Twins, number: int, least: int, reachable: int, allowed: bool
) -> None:
    twins.annex("numcopies", str(number))
    twins.annex("mincopies", str(least))
    for name in ("origin", "second", "third")[reachable:]:
        twins.git("config", f"remote.{name}.url", "/nowhere/at/all")
    twins.drop("scan.dat", allowed=allowed)


@pytest.mark.parametrize("path", ["scan.dat", "raw/scan.dat"])
def test_attributes_ask_for_more_copies_of_some_files(twins: Twins, path: str) -> None:
    twins.attributes("raw/* annex.numcopies=4\n")
    twins.drop(path, allowed=path == "scan.dat")


@pytest.mark.parametrize("where", ["", "raw/"])
@pytest.mark.parametrize("version", ["2", "4"])
def test_attributes_that_only_the_index_still_has_are_heeded(
    twins: Twins, where: str, version: str
) -> None:
    name = f"{where}.gitattributes"
    for folder in twins.folders.values():
        (folder / name).write_text("* annex.numcopies=5\n")
    twins.git("add", name)
    twins.git("commit", "-q", "-m", "rules")
    twins.git("update-index", "--index-version", version)
    for folder in twins.folders.values():
        (folder / name).unlink()
    twins.drop("raw/scan.dat", allowed=False, gone=(name,))
    twins.git("rm", "-q", "--cached", name)
    twins.git("commit", "-q", "-m", "no rules")
    twins.drop("raw/scan.dat", allowed=True)


def test_attributes_ask_for_fewer_copies_than_the_data_set(twins: Twins) -> None:
    twins.annex("numcopies", "4")
    twins.attributes("* annex.numcopies=1\n")
    twins.drop("scan.dat", allowed=True)


@pytest.mark.parametrize("reachable", [0, 1])
def test_none_of_them_lets_the_last_copy_go_whatever_is_configured(
    twins: Twins, reachable: int
) -> None:
    twins.attributes("* annex.numcopies=0 annex.mincopies=0\n")
    twins.git("config", "annex.numcopies", "0")
    for name in ("origin", "second", "third")[reachable:]:
        twins.git("config", f"remote.{name}.url", "/nowhere/at/all")
    twins.drop("scan.dat", allowed=reachable > 0)


def test_numcopies_of_zero_for_a_call_keep_the_last_copy(twins: Twins) -> None:
    for name in ("origin", "second", "third"):
        twins.git("config", f"remote.{name}.url", "/nowhere/at/all")
    twins.drop("scan.dat", "--numcopies=0", allowed=False)


def test_attributes_ask_for_mincopies(twins: Twins) -> None:
    twins.attributes("* annex.mincopies=4\n")
    twins.drop("scan.dat", allowed=False)


@pytest.mark.parametrize("number", ["3", "4"])
def test_numcopies_of_git_config_count_when_the_data_set_says_nothing(
    twins: Twins, number: str
) -> None:
    twins.git("config", "annex.numcopies", number)
    twins.drop("scan.dat", allowed=number == "3")


@pytest.mark.parametrize("command", ["untrust", "dead"])
def test_an_untrusted_or_dead_copy_does_not_count(twins: Twins, command: str) -> None:
    twins.annex("numcopies", "3")
    twins.annex(command, "--force", "third")
    twins.drop("scan.dat", allowed=False)


@pytest.mark.parametrize("level", ["untrusted", "dead", "semitrusted"])
def test_trust_set_for_a_remote_here_goes_over_the_recorded(twins: Twins, level: str) -> None:
    twins.annex("numcopies", "3")
    twins.git("config", "remote.third.annex-trustlevel", level)
    twins.drop("scan.dat", allowed=level == "semitrusted")


@pytest.mark.parametrize("number", ["3", "4"])
def test_a_trusted_copy_counts_unasked(twins: Twins, number: str) -> None:
    twins.annex("numcopies", number)
    twins.annex("trust", "--force", "third")
    twins.git("config", "remote.third.url", "/nowhere/at/all")
    twins.drop("scan.dat", allowed=number == "3")


def test_a_copy_that_is_gone_does_not_count_though_it_is_recorded(
    tools: Tools, family: Path, bench: Path, twins: Twins
) -> None:
    twins.annex("numcopies", "3")
    tools.copy(family / "third", bench / "third")
    shutil.rmtree(bench / "third" / ".git" / "annex" / "objects")
    twins.git("config", "remote.third.url", str(bench / "third"))
    twins.drop("scan.dat", allowed=False)


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("include=*", False),
        ("include=*.dat and largerthan=1b", False),
        ("include=*.nii", True),
        ("largerthan=1mb", True),
        ("not copies=3", True),
        ("not copies=4", False),
        ("present", False),
        ("not present", True),
    ],
)
def test_content_that_is_required_here_stays(twins: Twins, rule: str, allowed: bool) -> None:
    twins.annex("required", ".", rule)
    twins.drop("scan.dat", allowed=allowed)


def test_a_required_group_counts_members(twins: Twins) -> None:
    twins.annex("group", "second", "archive")
    twins.annex("required", ".", "not copies=archive:1")
    twins.drop("scan.dat", allowed=True)


@pytest.mark.parametrize("rule", ["attributes", "required"])
def test_content_with_two_names_stays_when_the_other_asks_for_it(
    tools: Tools, twins: Twins, rule: str
) -> None:
    for folder in twins.folders.values():
        (folder / "raw" / "again.dat").symlink_to("../" + str((folder / "scan.dat").readlink()))
        if rule == "attributes":
            (folder / ".gitattributes").write_text("raw/* annex.numcopies=4\n")
        else:
            tools.annex(folder, "required", ".", "include=raw/*")
        tools.git(folder, "add", ".")
        tools.git(folder, "commit", "-q", "-m", "second name")
    twins.drop("scan.dat", allowed=False)


def second_name(tools: Tools, folder: Path, rules: str) -> None:
    """Give the scan a name in raw/ as well, and the data set these rules."""
    (folder / "raw" / "again.dat").symlink_to("../" + str((folder / "scan.dat").readlink()))
    (folder / ".gitattributes").write_text(rules)
    tools.git(folder, "add", ".")
    tools.git(folder, "commit", "-q", "-m", "second name")


@pytest.mark.parametrize("rule", ["annex.numcopies=4", "annex.mincopies=4", ""])
@pytest.mark.parametrize(
    "words",
    [("drop", "--from", "origin"), ("move", "--from", "origin"), ("move", "--to", "origin")],
)
def test_its_other_name_also_counts_where_content_is_elsewhere(
    tools: Tools, family: Path, bench: Path, twins: Twins, words: tuple[str, ...], rule: str
) -> None:
    for tool, folder in twins.folders.items():
        origin = bench / f"origin {tool}"
        tools.copy(family / "source", origin)
        tools.git(folder, "config", "remote.origin.url", str(origin))
        second_name(tools, folder, f"raw/* {rule}\n" if rule else "")
        run, front = (tools.hold, ("annex",)) if tool == "hold" else (tools.annex, ())
        run(folder, *front, *words, "scan.dat", exits=1 if rule else 0)
        leaves = folder if words == ("move", "--to", "origin") else origin
        assert (leaves / "scan.dat").exists() is bool(rule)


def test_attributes_that_git_does_not_know_count_too(tools: Tools, twins: Twins) -> None:
    for folder in twins.folders.values():
        second_name(tools, folder, "")
        (folder / "raw" / ".gitattributes").write_text("* annex.numcopies=4\n")
        (folder / ".git" / "info" / "exclude").write_text(".gitattributes\n")
    twins.drop("raw/scan.dat", allowed=False)
    twins.drop("scan.dat", allowed=False)


def test_numcopies_of_the_call_leave_mincopies_of_attributes_standing(twins: Twins) -> None:
    twins.attributes("* annex.numcopies=5 annex.mincopies=4\n")
    twins.drop("scan.dat", "--numcopies=1", allowed=False)
    twins.attributes("* annex.numcopies=5 annex.mincopies=3\n")
    twins.drop("scan.dat", "--numcopies=1", allowed=True)


@pytest.mark.parametrize(("general", "attribute", "allowed"), [("4", "1", False), ("3", "4", True)])
def test_for_content_that_no_file_uses_only_the_general_number_counts(
    tools: Tools, twins: Twins, general: str, attribute: str, allowed: bool
) -> None:
    twins.annex("numcopies", general)
    for tool, folder in twins.folders.items():
        held = (folder / "scan.dat").resolve()
        tools.git(folder, "rm", "-q", "scan.dat")
        (folder / ".gitattributes").write_text(f"* annex.numcopies={attribute}\n")
        tools.git(folder, "add", ".")
        tools.git(folder, "commit", "-q", "-m", "gone")
        for name in ("origin", "second", "third"):
            tools.git(folder, "branch", "-q", "-r", "-D", f"{name}/main", exits=None)
        run, front = (tools.hold, ("annex",)) if tool == "hold" else (tools.annex, ())
        run(folder, *front, "unused")
        run(folder, *front, "dropunused", "1", exits=0 if allowed else 1)
        assert held.exists() is not allowed


@pytest.mark.parametrize(("dropper", "number"), list(product(TWO, ("3", "4"))))
def test_numcopies_of_the_call_stand_in_for_those_configured(
    twins: Twins, tools: Tools, dropper: str, number: str
) -> None:
    twins.annex("numcopies", "2")
    folder = twins.folders[dropper]
    run = tools.hold if dropper == "hold" else tools.annex
    run(
        folder,
        "drop",
        "scan.dat",
        "--numcopies",
        number,
        exits=0 if number == "3" else REFUSED[dropper],
    )
    assert (folder / "scan.dat").exists() == (number == "4")


def test_fsck_of_both_tells_of_too_few_copies(tools: Tools, twins: Twins) -> None:
    twins.annex("numcopies", "5")
    for folder in twins.folders.values():
        told = tools.hold(folder, "fsck", "--fast", exits=4).all_text
        assert "4 of the 5 copies" in told
        assert "4 of 5" in tools.annex(folder, "fsck", "--fast", exits=1).all_text
