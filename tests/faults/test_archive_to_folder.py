"""``pack --to`` and ``--from``: when a name is that of a folder, and when that of a remote."""

from __future__ import annotations

from pathlib import Path

from scenes import HOLD, hold, must

PACK = ("archive", "pack", "--folder", "scans", "--state", "state", "--to")
RESTORE = ("archive", "restore", "--to", "out", "--from")


def _scans(top: Path) -> None:
    (top / "scans").mkdir()
    (top / "scans/one").write_text("one")


def test_where_there_is_no_data_set_any_name_is_that_of_a_folder(tmp_path: Path) -> None:
    _scans(tmp_path)
    must(tmp_path, HOLD, *PACK, "dest")
    assert list((tmp_path / "dest").glob("*.car"))
    must(tmp_path, HOLD, *RESTORE, "dest")
    assert (tmp_path / "out/one").read_text() == "one"
    inside = hold(tmp_path, *PACK, "scans")
    assert "H906" in inside.err and not list((tmp_path / "scans").glob("*.car"))
    missing = hold(tmp_path, *RESTORE, "dist")
    assert missing.code != 0 and "H101" in missing.err and not (tmp_path / "dist").exists()
    wrong = hold(tmp_path, "-d", "nowhere", *PACK, "other")
    assert wrong.code != 0 and not (tmp_path / "other").exists()


def test_in_a_data_set_it_is_a_remote_then_a_folder_that_is_there_then_a_mistake(
    tmp_path: Path,
) -> None:
    must(tmp_path, HOLD, "create", "-q", "main")
    main = tmp_path / "main"
    _scans(main)
    done = hold(main, *PACK, "dest")
    assert done.code != 0 and "dest" in done.err and not (main / "dest").exists()
    (main / "dest").mkdir()
    must(main, HOLD, *PACK, "dest")
    assert list((main / "dest").glob("*.car"))
    (tmp_path / "shelf").mkdir()
    where = f"directory={tmp_path / 'shelf'}"
    words = ("type=directory", "encryption=none", "exporttree=yes", where)
    must(main, "git", "annex", "initremote", "-q", "shelf", *words)
    (main / "shelf").mkdir()
    (main / "scans/two").write_text("two")
    must(main, HOLD, *PACK, "shelf")
    assert not list((main / "shelf").iterdir()) and list((tmp_path / "shelf").rglob("*.car"))
