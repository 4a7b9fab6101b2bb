"""Data sets in data sets, three levels deep: hold and DataLad take each other's for their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop
BIG = b"content" * 20_000


def nest(tools: Tools, tool: str, top: Path) -> Path:
    """A data set with one in it, with one in that; each has a file in the annex."""
    if tool == "hold":
        tools.hold(top.parent, "create", top)
        for path in ("in/mid", "in/mid/deep"):
            tools.hold(top, "create", "-d", ".", path)
    else:
        tools.datalad(top.parent, "create", top)
        for path in ("in/mid", "in/mid/deep"):
            tools.datalad(top, "create", "-d", ".", path)
    for folder in ("", "in/mid/", "in/mid/deep/"):
        tools.write(top, {f"{folder}big.dat": BIG + folder.encode()})
    save_all(tools, tool, top)
    return top


def save_all(tools: Tools, tool: str, top: Path) -> None:
    if tool == "hold":
        tools.hold(top, "save", "-r", "-m", "all")
    else:
        tools.datalad(top, "save", "-r", "-m", "all")


def is_clean_below(tools: Tools, top: Path) -> bool:
    """Whether both see nothing to save at any depth."""
    theirs = tools.datalad(top, "status", "-r").text
    return is_clean_to_us(tools, top) and "nothing to save" in theirs


def is_clean_to_us(tools: Tools, top: Path) -> bool:
    return tools.hold(top, "status", "-r", "--json").records() == []


def paths(told: list[dict[str, object]], action: str) -> list[str]:
    return [str(one["path"]) for one in told if one["action"] == action and one["status"] == "ok"]


def modules(folder: Path) -> str:
    return (folder / ".gitmodules").read_text()


@pytest.fixture(scope="module")
def ours(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nest(tools, "hold", tmp_path_factory.mktemp("ours") / "top")


@pytest.fixture(scope="module")
def theirs(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nest(tools, "datalad", tmp_path_factory.mktemp("theirs") / "top")


# made by us, used by DataLad


def test_what_we_nest_is_to_datalad_as_its_own(tools: Tools, ours: Path) -> None:
    told = tools.datalad(ours, "-f", "json", "subdatasets", "-r").records()
    assert [os.path.relpath(str(one["path"]), ours) for one in told] == ["in/mid", "in/mid/deep"]
    identity = tools.git(
        ours / "in/mid", "config", "-f", ".datalad/config", "datalad.dataset.id"
    ).text
    assert modules(ours) == (
        '[submodule "in/mid"]\n\tpath = in/mid\n\turl = ./in/mid\n'
        f"\tdatalad-id = {identity.strip()}\n"
    )
    assert tools.git(ours, "config", "submodule.in/mid.active").text == "true\n"
    messages = tools.git(ours, "log", "--format=%s").text.splitlines()
    assert messages[-2:] == ["[DATALAD] Created subdataset", "[DATALAD] new dataset"]
    assert is_clean_below(tools, ours)


def test_datalad_gets_and_saves_all_of_what_we_nest(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    tools.datalad(tmp_path, "clone", ours, clone)
    tools.datalad(clone, "get", "-r", ".")
    assert (clone / "in/mid/deep/big.dat").read_bytes() == BIG + b"in/mid/deep/"
    for tool in ("hold", "datalad"):
        tools.write(clone, {"in/mid/deep/changed": os.urandom(8), "in/mid/too": os.urandom(8)})
        save_all(tools, tool, clone)
        assert is_clean_to_us(tools, clone)
    assert is_clean_below(tools, clone)


# made by DataLad, used by us


def test_we_get_and_save_all_of_what_datalad_nests(
    tools: Tools, theirs: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", theirs, tmp_path / "clone")
    told = tools.hold(clone, "get", "-r", "--json").records()
    assert paths(told, "install") == ["in/mid", "in/mid/deep"]
    assert paths(told, "get") == ["big.dat", "in/mid/big.dat", "in/mid/deep/big.dat"]
    assert (clone / "in/mid/deep/big.dat").read_bytes() == BIG + b"in/mid/deep/"
    assert tools.git(clone / "in/mid/deep", "status", "-sb").text.startswith(
        "## main...origin/main"
    )
    assert is_clean_below(tools, clone)
    tools.write(clone, {"in/mid/deep/new.dat": BIG + b"new", "in/mid/note": b"n"})
    assert not is_clean_to_us(tools, clone)
    save_all(tools, "hold", clone)
    assert is_clean_below(tools, clone)
    tools.settled(clone / "in/mid/deep")


# where things are found


def test_a_path_inside_installs_what_is_on_the_way_and_nothing_else(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", ours, tmp_path / "clone")
    told = tools.hold(clone, "get", "--json", "in/mid/deep/big.dat").records()
    assert paths(told, "install") == ["in/mid", "in/mid/deep"]
    assert paths(told, "get") == ["in/mid/deep/big.dat"]
    assert not (clone / "in/mid/big.dat").exists()
    assert tools.hold(clone, "find", "-r").text == "in/mid/deep/big.dat\n"


def test_installing_without_content_and_levels_are_what_was_asked_for(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", ours, tmp_path / "clone")
    told = tools.hold(clone, "get", "-n", "-R", "1", "--json").records()
    assert [str(one["path"]) for one in told] == ["in/mid"]
    listed = tools.hold(clone, "subdatasets", "-r", "--json").records()
    assert [(one["path"], one["state"]) for one in listed] == [
        ("in/mid", "installed"), ("in/mid/deep", "missing"),
    ]  # fmt: skip
    assert tools.hold(clone, "subdatasets", "-r", "--missing").text.startswith(
        "in/mid/deep  missing"
    )
    assert tools.hold(clone, "get", "-n", "-r", "--json").records()[0]["path"] == "in/mid/deep"


def test_the_recorded_version_is_installed_also_where_its_source_went_on(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    tools.copy(ours, tmp_path / "top")
    inner = tmp_path / "top/in/mid"
    recorded = tools.git(inner, "rev-parse", "HEAD").text
    tools.git(inner, "commit", "-q", "--allow-empty", "-m", "newer")
    clone = tools.clone("hold", tmp_path / "top", tmp_path / "clone")
    tools.hold(clone, "get", "-n", "in/mid")
    assert tools.git(clone / "in/mid", "rev-parse", "HEAD").text == recorded
    assert "behind 1" in tools.git(clone / "in/mid", "status", "-sb").text
    assert is_clean_to_us(tools, clone)


def test_a_version_on_another_branch_is_installed_on_none(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    tools.copy(ours, tmp_path / "top")
    inner = tmp_path / "top/in/mid"
    tools.git(inner, "checkout", "-q", "-b", "side")
    tools.write(inner, {"aside": b"x"})
    tools.hold(tmp_path / "top", "save", "-r", "-m", "aside")
    tools.git(inner, "checkout", "-q", "main")
    clone = tools.clone("hold", tmp_path / "top", tmp_path / "clone")
    tools.hold(clone, "get", "-n", "in/mid")
    assert tools.git(clone / "in/mid", "status", "-sb").text.startswith("## HEAD (no branch)")
    assert (clone / "in/mid/aside").exists()


def test_a_source_that_lacks_the_version_is_passed_over(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    other = tools.create("hold", tmp_path / "other")
    clone = tools.clone("hold", ours, tmp_path / "clone")
    setting = "datalad.get.subdataset-source-candidate-100wrong"
    tools.git(clone, "config", setting, str(other))
    (told,) = tools.hold(clone, "get", "-n", "in/mid", "--json").records()
    assert told["source"] == f"{ours}/in/mid"
    shutil.rmtree(clone / "in/mid")
    tools.git(clone, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    tools.git(
        clone,
        "config",
        "-f",
        ".gitmodules",
        "submodule.in/mid.url",
        "https://u:secret@127.0.0.1:9/x",
    )
    (told,) = tools.hold(clone, "get", "-n", "in/mid", "--json", exits=3).records()
    assert "is not a version" in str(told["note"])
    assert "127.0.0.1" in str(told["note"])
    assert "secret" not in str(told)
    assert not (clone / "in/mid/.git").exists()


# paths and names


def test_a_path_inside_is_saved_there_and_recorded_on_the_way_up(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    tools.copy(ours, tmp_path / "top")
    top = tmp_path / "top"
    tools.write(top, {"in/mid/deep/one": b"1", "in/mid/deep/two": b"2", "in/mid/left": b"3"})
    told = tools.hold(top, "save", "-m", "one", "--json", "in/mid/deep/one").records()
    assert [str(one["path"]) for one in told] == ["in/mid/deep/one", "in/mid/deep", "in/mid"]
    left = {str(one["path"]) for one in tools.hold(top, "status", "-r", "--json").records()}
    assert left == {"in/mid", "in/mid/left", "in/mid/deep", "in/mid/deep/two"}
    assert {tools.git(top / one, "log", "-1", "--format=%s").text for one in (".", "in/mid")} == {
        "one\n"
    }


def test_the_names_of_outer_data_sets_lead_there(tools: Tools, ours: Path) -> None:
    deep = ours / "in/mid/deep"
    (listed,) = tools.hold(deep, "-d", "^", "subdatasets", "--json").records()
    assert listed["path"] == "in/mid"
    assert tools.hold(deep, "-d", "^.", "subdatasets", "--json").records() == []
    assert tools.hold(deep, "-d", "^", "whereis", "big.dat").text.startswith("big.dat")


def test_a_clone_becomes_a_part_of_a_data_set_as_datalads_does(
    tools: Tools, theirs: Path, tmp_path: Path
) -> None:
    told = []
    for tool in ("hold", "datalad"):
        top = tools.create("hold", tmp_path / tool)
        run = tools.hold if tool == "hold" else tools.datalad
        run(top, "clone", "-d", ".", os.path.relpath(theirs, top), "x/a b")
        told.append((modules(top), tools.git(top, "log", "-1", "--format=%s").text))
    assert told[0] == told[1]
    assert told[0][1] == "[DATALAD] Added subdataset\n"
    assert is_clean_below(tools, tmp_path / "hold")
    tools.hold(tmp_path / "hold", "clone", "-q", "-d", ".", theirs, "abs")
    assert f"url = {theirs}\n" in modules(tmp_path / "hold")


def test_a_place_that_is_taken_or_elsewhere_is_refused(tools: Tools, ours: Path) -> None:
    for path, code, exits in (
        ("big.dat", "H113", 4), ("in", "H702", 4), ("in/mid", "H702", 4), ("in/mid/deep", "H702", 4),
        ("../beside", "H105", 2), (".", "H103", 2),
    ):  # fmt: skip
        (told,) = tools.hold(ours, "create", "-d", ".", path, "--json", exits=exits).records()
        error = told["error"]
        assert isinstance(error, dict)
        assert error["code"] in (code, "H702"), path
    assert is_clean_to_us(tools, ours)


# other verbs


def test_content_of_all_levels_is_dropped_and_told_of(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", ours, tmp_path / "clone")
    tools.hold(clone, "get", "-r")
    told = tools.hold(clone, "whereis", "-r", "--json").records()
    assert [str(one["path"]) for one in told] == [
        "big.dat",
        "in/mid/big.dat",
        "in/mid/deep/big.dat",
    ]
    dropped = tools.hold(clone, "drop", "-R", "1", "--json", ".").records()
    assert paths(dropped, "drop") == ["big.dat", "in/mid/big.dat"]
    assert tools.hold(clone, "find", "-r").text == "in/mid/deep/big.dat\n"


LEVELS = ("", "in/mid/", "in/mid/deep/")


def shelve(tools: Tools, top: Path, shelf: Path, levels: tuple[str, ...] = LEVELS) -> None:
    """Give the data sets of some levels a place each that is called shelf, set up by git-annex."""
    for number, level in enumerate(levels):
        (shelf / str(number)).mkdir(parents=True)
        words = ["type=directory", f"directory={shelf / str(number)}", "encryption=none"]
        tools.annex(top / level, "initremote", "-q", "shelf", *words)


def on_shelf(tools: Tools, top: Path) -> list[str]:
    """The levels whose file is on their shelf, as git-annex finds it there."""
    found = []
    for level in LEVELS:
        tools.annex(top / level, "fsck", "-q", "--fast", "--from", "shelf")
        if tools.annex(top / level, "find", "--in", "shelf").text:
            found.append(level)
    return found


def test_content_of_all_levels_is_copied_and_moved_each_to_its_own_place(
    tools: Tools, tmp_path: Path
) -> None:
    top = nest(tools, "datalad", tmp_path / "top")
    shelve(tools, top, tmp_path / "shelf")
    copied = tools.hold(top, "copy", "--to", "shelf", "-R", "1", "--json").records()
    assert paths(copied, "copy") == ["big.dat", "in/mid/big.dat"]
    assert on_shelf(tools, top) == ["", "in/mid/"]
    moved = tools.hold(top, "move", "--to", "shelf", "-r", "--json").records()
    assert paths(moved, "move") == [f"{level}big.dat" for level in LEVELS]
    assert on_shelf(tools, top) == list(LEVELS)
    assert not any((top / level / "big.dat").exists() for level in LEVELS)
    back = tools.hold(top, "copy", "--from", "shelf", "-R", "1", "--json").records()
    assert paths(back, "copy") == ["big.dat", "in/mid/big.dat"]
    moved = tools.hold(top, "move", "--from", "shelf", "-r", "--json").records()
    assert sorted(paths(moved, "move")) == sorted(f"{level}big.dat" for level in LEVELS)
    assert on_shelf(tools, top) == []
    assert all((top / level / "big.dat").read_bytes() == BIG + level.encode() for level in LEVELS)
    inside = tools.hold(top, "copy", "--to", "shelf", "in/mid/deep/big.dat", "--json").records()
    assert paths(inside, "copy") == ["in/mid/deep/big.dat"]
    assert on_shelf(tools, top) == ["in/mid/deep/"]


def test_content_of_all_levels_is_dropped_elsewhere_with_a_proof_for_each(
    tools: Tools, tmp_path: Path
) -> None:
    top = nest(tools, "hold", tmp_path / "top")
    shelve(tools, top, tmp_path / "shelf")
    tools.hold(top, "copy", "--to", "shelf", "-r")
    tools.annex(top / "in/mid", "drop", "-q", "big.dat")
    dropped = tools.hold(top, "drop", "--from", "shelf", "-r", "--json", ".", exits=4).records()
    assert paths(dropped, "drop") == ["big.dat", "in/mid/deep/big.dat"]
    assert on_shelf(tools, top) == ["in/mid/"]


def test_one_without_that_place_is_told_of_and_the_others_go_on(
    tools: Tools, tmp_path: Path
) -> None:
    top = nest(tools, "hold", tmp_path / "top")
    shelve(tools, top, tmp_path / "shelf", ("", "in/mid/deep/"))
    told = tools.hold(top, "copy", "--to", "shelf", "-r", "--json", exits=1).records()
    assert paths(told, "copy") == ["big.dat", "in/mid/deep/big.dat"]
    [failed] = [one for one in told if one["status"] == "error"]
    assert failed["path"] == "in/mid"
    assert "in in/mid: no place is called" in str(failed["error"])


def test_content_of_all_levels_is_checked(tools: Tools, tmp_path: Path) -> None:
    top = nest(tools, "hold", tmp_path / "top")
    shelve(tools, top, tmp_path / "shelf")
    tools.hold(top, "copy", "--to", "shelf", "-r")
    damaged = (top / "in/mid/deep/big.dat").resolve()
    damaged.chmod(0o644)
    damaged.write_bytes(BIG + b"in/mid/deep?")
    damaged.chmod(0o444)
    shallow = tools.hold(top, "fsck", "-R", "1", "--json").records()
    assert paths(shallow, "fsck") == ["big.dat", "in/mid/big.dat"]
    told = tools.hold(top, "fsck", "-r", "--repair", "--json").records()
    assert paths(told, "fsck") == [f"{level}big.dat" for level in LEVELS]
    assert [one.get("repaired") for one in told] == [None, None, True]
    tools.annex(top / "in/mid/deep", "fsck", "-q")
    refused = tools.hold(top, "fsck", "-r", "--incremental", exits=2)
    assert "--incremental is about one data set" in refused.all_text


def test_a_command_is_run_in_each_and_what_failed_is_told(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    told = tools.hold(
        ours, "foreach", "-r", "echo {path} {name} '{x}' >&2; test {name} != deep", exits=1
    )
    assert "in/mid mid {x}\n" in os.fsdecode(told.errors)
    records = tools.hold(
        ours,
        "foreach",
        "-r",
        "--bottom-up",
        "--itself",
        "--json",
        "--",
        "test",
        "-e",
        "in",
        exits=1,
    ).records()
    assert [(one["path"], one["exit"]) for one in records] == [
        ("in/mid/deep", 1),
        ("in/mid", 1),
        (".", 0),
    ]


def test_an_uninstalled_data_set_keeps_its_place_and_comes_back(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", ours, tmp_path / "clone")
    tools.hold(clone, "get", "-n", "-r")
    tools.hold(clone, "uninstall", "in/mid/deep")
    assert os.listdir(clone / "in/mid/deep") == []
    assert is_clean_to_us(tools, clone)
    assert tools.git(clone / "in/mid", "config", "submodule.deep.url", exits=1).text == ""
    tools.hold(clone, "get", "-n", "in/mid/deep")
    tools.write(clone, {"in/mid/deep/only-here": b"x"})
    (told,) = tools.hold(clone, "uninstall", "in/mid", "--json", exits=4).records()
    assert "not saved yet" in str(told["error"])
    tools.hold(clone, "save", "-r")
    (told,) = tools.hold(clone, "uninstall", "in/mid/deep", "--json", exits=4).records()
    assert (clone / "in/mid/deep/only-here").exists()
    (told,) = tools.hold(clone, "uninstall", "in", "--json", exits=1).records()
    assert told["status"] == "impossible"


def test_a_removed_data_set_is_taken_out_as_datalad_does_it(
    tools: Tools, theirs: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", theirs, tmp_path / "clone")
    tools.hold(clone, "get", "-n", "in/mid")
    tools.hold(clone, "remove", "-d", ".", "in/mid")
    assert modules(clone) == ""
    assert tools.git(clone, "ls-files", "in").text == ""
    assert not (clone / "in/mid").exists()
    assert tools.git(clone, "log", "-1", "--format=%s").text == "[DATALAD] removed content\n"
    assert is_clean_below(tools, clone)


# what is broken, old or plain


def test_plain_git_inside_is_no_hindrance(tools: Tools, tmp_path: Path) -> None:
    top = tools.create("hold", tmp_path / "top")
    tools.hold(top, "create", "-d", ".", "--no-annex", "code")
    tools.write(top, {"code/run.py": b"print()"})
    (told,) = tools.hold(top, "save", "-r", "--json", exits=1).records()
    assert told["path"] == "code"
    assert "git -C code" in str(told["error"])
    tools.git(top / "code", "add", ".")
    tools.git(top / "code", "commit", "-q", "-m", "code")
    tools.hold(top, "save", "-r")
    assert is_clean_to_us(tools, top)
    tools.git(top, "init", "-q", "apart")
    tools.hold(top, "create", "-d", ".", "apart/x", exits=4)
    assert not (top / "apart/x").exists()
    assert tools.hold(top, "get", "-r", "--json").records() == []
    assert tools.hold(top, "find", "-r").text == ""


def test_any_name_is_written_so_that_git_can_read_it(tools: Tools, tmp_path: Path) -> None:
    top = tools.create("hold", tmp_path / "top")
    names = ["a\nb", "a b", 'q"u\\o#te; ']
    for name in names:
        tools.hold(top, "create", "-d", ".", name)
    listed = tools.hold(top, "subdatasets", "--json").records()
    assert sorted(str(one["path"]) for one in listed) == sorted(names)
    assert tools.git(top, "config", "-f", ".gitmodules", "submodule.a b-2.path").text == "a b\n"
    assert tools.git(top, "config", "submodule.a b.url").text == "./a\nb\n"
    assert is_clean_to_us(tools, top)
    tools.hold(top, "uninstall", ".", exits=2)


def test_what_others_wrote_into_gitmodules_stays(tools: Tools, tmp_path: Path) -> None:
    top = tools.create("hold", tmp_path / "top")
    tools.hold(top, "create", "-d", ".", "one")
    text = modules(top) + "\tbranch = main\n\tdatalad-recursiveinstall = skip ; why\n# mine\n"
    (top / ".gitmodules").write_text(text)
    tools.hold(top, "create", "-d", ".", "two")
    assert modules(top).startswith(text)
    tools.hold(top, "remove", "-d", ".", "--force", "test", "two")
    assert modules(top) == text
    assert is_clean_to_us(tools, top)


def test_a_repository_that_does_not_work_does_not_stop_the_others(
    tools: Tools, ours: Path, tmp_path: Path
) -> None:
    clone = tools.clone("hold", ours, tmp_path / "clone")
    tools.hold(clone, "get", "-n", "-r")
    (clone / "in/mid/deep/.git/HEAD").unlink()
    told = tools.hold(clone, "find", "-r", "--anything", "--json", exits=4).records()
    assert paths(told, "find") == ["big.dat", "in/mid/big.dat"]
    assert told[-1]["path"] == "in/mid/deep"
    assert "H705" in str(told[-1]["error"])
