"""What may be cloned, and which URLs git is asked for."""

from __future__ import annotations

import pytest

from holdfast.core.errors import UsageError
from holdfast.wire.clone_sources import name_of, parse_clone_source


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/study", "study"),
        ("/data/study/", "study"),
        ("../study.git", "study"),
        ("/data/study/.git", "study"),
        ("/data/ds000001.bundle", "ds000001"),
        ("https://example.org/a/study.git", "study"),
        ("https://example.org/a/study/.git/", "study"),
        ("https://example.org/study?token=1", "study"),
        ("ada@example.org:data/study", "study"),
        ("example.org:study", "study"),
        ("///openneuro/ds000001", "ds000001"),
    ],
)
def test_a_clone_is_called_as_the_last_part_of_its_source(source: str, name: str) -> None:
    assert name_of(source) == name


def test_a_path_is_what_git_gets() -> None:
    assert parse_clone_source("/data/study").urls == ("/data/study",)
    assert parse_clone_source("ada@host:study").urls == ("ada@host:study",)


def test_a_web_address_is_tried_as_it_is_and_then_as_a_work_tree() -> None:
    found = parse_clone_source("https://example.org/study")
    assert found.urls == ("https://example.org/study", "https://example.org/study/.git")


def test_an_address_that_ends_in_git_is_tried_once() -> None:
    found = parse_clone_source("https://example.org/study/.git")
    assert found.urls == ("https://example.org/study/.git",)


def test_three_slashes_mean_the_public_collection() -> None:
    found = parse_clone_source("///openneuro/ds000001")
    assert found.urls[0] == "https://datasets.datalad.org/openneuro/ds000001"
    assert found.name == "ds000001"


def test_three_slashes_alone_are_the_collection_itself() -> None:
    found = parse_clone_source("///", datalad_top="http://mirror/")
    assert found.urls == ("http://mirror", "http://mirror/.git")
    assert found.name == "datasets.datalad.org"


def test_a_data_set_in_a_store_lies_below_the_start_of_its_id() -> None:
    found = parse_clone_source("ria+file:///store#fa59b22f-9ab6@v1")
    assert found.urls == ("/store/fa5/9b22f-9ab6",)
    assert found.version == "v1"
    assert found.siblings == "ria+file:///store#{id}"


def test_a_data_set_in_a_store_may_have_a_name() -> None:
    assert parse_clone_source("ria+ssh://host/store#~rest").urls == ("ssh://host/store/alias/rest",)


def test_a_colon_without_a_port_is_as_good_as_none() -> None:
    found = parse_clone_source("ria+ssh://ada@host:/store/#~rest@v2")
    assert (found.urls, found.version) == (("ssh://ada@host/store/alias/rest",), "v2")
    assert found.siblings == "ria+ssh://ada@host/store#{id}"


def test_a_store_without_a_data_set_is_no_source() -> None:
    with pytest.raises(UsageError, match="names no data set"):
        parse_clone_source("ria+file:///store")
