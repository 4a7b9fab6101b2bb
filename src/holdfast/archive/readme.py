"""The README.txt of every archive: what it is, and how to read it without us."""

from __future__ import annotations

from collections.abc import Sequence

from .plan_records import PlanHead


def readme(head: PlanHead, bundles: Sequence[str]) -> bytes:
    """The text; the same snapshot has the same."""
    if head.is_sealed:
        return _sealed_readme(head)
    what = f"version {head.version} of the data set {head.dataset}" if head.version else "a folder"
    lines = [
        f"This is an archive of {what}.",
        f"Snapshot {head.snapshot}, made {head.made}.",
        "",
        "Its pieces are CAR files (version 1, ipld.io/specs/transport/car). Together they hold the",
        "blocks of one UnixFS folder; its CID is the root that the last piece names.",
        "",
        "  files/   all files, as they were",
    ]
    if bundles:
        lines.append("  git/     history, as git bundles")
    lines += [
        "",
        "To restore with public tools only:",
        "",
        "1. Give all pieces of all snapshots to a tool that imports CARs, such as",
        "   ipfs dag import --pin-roots=false *.car",
        "2. Get the folder: ipfs get -o out ROOT",
    ]
    if bundles:
        first, *later = bundles
        lines.append(f"3. Get history: git clone out/git/{first} data")
        lines += [f"   git -C data fetch -u ../out/git/{name} '+refs/*:refs/*'" for name in later]
        lines.append(f"   git -C data reset --hard {head.version}")
    lines += [
        "",
        "Each piece says what is in it. Its last 96 bytes lead to a manifest, and that to a row of",
        "path, key, offset and length for each file: one range of the piece is one file. Blocks",
        "in it have their SHA-256 before them. The format: docs/formats/archive.md of Holdfast.",
        "",
    ]
    return "\n".join(lines).encode()


def _sealed_readme(head: PlanHead) -> bytes:
    return f"""This is an encrypted archive.
Snapshot {head.snapshot}, made {head.made}.

Its pieces are CAR files (version 1, ipld.io/specs/transport/car). Together they hold the
blocks of one UnixFS folder; its CID is the root that the last piece names. All that is in
it is age files (age-encryption.org/v1):

  files/names/SCOPE.age            what is where: lines of JSON, gzipped
  files/data/SCOPE/FOLDER/NAME.age a content each
  files/git/NNNN.bundle.age        history, as git bundles, if it is there

To restore with public tools and the key only:

1. Give all pieces of all snapshots to a tool that imports CARs, such as
   ipfs dag import --pin-roots=false *.car
2. Get the folder: ipfs get -o out ROOT
3. Read a list: age -d -i KEY out/files/names/dataset.age | gunzip
4. Each line of a file ends with its object, FOLDER/NAME:
   age -d -i KEY out/files/data/dataset/FOLDER/NAME.age > FILE

Docs of Holdfast: restore-without-holdfast.md has a program for that, formats/archive.md
the format.
""".encode()
