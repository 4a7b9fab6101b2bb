"""What fsck says of damage, of its time limit and of what it can bring again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop


def statuses(records: list[dict[str, object]]) -> dict[str, object]:
    return {str(r["path"]): r["status"] for r in records if "path" in r}


def damage(path: Path) -> None:
    content = path.resolve()
    content.parent.chmod(0o755)
    content.chmod(0o644)
    with content.open("ab") as file:
        file.write(b"xx")


def lose(path: Path) -> None:
    content = path.resolve()
    content.parent.chmod(0o755)
    content.unlink()


@pytest.fixture
def pair(tools: Tools, bench: Path) -> Path:
    """A data set with two files of one content."""
    folder = tools.create("hold", bench / "pair")
    content = os.urandom(70_000)
    tools.write(folder, {"a": content, "b": content})
    tools.save("hold", folder)
    return folder


def test_every_file_of_damaged_content_is_told_as_damaged(tools: Tools, pair: Path) -> None:
    damage(pair / "a")
    told = tools.hold(pair, "fsck", "--json", exits=1).records()
    assert statuses(told) == {"a": "error", "b": "error"}
    assert [r["error"]["code"] for r in told] == ["H206", "H206"]  # type: ignore[index]
    assert "b is damaged" in str(told[1]["error"])
    assert ".git/annex/bad" in str(told[1]["error"])


def test_every_file_of_repaired_content_is_told_as_repaired(
    tools: Tools, pair: Path, bench: Path
) -> None:
    clone = tools.clone("hold", pair, bench / "clone")
    tools.get("hold", clone)
    good = (clone / "a").read_bytes()
    damage(clone / "a")
    told = tools.hold(clone, "fsck", "--repair", "--json").records()
    assert statuses(told) == {"a": "ok", "b": "ok"}
    assert [r["repaired"] for r in told] == [True, True]
    assert (clone / "b").read_bytes() == good


def test_content_set_aside_before_is_repaired_for_every_file(
    tools: Tools, pair: Path, bench: Path
) -> None:
    clone = tools.clone("hold", pair, bench / "clone")
    tools.get("hold", clone)
    damage(clone / "a")
    tools.hold(clone, "fsck", exits=1)
    told = tools.hold(clone, "fsck", "--repair", "--json").records()
    assert [r.get("repaired") for r in told] == [True, True]


@pytest.fixture
def many(tools: Tools, bench: Path) -> Path:
    """More small files than are looked at between two looks at the clock."""
    folder = tools.create("hold", bench / "many")
    tools.write(folder, {f"f{n:03}": b"%d" % n for n in range(150)})
    tools.save("hold", folder)
    return folder


def test_a_time_limit_that_was_reached_is_told_and_is_incomplete(tools: Tools, many: Path) -> None:
    told = tools.hold(many, "fsck", "--time-limit", "0s", "--json", exits=3).records()
    *looked_at, last = told
    assert 0 < len(looked_at) <= 64
    assert last["error"]["code"] == "H218"  # type: ignore[index]
    assert str(looked_at[-1]["path"]) in str(last["note"])
    text = tools.hold(many, "fsck", "--time-limit", "0s", exits=3).all_text
    assert "time limit" in text
    assert "hold fsck --incremental" in text


def test_an_incremental_fsck_goes_on_after_its_limit_until_all_was_looked_at(
    tools: Tools, many: Path
) -> None:
    seen: list[str] = []
    for code in (3, 3, 0):
        words = ("fsck", "--incremental", "--time-limit", "0s", "--json")
        told = tools.hold(many, *words, exits=code).records()
        seen += statuses(told)
    assert seen == sorted(p.name for p in many.glob("f*"))


def test_a_limit_that_is_not_reached_or_only_at_the_end_is_not_told(
    tools: Tools, pair: Path
) -> None:
    assert len(tools.hold(pair, "fsck", "--time-limit", "1h", "--json").records()) == 2
    assert len(tools.hold(pair, "fsck", "--time-limit", "0s", "--json").records()) == 2


def test_with_a_limit_large_files_are_looked_at_few_at_a_time(tools: Tools, bench: Path) -> None:
    folder = tools.create("hold", bench / "large")
    for number in range(4):
        with (folder / f"f{number}").open("wb") as file:
            file.write(b"%d" % number)
            file.truncate(40 << 20)
    tools.save("hold", folder)
    told = tools.hold(folder, "fsck", "--time-limit", "0s", "--json", exits=3).records()
    assert statuses(told) == {"f0": "ok"}


def test_repair_brings_lost_content_from_a_place_the_ledger_does_not_name(
    tools: Tools, pair: Path, bench: Path
) -> None:
    other = bench / "other"
    tools.copy(pair, other)
    tools.git(other, "config", "annex.uuid", "11111111-2222-4333-8444-555555555555")
    tools.git(pair, "remote", "add", "q2", other)
    lose(pair / "a")
    found = tools.hold(pair, "fsck", "--json", exits=1).records()
    assert {r["error"]["code"] for r in found} == {"H216"}  # type: ignore[index]
    told = tools.hold(pair, "fsck", "--repair", "--json").records()
    assert statuses(told) == {"a": "ok", "b": "ok"}
    assert (pair / "b").read_bytes() == (other / "b").read_bytes()


def test_repair_brings_content_that_the_ledger_said_is_here(
    tools: Tools, pair: Path, bench: Path
) -> None:
    clone = tools.clone("hold", pair, bench / "clone")
    tools.get("hold", clone)
    lose(clone / "a")
    told = tools.hold(clone, "fsck", "--repair", "--json").records()
    assert [r.get("repaired") for r in told] == [True, True]
    assert (clone / "a").exists()


def test_repair_brings_nothing_that_was_never_here(tools: Tools, pair: Path, bench: Path) -> None:
    clone = tools.clone("hold", pair, bench / "clone")
    told = tools.hold(clone, "fsck", "--repair", "--json").records()
    assert statuses(told) == {"a": "notneeded", "b": "notneeded"}


def test_nothing_is_said_to_be_kept_of_content_of_which_nothing_came(
    tools: Tools, pair: Path
) -> None:
    lose(pair / "a")
    text = tools.hold(pair, "get", "a", exits=3).all_text
    assert "H205" in text
    assert "what had arrived of it is kept" not in text
