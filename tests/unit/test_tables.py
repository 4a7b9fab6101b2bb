"""Tables of URLs, the templates that are filled from them, and keys that they give."""

from __future__ import annotations

import io

import pytest

from holdfast.api.url_table import read_key
from holdfast.core.errors import ProtocolError, UsageError
from holdfast.core.templates import Template
from holdfast.wire.tables import TableKind, iter_rows, kind_of


def rows(text: str, kind: TableKind) -> list[dict[str, str]]:
    return [dict(row) for row in iter_rows(io.StringIO(text), kind)]


def test_columns_of_a_csv_are_known_by_name_and_by_number() -> None:
    found = rows('who,link\nann,"http://x/a,b"\n\nbob,y\n', TableKind.CSV)
    assert found[0] == {"who": "ann", "link": "http://x/a,b", "0": "ann", "1": "http://x/a,b"}
    assert [row["who"] for row in found] == ["ann", "bob"]


def test_a_tsv_is_cut_at_tabs() -> None:
    assert rows("a\tb\n1,2\t3\n", TableKind.TSV) == [{"a": "1,2", "b": "3", "0": "1,2", "1": "3"}]


def test_json_and_json_lines_give_objects_and_text_of_what_is_no_text() -> None:
    wanted = [{"u": "x", "n": "1", "e": ""}]
    assert rows('[{"u": "x", "n": 1, "e": null}]', TableKind.JSON) == wanted
    assert rows('{"u": "x", "n": 1, "e": null}\n\n', TableKind.JSONL) == wanted


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a,b\n1\n", TableKind.CSV),
        ("", TableKind.CSV),
        ('a\n"x', TableKind.CSV),
        ("{}", TableKind.JSON),
        ("[1]", TableKind.JSON),
        ("[", TableKind.JSON),
        ("nonsense", TableKind.JSONL),
    ],
)
def test_what_is_no_such_table_is_refused(text: str, kind: TableKind) -> None:
    with pytest.raises(ProtocolError):
        rows(text, kind)


def test_the_name_of_a_table_says_how_it_is_written() -> None:
    names = ("a.csv", "a.TSV", "a.json", "a.jsonl", "a.txt", "csv")
    kinds = [
        TableKind.CSV,
        TableKind.TSV,
        TableKind.JSON,
        TableKind.JSONL,
        TableKind.CSV,
        TableKind.CSV,
    ]
    assert [kind_of(name) for name in names] == kinds


def test_a_template_takes_values_and_keeps_doubled_braces() -> None:
    template = Template("{{x}}/{who}.{0}")
    assert template.fill({"who": "a{b}", "0": "c"}) == "{x}/a{b}.c"
    assert template.names == {"who", "0"}


@pytest.mark.parametrize("text", ["{", "a}", "{}", "{a}}"])
def test_a_lone_brace_is_no_template(text: str) -> None:
    with pytest.raises(ValueError, match="brace"):
        Template(text)


MD5 = "b1946ac92492d2347c6235b4d2611184"


def test_a_key_of_a_table_may_take_or_lose_the_extension() -> None:
    assert read_key(f"MD5-s6--{MD5}", b"x/a.txt") == f"MD5-s6--{MD5}".encode()
    assert read_key(f"et:MD5-s6--{MD5}", b"x/a.txt") == f"MD5E-s6--{MD5}.txt".encode()
    assert read_key(f"et:MD5E-s6--{MD5}.dat", b"x/a.txt") == f"MD5-s6--{MD5}".encode()


@pytest.mark.parametrize(
    "text", ["x", f"MD5-s6--{MD5[1:]}", f"SHA256-s6--{MD5}", "URL--http://x", f"MD5-s6--{'z' * 32}"]
)
def test_a_key_that_names_no_content_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_key(text, b"a")
