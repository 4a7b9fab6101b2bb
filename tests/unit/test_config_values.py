"""What `hold config` refuses, so that no later save or drop fails of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.api.datasets import Dataset


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
    hf.create(tmp_path / "d", profile="all-annexed")
    with hf.open_dataset(tmp_path / "d") as found:
        yield found


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["annex.largefiles", "annex.addunlocked"])
@pytest.mark.parametrize("rule", ["(nons", "copies=2", "largerthan=1xb"])
def test_a_rule_that_cannot_be_read_is_not_set(
    dataset: Dataset, name: str, rule: str, shared: bool
) -> None:
    with pytest.raises(hf.UsageError, match="cannot be read") as refused:
        hf.config(dataset, [f"{name}={rule}"], shared=shared)
    assert rule.strip("(").removeprefix("largerthan=") in refused.value.why
    assert f"hold config {name}=" in refused.value.hint
    assert name not in _settings(dataset)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "word",
    [
        "annex.largefiles=(largerthan=1kb or include=*.c) and not exclude=x",
        "annex.largefiles=mimeencoding=binary",
        "annex.addunlocked=true",
        "annex.addunlocked=include=*.txt",
        "annex.numcopies=2",
        "annex.mincopies=1",
    ],
)
def test_a_rule_or_number_that_can_be_read_is_set_and_save_heeds_it(
    dataset: Dataset, word: str, shared: bool
) -> None:
    hf.config(dataset, [word], shared=shared)
    name, _, value = word.partition("=")
    assert _settings(dataset)[name] == value
    (Path(dataset.top.decode()) / "c").write_text("content")
    hf.save(dataset)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("word", ["annex.numcopies=two", "annex.mincopies=0", "annex.numcopies=-1"])
def test_what_is_no_number_of_copies_is_not_set(dataset: Dataset, word: str, shared: bool) -> None:
    with pytest.raises(hf.UsageError, match="number of copies"):
        hf.config(dataset, [word], shared=shared)
    assert word.partition("=")[0] not in _settings(dataset)


@pytest.mark.parametrize(
    "name", ["user.name", "core.bare", "remote.origin.url", "branch.main.remote", "annex.backend"]
)
def test_what_is_read_in_a_clone_only_cannot_be_shared(dataset: Dataset, name: str) -> None:
    with pytest.raises(hf.UsageError, match="cannot be shared"):
        hf.config(dataset, [f"{name}=foo"], shared=True)
    assert not (Path(dataset.top.decode()) / ".datalad/config").exists() or (
        "foo" not in (Path(dataset.top.decode()) / ".datalad/config").read_text()
    )


def test_a_bad_setting_of_before_can_be_taken_away(dataset: Dataset) -> None:
    file = Path(dataset.top.decode()) / ".datalad/config"
    file.parent.mkdir(exist_ok=True)
    file.write_text("[user]\n\tname = foo\n")
    hf.config(dataset, ["user.name="], shared=True)
    assert "foo" not in file.read_text()
    dataset.repository.git.run("config", "annex.largefiles", "(nons")
    hf.config(dataset, ["annex.largefiles="])
    assert "annex.largefiles" not in _settings(dataset)


def _settings(dataset: Dataset) -> dict[str, object]:
    found = hf.iter_config(dataset)
    return {str(one.facts["name"]): one.facts["value"] for one in found}
