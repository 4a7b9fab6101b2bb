"""What `import holdfast` offers."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

import holdfast as hf
from holdfast.cli.table import COMMANDS
from holdfast.core.key import Key


def test_values_are_those_of_the_core() -> None:
    assert hf.Key is Key
    for name in hf._VALUES:
        if hf._VALUES[name].startswith("core."):
            assert (
                getattr(hf, name).__name__ == name
                if hasattr(getattr(hf, name), "__name__")
                else True
            )


def test_verbs_come_from_the_api_when_they_are_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(hf), "save", raising=False)
    monkeypatch.delitem(vars(hf), "iter_unlock", raising=False)
    saving, lock = ModuleType("holdfast.api.save"), ModuleType("holdfast.api.lock")
    saving.save, lock.iter_unlock = object(), object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "holdfast.api.save", saving)
    monkeypatch.setitem(sys.modules, "holdfast.api.lock", lock)
    assert hf.save is saving.save
    assert hf.iter_unlock is lock.iter_unlock
    vars(hf).pop("save")
    vars(hf).pop("iter_unlock")


def test_every_command_that_is_a_verb_can_be_called_from_python() -> None:
    verbs = {name.replace("-", "_") for name, _, _, _ in COMMANDS}
    programs = {"help", "completion", "annex", "annex_shell", "serve"}
    several = {"packed", "archive"}
    assert verbs - programs - several <= set(hf._VERBS)
    assert {"packed_verify", "packed_compact"} <= set(hf._VERBS)
    archive = {"archive_plan", "archive_pack", "archive_restore", "archive_drill"}
    assert archive <= set(hf._VERBS)
    for verb in archive:
        assert callable(getattr(hf, verb)) and callable(getattr(hf, f"iter_{verb}"))
    assert callable(hf.archive_of) and callable(hf.archive_of_folder)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hf.nothing
    assert "iter_get" in dir(hf)
