"""The folder with the keys of an encrypted archive: what a kill, or very much in it, leaves true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.archive import scope_keys
from holdfast.archive.scope_keys import IMPORTED, KeyFolder, identities_in
from holdfast.archive.scopes import Scopes
from holdfast.archive.seal_primitives import primitives
from holdfast.archive.sealing import Sealing
from holdfast.core.errors import AccessError, UsageError
from holdfast.wire.age_header import STANZAS_MAX
from holdfast.wire.age_keys import encode_recipient

pytest.importorskip("cryptography")
USE = primitives()
SECRET = os.urandom(32)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(os.fsencode(tmp_path / "keys"), USE)


def _make(keys: KeyFolder, scope: str, *others: str) -> bytes:
    new = os.urandom(32)
    keys.make(scope, new, SECRET, others, "me")
    return new


def test_that_a_key_was_destroyed_is_known_after_very_many_were_made(keys: KeyFolder) -> None:
    _make(keys, "sub-x")
    for number in range(400):
        keys._log("made", f"sub-{number:04}", "0" * 16, "somebody", "", ["age1" + "q" * 58])
    keys.destroy("sub-x", "me", "asked")
    assert os.path.getsize(keys.path + b"/log") > scope_keys.KEY_TEXT_MAX
    assert keys.destroyed()["sub-x"]["why"] == "asked"


def test_identities_of_several_scopes_in_one_file_each_have_their_own_tag(keys: KeyFolder) -> None:
    for scope in ("sub-01", "sub-02"):
        keys.make(scope, os.urandom(32), os.urandom(32))
    strange = os.urandom(32)
    foreign = f"# public key: of age-keygen\n{scope_keys.encode_identity(strange)}\n"
    texts = [keys.identity_text("sub-01"), keys.identity_text("sub-02"), foreign]
    found = identities_in("".join(texts), "all.txt")
    tags = [keys.key(scope).tag for scope in ("sub-01", "sub-02")]
    assert [one.tag for one in found] == [*tags, ""]
    assert found[2].secret == strange


def test_no_key_is_made_for_more_recipients_than_an_age_file_of_ours_has(keys: KeyFolder) -> None:
    others = [encode_recipient(USE.public(os.urandom(32))) for _ in range(STANZAS_MAX)]
    with pytest.raises(UsageError) as caught:
        _make(keys, "sub-01", *others)
    assert str(STANZAS_MAX) in caught.value.what
    assert not keys.has("sub-01")
    _make(keys, "sub-01", *others[1:])
    assert len(keys.key("sub-01").recipients) == STANZAS_MAX


def test_a_folder_whose_name_is_no_text_can_have_a_key(keys: KeyFolder) -> None:
    scope = Scopes(["sub-*"]).of(b"sub-\xff\xe9/x")
    new = _make(keys, scope)
    assert keys.scopes() == [scope]
    assert keys.has(scope)
    assert identities_in(keys.identity_text(scope), "x")[0].secret == new
    keys.destroy(scope, "me", "asked")
    assert list(keys.destroyed()) == [scope]


@pytest.mark.parametrize("done", range(3))
def test_a_key_half_destroyed_packs_nothing(
    keys: KeyFolder, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could read what would be packed with it."""
    keys.make("sub-01", os.urandom(32), os.urandom(32), (), "me", IMPORTED)
    tag, left, real = keys.key("sub-01").tag, [done], scope_keys._overwrite

    def overwrite(path: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path)

    monkeypatch.setattr(scope_keys, "_overwrite", overwrite)
    with pytest.raises(KeyboardInterrupt):
        keys.destroy("sub-01", "me", "asked")
    monkeypatch.undo()

    if done:
        with pytest.raises(AccessError) as caught:
            Sealing(keys, Scopes(["sub-*"]), USE).have_key("sub-01")
        assert "asked" in caught.value.why
    else:
        assert identities_in(keys.identity_text("sub-01"), "x"), "what still packs is still read"

    assert keys.was_imported("sub-01")
    keys.destroy("sub-01", "me", "asked again")
    assert not keys.scopes()
    gone = keys.destroyed()["sub-01"]
    assert (gone["why"], gone["tag"]) == ("asked again", tag)


def test_a_folder_of_other_things_that_others_see_is_refused_as_it_is(keys: KeyFolder) -> None:
    folder = Path(os.fsdecode(keys.path))
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "notes.txt").touch()
    with pytest.raises(AccessError) as caught:
        _make(keys, "sub-01")
    assert "other things" in caught.value.why
    assert folder.stat().st_mode & 0o777 == 0o755
    assert os.listdir(folder) == ["notes.txt"]
    folder.chmod(0o700)
    _make(keys, "sub-01")


def test_a_folder_of_keys_alone_is_open_to_nobody_else(keys: KeyFolder) -> None:
    folder = Path(os.fsdecode(keys.path))
    folder.mkdir()
    folder.chmod(0o755)
    for scope in ("sub-01", "sub-02"):
        _make(keys, scope)
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.chmod(0o755)
