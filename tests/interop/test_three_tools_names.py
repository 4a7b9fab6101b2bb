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
    "quotes": b'it\'s "quoted".dat',
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

CANNOT_SAVE = {
    "hold": (),
    "annex": ("255 bytes",),
    "datalad": ("255 bytes", "not utf-8", "odd folder"),
}
"""What a tool fails on by itself; here: of git-annex 10.20261026 and DataLad 1.7."""


def content_of(name: str) -> bytes:
    return b"content of " + name.encode()


def names_for(*savers: str) -> list[str]:
    return [name for name in NAMES if not any(name in CANNOT_SAVE[saver] for saver in savers)]


def fill(folder: Path, names: list[str]) -> None:
    for name in names:
        path = NAMES[name]
        full = os.path.join(os.fsencode(folder), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content_of(name))


@pytest.fixture(scope="module", params=["hold", "annex", "datalad"])
def saved(request: pytest.FixtureRequest, tools: Tools, shelf: Path) -> Path:
    """A data set with all of these names that a tool can save."""
    folder = tools.create(request.param, shelf / request.param)
    fill(folder, names_for(request.param))
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
    if name in CANNOT_SAVE[saved.name]:
        pytest.skip(f"{saved.name} itself does not save this name")
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
        fill(folder, names_for("annex"))
        tools.save(tool, folder)
        keys.append({p: k for p, k in tools.keys(folder).items() if not p.startswith(b".")})
    assert keys[0] == keys[1]


def test_worm_keys_made_of_odd_names_are_the_same(tools: Tools, bench: Path) -> None:
    keys = []
    for tool in ("hold", "annex"):
        folder = tools.create(tool, bench / tool)
        tools.write(folder, {".gitattributes": b"* annex.backend=WORM\n"})
        fill(folder, names_for("annex"))
        for name in names_for("annex"):
            os.utime(os.path.join(os.fsencode(folder), NAMES[name]), (1_700_000_000, 1_700_000_000))
        tools.save(tool, folder)
        keys.append({p: k for p, k in tools.keys(folder).items() if not p.startswith(b".")})
        tools.settled(folder)
    assert keys[0] == keys[1]


def test_odd_names_are_got_and_dropped_by_name(tools: Tools, saved: Path, bench: Path) -> None:
    present = {NAMES[name] for name in names_for(saved.name)}
    clone = tools.clone("hold", saved, bench / "clone")
    tools.get("hold", clone, *present)
    assert tools.here("hold", clone) == tools.here("annex", clone) == present
    tools.drop("annex", clone)
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    tools.get("annex", clone)
    tools.drop("hold", clone, *present)
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    tools.settled(clone)


@pytest.mark.parametrize(("saver", "unlocker"), [("hold", "annex"), ("annex", "hold")])
def test_unlocked_files_with_odd_names_are_clean_to_both(
    tools: Tools, bench: Path, saver: str, unlocker: str
) -> None:
    folder = tools.create(saver, bench / "study")
    # git-annex loses bytes that are no UTF-8 when it unlocks.
    names = [name for name in names_for("annex") if name != "not utf-8" or unlocker == "hold"]
    fill(folder, names)
    # Of a file as young as its index git asks the filter, and git-annex's fails on a newline.
    for name in names:
        os.utime(os.path.join(os.fsencode(folder), NAMES[name]), (1_700_000_000, 1_700_000_000))
    tools.save(saver, folder)
    tools.unlock(unlocker, folder, ".")
    tools.save_tracked(unlocker, folder)
    assert tools.is_clean("hold", folder)
    assert tools.is_clean("annex", folder)
    for name in names:
        full = os.path.join(os.fsencode(folder), NAMES[name])
        assert not os.path.islink(full)
        with open(full, "rb") as file:
            assert file.read() == content_of(name)
    tools.settled(folder)
