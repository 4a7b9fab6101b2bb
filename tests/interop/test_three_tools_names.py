"""File names that break programs: saved by one tool, read and moved about by another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

NAMES = {
    "spaces": b" two  spaces ",
    "newline": b"new\nline.dat",
    "carriage return": b"line\r.dat",
    "tab": b"tab\there.dat",
    "quotes": b"it's \"quoted\".dat",
    "backslash": b"back\\slash\\.dat",
    "not utf-8": b"latin-\xe9\xff.nii.gz",
    "signs of key files": b"a%b&c:d%%&&s.x:y",
    "leading dash": b"-rf",
    "two dashes": b"--",
    "255 bytes": b"n" * 247 + b".nii.gz" + b"z",
    "emoji": "brain 🧠 é.dat".encode(),
    "decomposed": "e\u0301.dat".encode(),
    "trailing dot": b"dot.",
    "glob": b"[a-z]*?{x}.dat",
    "pathspec magic": b":(exclude)*",
    "shell": b"$(touch x);`y`|&.dat",
    "control": b"bell\x07\x1b[31m.dat",
    "deep": b"/".join([b"folder %d" % n for n in range(30)] + [b"end.dat"]),
    "odd folder": b"fol\nder \xff/file",
    "extension of digits": b"a.b.c.1234.x_y",
    "extension in other letters": "a.größe.nii".encode(),
}


def content_of(name: str) -> bytes:
    return b"content of " + name.encode()


def fill(folder: Path) -> None:
    for name, path in NAMES.items():
        full = os.path.join(os.fsencode(folder), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content_of(name))


@pytest.fixture(scope="module", params=["hold", "annex", "datalad"])
def saved(request: pytest.FixtureRequest, tools: Tools, shelf: Path) -> Path:
    """A data set with all of these names, by each tool; DataLad refuses some of them itself."""
    folder = tools.create(request.param, shelf / request.param)
    fill(folder)
    if request.param == "datalad":
        # DataLad reads git's quoted listings as text: it leaves those two alone, or fails.
        for name in ("not utf-8", "odd folder"):
            os.unlink(os.path.join(os.fsencode(folder), NAMES[name]))
    tools.save(request.param, folder)
    return folder


@pytest.fixture(scope="module")
def seen(tools: Tools, saved: Path) -> dict[str, object]:
    """What each tool says of that data set."""
    return {
        "clean": {tool: tools.is_clean(tool, saved) for tool in ("hold", "annex")},
        "keys": tools.keys(saved),
        "hold": tools.here("hold", saved),
        "annex": tools.here("annex", saved),
    }


def test_a_data_set_of_odd_names_is_clean_and_whole(tools: Tools, saved: Path, seen: dict) -> None:
    assert seen["clean"] == {"hold": True, "annex": True}
    tools.fsck("hold", saved)
    tools.fsck("annex", saved)
    tools.settled(saved)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_an_odd_name_is_there_for_both(saved: Path, seen: dict, name: str) -> None:
    path = NAMES[name]
    if saved.name == "datalad" and name in ("not utf-8", "odd folder"):
        pytest.skip("DataLad itself does not save this name")
    assert path in seen["hold"]
    assert path in seen["annex"]
    full = os.path.join(os.fsencode(saved), path)
    assert os.path.islink(full)
    with open(full, "rb") as file:
        assert file.read() == content_of(name)


def test_both_give_the_same_keys_to_odd_names(tools: Tools, bench: Path) -> None:
    keys = []
    for tool in ("hold", "annex"):
        folder = tools.create(tool, bench / tool)
        tools.git(folder, "config", "annex.backend", "SHA256E")
        fill(folder)
        tools.save(tool, folder)
        keys.append({p: k for p, k in tools.keys(folder).items() if not p.startswith(b".")})
    assert keys[0] == keys[1]


def test_worm_keys_made_of_odd_names_are_the_same(tools: Tools, bench: Path) -> None:
    keys = []
    for tool in ("hold", "annex"):
        folder = tools.create(tool, bench / tool)
        tools.git(folder, "config", "annex.backend", "WORM")
        fill(folder)
        for path in NAMES.values():
            os.utime(os.path.join(os.fsencode(folder), path), (1_700_000_000, 1_700_000_000))
        tools.save(tool, folder)
        keys.append({p: k for p, k in tools.keys(folder).items() if not p.startswith(b".")})
        tools.settled(folder)
    assert keys[0] == keys[1]


@pytest.mark.parametrize(("getter", "dropper"), [("hold", "annex"), ("annex", "hold")])
def test_odd_names_are_got_and_dropped_one_by_one(
    tools: Tools, saved: Path, bench: Path, getter: str, dropper: str
) -> None:
    clone = tools.clone(getter, saved, bench / "clone")
    present = [path for path in NAMES.values() if os.path.lexists(os.path.join(os.fsencode(clone), path))]
    tools.get(getter, clone, *(b"./" + path for path in present))
    assert tools.here("hold", clone) == tools.here("annex", clone) == set(present)
    tools.drop(dropper, clone, *(b"./" + path for path in present))
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    tools.settled(clone)


@pytest.mark.parametrize(("saver", "unlocker"), [("hold", "annex"), ("annex", "hold")])
def test_unlocked_files_with_odd_names_are_clean_to_both(
    tools: Tools, bench: Path, saver: str, unlocker: str
) -> None:
    folder = tools.create(saver, bench / "study")
    fill(folder)
    tools.save(saver, folder)
    tools.unlock(unlocker, folder, ".")
    tools.save(unlocker, folder)
    assert tools.is_clean("hold", folder)
    assert tools.is_clean("annex", folder)
    for name, path in NAMES.items():
        full = os.path.join(os.fsencode(folder), path)
        assert not os.path.islink(full)
        with open(full, "rb") as file:
            assert file.read() == content_of(name)
    tools.settled(folder)
