"""Which keys may be kept where annex.securehashesonly is set."""

from __future__ import annotations

import pytest

from holdfast.core.backends import HASH_BACKENDS
from holdfast.core.secure_hashes import is_demanded, is_secure_to_git_annex, refusal

FORGEABLE = {b"MD5", b"SHA1", b"XXH3"}


@pytest.mark.parametrize("end", [b"", b"E"])
@pytest.mark.parametrize("backend", HASH_BACKENDS)
def test_hashes_are_let_in_unless_they_can_be_forged(backend: bytes, end: bytes) -> None:
    refused = refusal("scan.nii", backend + end)
    assert (refused is not None) is (backend in FORGEABLE)
    assert is_secure_to_git_annex(backend + end) is (backend not in FORGEABLE)


@pytest.mark.parametrize("backend", [b"WORM", b"URL", b"GITMANIFEST", b"FOO", b"XFOO", b"XFOOE"])
def test_keys_without_a_hash_that_we_know_are_refused(backend: bytes) -> None:
    assert refusal("scan.nii", backend) is not None
    assert not is_secure_to_git_annex(backend)


@pytest.mark.parametrize("backend", [b"VURL", b"GITBUNDLE"])
def test_what_only_git_annex_can_check_is_refused_yet_not_called_insecure(backend: bytes) -> None:
    refused = refusal("scan.nii", backend)
    assert refused is not None and "checked by git-annex only" in refused.why
    assert is_secure_to_git_annex(backend)


def test_a_refusal_names_the_file_the_rule_and_the_backend() -> None:
    refused = refusal("sub-01/scan.nii", b"MD5E")
    assert refused is not None
    assert refused.code == "H211" and refused.exit_code == 4
    assert "sub-01/scan.nii" in refused.what
    assert refused.why == "annex.securehashesonly is set, and MD5E can be forged"


@pytest.mark.parametrize("value", ["true", "TRUE", "yes", "On", "1", "2", "-1", ""])
def test_what_git_takes_for_true_sets_the_rule(value: str) -> None:
    assert is_demanded(value, None)
    assert is_demanded(value, "false")


@pytest.mark.parametrize("value", ["false", "no", "off", "0", "junk"])
def test_all_else_does_not_set_it_whatever_the_ledger_says(value: str) -> None:
    assert not is_demanded(value, None)
    assert not is_demanded(value, "true")


@pytest.mark.parametrize(
    ("shared", "demanded"),
    [("true", True), ("yes", True), ("false", False), ("", False), (None, False)],
)
def test_where_git_says_nothing_the_ledger_counts(shared: str | None, demanded: bool) -> None:
    assert is_demanded(None, shared) is demanded
