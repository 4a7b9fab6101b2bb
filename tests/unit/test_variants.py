"""Files that two versions changed differently are called as git-annex calls them."""

import pytest

from holdfast.core.key import Key
from holdfast.wire.variants import Conflict, Side, resolve, variant_path

ONE = Key(b"SHA256E-s2--f55ff16f66f43360266b95db6f8fec01d76031054306ae4a4b380598f6cfd114.txt")
TWO = Key(b"SHA256E-s2--7dc96f776c8423e57a2785489a3f9c43fb6e756876d6ad9a9cac4aa4e72ec193.txt")
LINK, FILE = b"120000", b"100644"


@pytest.mark.parametrize(
    ("path", "variant"),
    [
        (b"both.txt", b"both.variant-584d.txt"),
        (b"noext", b"noext.variant-584d"),
        (b"a.b/noext", b"a.b/noext.variant-584d"),
        (b"sub/x.tar.gz", b"sub/x.tar.variant-584d.gz"),
        (b"x.", b"x.variant-584d."),
        (b".x", b"..variant-584d.x"),
        (b".x.txt", b".x.variant-584d.txt"),
        (b"a/sub/.x", b"a/sub.variant-584d.x"),
    ],
)
def test_a_variant_has_the_digest_of_its_key_before_the_last_extension(
    path: bytes, variant: bytes
) -> None:
    assert variant_path(path, ONE) == variant


def test_two_annexed_sides_both_become_variants() -> None:
    ours, theirs = Side(LINK, b"1", ONE), Side(FILE, b"2", TWO)
    assert resolve(Conflict(b"f.txt", ours, theirs)) == [
        (b"f.variant-584d.txt", ours),
        (b"f.variant-8439.txt", theirs),
    ]


def test_what_was_removed_on_one_side_stays_as_a_variant() -> None:
    theirs = Side(LINK, b"2", TWO)
    assert resolve(Conflict(b"f.txt", None, theirs)) == [(b"f.variant-8439.txt", theirs)]


def test_a_file_in_git_keeps_its_path() -> None:
    ours, theirs = Side(FILE, b"1", None), Side(LINK, b"2", TWO)
    assert resolve(Conflict(b"f.txt", ours, theirs)) == [
        (b"f.txt", ours),
        (b"f.variant-8439.txt", theirs),
    ]


def test_the_same_content_keeps_its_path_unlocked() -> None:
    ours, theirs = Side(LINK, b"1", ONE), Side(FILE, b"2", ONE)
    assert resolve(Conflict(b"f.txt", ours, theirs)) == [(b"f.txt", theirs)]


def test_a_variant_that_would_leave_its_folder_is_for_a_person() -> None:
    ours, theirs = Side(LINK, b"1", ONE), Side(LINK, b"2", TWO)
    assert resolve(Conflict(b".f", ours, theirs)) is not None
    assert resolve(Conflict(b"sub/.f", ours, theirs)) is None


def test_two_variants_of_one_name_are_for_a_person() -> None:
    by_name: dict[bytes, Key] = {}
    for number in range(100_000):
        key = Key(b"WORM-s1-m%d--f" % number)
        other = by_name.setdefault(variant_path(b"f", key), key)
        if other != key:
            break
    conflict = Conflict(b"f", Side(LINK, b"1", other), Side(LINK, b"2", key))
    assert other != key and resolve(conflict) is None


def test_files_in_git_are_for_a_person() -> None:
    plain = Side(FILE, b"1", None)
    assert resolve(Conflict(b"f.txt", plain, plain)) is None
    assert resolve(Conflict(b"f.txt", plain, None)) is None
