"""The verbs as people call them from Python: what may stand for a path, and what may not."""

from __future__ import annotations

import os
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
    (tmp_path / "d" / "sub").mkdir()
    (tmp_path / "d" / "sub" / "c").write_text("content")
    (tmp_path / "d" / "other").write_text("more")
    with hf.open_dataset(tmp_path / "d") as found:
        hf.save(found)
        yield found


@pytest.mark.parametrize(
    "path", ["sub/c", b"sub/c", Path("sub/c"), "./sub/c", "sub/", Path("sub"), "other/../sub"]
)
def test_a_path_is_text_bytes_or_path_like(dataset: Dataset, path: object) -> None:
    assert [outcome.path for outcome in hf.iter_find(dataset, [path])] == ["sub/c"]
    assert [outcome.path for outcome in hf.iter_find(dataset, paths=(path,))] == ["sub/c"]
    assert hf.get(dataset, [path], jobs=1).count(hf.Status.NOT_NEEDED) == 1


def test_an_absolute_path_has_to_lie_in_the_data_set(dataset: Dataset) -> None:
    inside = os.path.join(os.fsdecode(dataset.top), "sub")
    assert [outcome.path for outcome in hf.iter_find(dataset, [inside])] == ["sub/c"]
    for outside in ("/", "..", "../elsewhere"):
        with pytest.raises(hf.UsageError, match="outside"):
            hf.find(dataset, [outside])


def test_the_top_stands_for_all(dataset: Dataset) -> None:
    assert hf.find(dataset, ["."]).count(hf.Status.OK) == hf.find(dataset).count(hf.Status.OK) == 2


@pytest.mark.parametrize("paths", ["sub/c", b"sub/c", Path("sub/c"), None, 3, [3], [""], ["a\0b"]])
def test_what_is_no_list_of_paths_is_refused_in_four_lines(dataset: Dataset, paths: object) -> None:
    for verb in (hf.get, hf.iter_drop, hf.save):
        with pytest.raises(hf.UsageError) as refused:
            verb(dataset, paths)
        record = refused.value.as_record()
        assert all(record.values())
        assert record["next"].startswith("holdfast.")


def test_one_name_is_no_list_of_names(dataset: Dataset) -> None:
    with pytest.raises(hf.UsageError, match="a list of names, not one"):
        hf.config(dataset, "annex.numcopies")


def test_a_path_is_no_data_set(dataset: Dataset) -> None:
    with pytest.raises(hf.UsageError, match="an open data set") as refused:
        hf.get(".", ["sub/c"])
    assert refused.value.hint == "holdfast.open_dataset(PATH)"


def test_the_help_of_a_verb_says_what_paths_are() -> None:
    assert "relative to the top" in (hf.iter_get.__doc__ or "")
    assert "relative to the top" in (hf.get.__doc__ or "")
    assert "relative to the top" not in (hf.create.__doc__ or "")
