"""What places want: hold and git-annex decide alike, and bring and let go of the same files."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import holdfast as hf

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

CONFORMANCE = Path(__file__).parents[2] / "bench/conformance/preferred_content.py"
FILES = {
    "a.dat": b"a",
    "b.txt": b"b" * 2000,
    "sub/c.dat": b"c",
    "sub/d.txt": b"d",
    "twin/one.dat": b"the same",
    "sub/two.dat": b"the same",
}
RULES = (
    "",
    "include=sub/*",
    "include=*.dat and not copies=2",
    "present",
    "not present",
    "(include=*.txt (include=a* or largerthan=1kb))",
    "lackingcopies=1",
    "standard",
)


def load_conformance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preferred_content", CONFORMANCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["preferred_content"] = module
    spec.loader.exec_module(module)
    return module


def test_random_expressions_mean_the_same(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATH", "HOME"):
        monkeypatch.setenv(name, tools.environment[name])
    tools.annex(tmp_path, "version")
    conformance = load_conformance()
    chance = random.Random(3)
    maker = conformance.Maker(chance)
    expressions = [maker.expression() for _ in range(40)]
    conformance.make_dataset(tmp_path)
    places = conformance.make_places(tmp_path, chance, expressions)
    told: Counter[str] = Counter()
    found = list(conformance.iter_differences(tmp_path, expressions, places, told))
    assert found == []
    assert sum("balanced=" in text for text in expressions) > 10
    assert told["--want-get-by yes"] > 50 and told["--want-drop-by yes"] > 50


@pytest.fixture(scope="module")
def family(tools: Tools, shelf: Path) -> Path:
    """A source with all content, and a clone with some of it."""
    top = shelf / "policy"
    top.mkdir()
    source = tools.create("annex", top / "source")
    tools.write(source, FILES)
    tools.save("annex", source)
    clone = tools.clone("annex", source, top / "clone")
    tools.annex(clone, "get", "-q", "a.dat", "b.txt", "twin/one.dat")
    return top


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("numcopies", ["1", "2"])
def test_what_is_brought_and_let_go_by_rule_is_the_same(
    tools: Tools, family: Path, tmp_path: Path, rule: str, numcopies: str
) -> None:
    here: dict[str, list[set[bytes]]] = {}
    for tool in ("hold", "annex"):
        clone = tmp_path / tool
        tools.copy(family / "clone", clone)
        tools.annex(clone, "numcopies", "-q", numcopies)
        tools.annex(clone, "wanted", ".", rule)
        run = tools.hold if tool == "hold" else tools.annex
        run(clone, "get", "--auto")
        after_get = tools.here(tool, clone)
        tools.annex(clone, "numcopies", "-q", "1")
        run(clone, "drop", "--auto")
        here[tool] = [after_get, tools.here(tool, clone)]
    assert here["hold"] == here["annex"]


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ("fullybalanced=lab", ""),
        ("fullybalanced=lab:2", "2005"),
        ("fullybalanced=lab:2", "9"),
        ("balanced=lab:lackingcopies", ""),
        ("sizebalanced=lab:2", "2002"),
        ("fullysizebalanced=lab", "2003"),
        ("fullysizebalanced=lab:2", "900000"),
        ("not balanced=lab", ""),
    ],
)
def test_content_is_spread_over_a_group_alike(
    tools: Tools, family: Path, tmp_path: Path, rule: str, limit: str
) -> None:
    here: dict[str, list[set[bytes]]] = {}
    for tool in ("hold", "annex"):
        clone = tmp_path / tool
        tools.copy(family / "clone", clone)
        tools.annex(clone, "config", "--set", "annex.numcopies", "1")
        for place in (".", "origin"):
            tools.annex(clone, "group", place, "lab")
        tools.annex(clone, "wanted", ".", rule)
        if limit:
            tools.annex(clone, "maxsize", "here", limit)
        run = tools.hold if tool == "hold" else tools.annex
        run(clone, "get", "--auto")
        after_get = tools.here(tool, clone)
        run(clone, "drop", "--auto")
        here[tool] = [after_get, tools.here(tool, clone)]
    assert here["hold"] == here["annex"]


def test_no_more_is_brought_than_a_place_may_hold(
    tools: Tools, family: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    tools.copy(family / "clone", clone)
    tools.annex(clone, "drop", ".")
    tools.annex(clone, "group", ".", "lab")
    tools.annex(clone, "wanted", ".", "fullybalanced=lab")
    tools.hold(clone, "siblings", "configure", "here", "--max-size", "2001")
    (row,) = tools.hold(clone, "plan", "--json").records()
    assert (row["action"], row["files"], row["size"]) == ("get", 2, 2001)
    tools.hold(clone, "get", "--auto")
    assert tools.here("annex", clone) == {b"a.dat", b"b.txt"}
    assert tools.hold(clone, "plan", "--json").records() == []


def test_what_places_hold_is_counted_as_git_annex_counts(
    tools: Tools, family: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    tools.copy(family / "clone", clone)
    tools.annex(clone, "addurl", "--relaxed", "--file", "page", "http://127.0.0.1:9/page")
    tools.annex(clone, "dead", "origin")
    tools.annex(clone, "semitrust", "origin")
    told = json.loads(tools.annex(clone, "maxsize", "--json", "--bytes").text)["repositories"]
    sizes = {place["uuid"]: place["size"]["size"] for place in told}
    with hf.open_dataset(clone) as dataset:
        used = dict(dataset.ledger.used)
    assert {place: size for place, size in used.items() if size} == {
        place: size for place, size in sizes.items() if size
    }
    assert sorted(used.values()) == [0, 2009, 2011]  # the web has a page of unknown size


def test_auto_is_refused_with_what_it_cannot_be_about(tools: Tools, family: Path) -> None:
    clone = family / "clone"
    tools.hold(clone, "get", "--auto", "--all", exits=2)
    tools.hold(clone, "drop", "--auto", "--unused", exits=2)
    tools.hold(clone, "drop", "--auto", "--force", "no use for it", exits=2)


def test_find_lists_what_a_place_would_have_or_let_go(
    tools: Tools, family: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    tools.copy(family / "clone", clone)
    tools.annex(clone, "wanted", ".", "include=sub/*")
    wanted = tools.hold(clone, "find", "--wanted-by", "here").text.split()
    let_go = tools.hold(clone, "find", "--unwanted-by", "here").text.split()
    assert wanted == ["sub/c.dat", "sub/d.txt", "sub/two.dat"]
    assert let_go == ["a.dat", "b.txt", "twin/one.dat"]
    tools.hold(clone, "find", "--wanted-by", "nowhere", exits=1)


def test_what_is_present_here_is_seen_not_believed(
    tools: Tools, family: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    tools.copy(family / "clone", clone)
    tools.annex(clone, "wanted", ".", "present")
    scan = (clone / "a.dat").resolve()
    scan.parent.chmod(0o755)
    scan.unlink()
    wanted = {b"b.txt", b"twin/one.dat", b"sub/two.dat"}
    for told in (
        tools.annex(clone, "find", "--print0", "--want-get").output,
        tools.hold(clone, "annex", "find", "--print0", "--want-get").output,
        tools.hold(clone, "find", "-0", "--wanted-by", "here").output,
    ):
        assert set(told.split(b"\0")) - {b""} == wanted
