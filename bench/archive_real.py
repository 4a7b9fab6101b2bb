"""Real data sets packed in five versions, and every version restored from the pieces alone.

    python bench/archive_real.py                       all of them
    python bench/archive_real.py ds000001 bids-hold    some of them

``bids-hold`` and ``bids-datalad`` are the tree of bids-examples made a data set by hold, and by
DataLad; the others are bundles: history, and names of content that is nowhere. Between versions
files are edited, renamed, deleted and added, content comes and is dropped, modes, kinds, branches
and tags change. Then all but the pieces is moved away, and each version is restored and compared
with what git, git-annex and checksums said before: the last column counts differences, which are
listed below. The script ends with 0 only when there are none. Data is looked for in
$HOLDFAST_SHARED/data, else in ../shared/data beside the project.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "programs"))

from archive_versions import (
    VERSIONS,
    Packed,
    Save,
    differences,
    pack_versions,
    save_by_annex,
    save_by_datalad,
    save_by_hold,
)
from scenes import HOLD, must

PROJECT = Path(__file__).resolve().parent.parent
BIDS = "bids-examples.tar.xz"


def main() -> int:
    options = _options()
    data = Path(os.environ.get("HOLDFAST_SHARED") or PROJECT.parent / "shared") / "data"
    names = options.names or ["bids-hold", "bids-datalad", *_bundles(data)]
    base = Path(tempfile.mkdtemp(prefix="hold-archive-real-", dir=options.folder))
    found: list[str] = []
    print(f"{'data set':24} {'snapshot':>8} {'files':>7} {'pieces':>6} {'bytes':>12} "
          f"{'new content':>12} {'missing':>7} {'s':>5} {'differences':>11}")  # fmt: skip
    try:
        for name in names:
            found += _try(base / name, data, name, options)
    finally:
        _remove(base)
    print("\n".join(found) or "no differences")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="bids-hold, bids-datalad, bundles")
    parser.add_argument("--piece-size", default="16MiB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-fsck", action="store_true", help="without git annex fsck")
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    return parser.parse_args()


def _bundles(data: Path) -> list[str]:
    return sorted(path.name.removesuffix(".bundle") for path in data.glob("*.bundle"))


def _try(folder: Path, data: Path, name: str, options: argparse.Namespace) -> list[str]:
    folder.mkdir()
    save = _make(folder / "main", data, name)
    packed = pack_versions(
        folder / "main", folder / "pieces", save, options.piece_size, options.seed
    )
    # What is restored comes from the pieces: there is nothing else that it could come from.
    _remove(folder / "main")
    found = []
    for number in range(VERSIONS):
        began = time.monotonic()
        wrong = differences(packed, number, folder / "out", fsck=not options.no_fsck)
        _tell(name, packed, number, len(wrong), time.monotonic() - began)
        found += [f"{name} {number} {one}" for one in wrong]
        _remove(folder / "out")
    _remove(folder)
    return found


def _make(main: Path, data: Path, name: str) -> Save:
    """Make the data set; gives how it is saved."""
    if name.startswith("bids-"):
        main.mkdir()
        with tarfile.open(data / BIDS) as tar:
            tar.extractall(main, filter="data")
        if name == "bids-datalad":
            must(main, "datalad", "-l", "error", "create", "-c", "text2git", "--force")
            save_by_datalad(main, "as it came")
            return save_by_annex  # DataLad cannot save names that are not UTF-8
        must(main, HOLD, "create", "-q", "--profile", "bids", "--force")
        save_by_hold(main, "as it came")
        return save_by_hold
    must(main.parent, "git", "clone", "-q", str(data / f"{name}.bundle"), str(main))
    must(main, "git", "fetch", "-q", "origin", "git-annex:git-annex", "+refs/tags/*:refs/tags/*")
    must(main, "git", "remote", "remove", "origin")
    must(main, "git", "annex", "init", "--quiet")
    return save_by_annex


def _tell(name: str, packed: Packed, number: int, wrong: int, took_s: float) -> None:
    one = packed.versions[number]
    print(f"{name:24} {number:8} {one.files:7,} {one.pieces:6} {one.size:12,} {one.new:12,} "
          f"{len(packed.missing(one)):7,} {took_s:5.0f} {wrong:11}", flush=True)  # fmt: skip


def _remove(folder: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", folder], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
