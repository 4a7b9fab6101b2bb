"""Expressions are read and decided as git-annex does; each case was checked with the program."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from holdfast.core.errors import UsageError
from holdfast.core.expressions import (
    NATIVE,
    NO,
    STANDARD,
    UNKNOWN,
    YES,
    Dialect,
    Facts,
    Verdict,
    evaluate,
    is_unstable,
    parse,
)
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Trust

LARGE = Dialect.LARGEFILES


class Nothing(Facts):
    """A file of which nothing is known."""


class Scan(Facts):
    """A file in here, a (trusted), b (untrusted), d and f; a and b are archives, d and e backups."""

    def path(self) -> bytes:
        return b"sub/public/x.dat"

    def size(self) -> int:
        return 3

    def key(self) -> Key:
        return Key(b"SHA256E-s3--98ea.dat")

    def mime_encoding(self) -> str:
        return "us-ascii"

    def holders(self) -> Collection[Place]:
        trust = {"a": Trust.TRUSTED, "b": Trust.UNTRUSTED, "c": Trust.DEAD}
        return [
            Place(PlaceId(n), trust=trust.get(n, Trust.SEMITRUSTED)) for n in ("here", *"abcdf")
        ]

    def members(self, group: str) -> Collection[PlaceId]:
        return {
            "archive": [PlaceId("a"), PlaceId("b")],
            "backup": [PlaceId("d"), PlaceId("e")],
        }.get(group, [])

    def numcopies(self) -> int:
        return 1

    def metadata(self, field: str) -> Collection[bytes]:
        known = {
            "author": [b"Jane Smith"],
            "pages": [b"12"],
            "ver": [b"1.10"],
            "n": [b"-5"],
            "emp": [b""],
        }
        return known.get(field, [])

    def present(self) -> bool:
        return True

    def preferred_dir(self) -> bytes:
        return b"public"

    def group_wanted(self) -> str:
        return "standard and include=*.dat"

    def standard(self) -> str:
        return "present"


def decide(text: str, dialect: Dialect = Dialect.CONTENT) -> Verdict:
    return evaluate(parse(text, dialect), Scan())


@pytest.mark.parametrize(
    "text",
    [
        "", "anything", "anything and nothing or anything", "not not anything", "( anything", "anything )", "()", "and",
        "or nothing", "nothing or", "nothing or not and nothing", "not and nothing", "not ) nothing", "not(nothing)or(nothing)",
        "(anything)and(not(nothing))", "nothing\u00a0or\tanything", "not ( nothing", "not not", "( nothing and ) or anything",
    ],
)  # fmt: skip
def test_the_grammar_finds_a_match(text: str) -> None:
    assert decide(text) is YES


@pytest.mark.parametrize(
    "text",
    [
        "nothing", "anything anything nothing", "anything or anything and nothing", "anything or nothing nothing", "not",
        "not or anything", "not ( )", "nothing and or nothing", "anything ) nothing", "(anything)(nothing)", "(nothing or )nothing and nothing",
    ],
)  # fmt: skip
def test_the_grammar_finds_no_match(text: str) -> None:
    assert decide(text) is NO


@pytest.mark.parametrize(
    "text",
    [
        "copies=5", "copies=-1", "copies=5x", "copies=trusted:1", "copies=semitrusted:3", "copies=semitrusted+:4", "copies=untrusted+:5",
        "copies=archive:2", "copies=nosuch:0", "lackingcopies=-3", "inbackend=SHA256E", "securehash", "inallgroup=archive",
        "inallgroup=nosuch", "present", "inpreferreddir", "groupwanted", "standard", "metadata=author=*smith", "metadata=AUTHOR=*",
        "metadata=pages>=12", "metadata=pages<100", "metadata=ver<=1.1", "metadata=author>5", "metadata=emp", "metadata=n>-6",
        "metadata=pages>", "metadata=pages>=0x0c", "include=*.dat", "exclude=x", "largerthan=2", "smallerthan=4",
    ],
)  # fmt: skip
def test_a_term_matches(text: str) -> None:
    assert decide(text) is YES


@pytest.mark.parametrize(
    "text",
    [
        "copies=6", "copies=trusted:2", "copies=dead:1", "copies=semitrusted+:5", "copies=backup:2", "copies=archive+:1",
        "lackingcopies=-2", "copies=0xff", "inbackend=sha256e", "inbackend=*", "inallgroup=backup", "onlyingroup=archive", "metadata=ver=1.1",
        "metadata=pages<12", "metadata=author<JB", "metadata=nosuch=*", "metadata=a=b=c", "smallerthan=3", "largerthan=1kib",
    ],
)  # fmt: skip
def test_a_term_does_not_match(text: str) -> None:
    assert decide(text) is NO


@pytest.mark.parametrize(
    "text",
    [
        "approxlackingcopies=1",
        "unused",
        "url=*",
        "fullybalanced=backup",
        "from_the_future=1",
        "locked",
    ],
)
def test_what_nobody_can_tell_is_unknown(text: str) -> None:
    assert decide(text) is UNKNOWN
    assert decide(f"not {text}") is UNKNOWN


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("unused or anything", YES),
        ("unused and nothing", NO),
        ("unused and anything", UNKNOWN),
        ("nothing or unused", UNKNOWN),
    ],
)
def test_the_unknown_counts_only_where_it_decides(text: str, verdict: Verdict) -> None:
    assert decide(text) is verdict


def test_every_term_is_unknown_of_a_file_nothing_is_known_of() -> None:
    values = {
        "largerthan": "1",
        "smallerthan": "1",
        "copies": "1",
        "lackingcopies": "1",
        "approxlackingcopies": "1",
        "metadata": "a=b",
    }
    for name in NATIVE - {"anything", "nothing", "mimetype", "mimeencoding"}:
        text = f"{name}={values[name]}" if name in values else name
        assert evaluate(parse(text), Nothing()) is UNKNOWN, text
    assert evaluate(parse("mimetype=a mimeencoding=b", LARGE), Nothing()) is UNKNOWN


def test_an_ability_is_asked_only_when_it_is_needed() -> None:
    class Costly(Scan):
        def mime_encoding(self) -> str:
            raise AssertionError("asked in vain")

    assert evaluate(parse("largerthan=1mb and mimeencoding=binary", LARGE), Costly()) is NO


def test_an_attribute_value_needs_no_spaces() -> None:
    assert decide("((mimeencoding=binary)and(largerthan=0))", LARGE) is NO
    assert decide("(largerthan=1)and(not((include=*.c)or(include=*.h)))", LARGE) is YES


def test_terms_of_the_other_dialect_are_strange_and_unknown() -> None:
    expression = parse("include=* and copies=1", LARGE)
    assert expression.strange == ("copies=1",)
    assert evaluate(expression, Scan()) is UNKNOWN
    assert parse("mimetype=x anything=x").strange == ("mimetype=x", "anything=x")


@pytest.mark.parametrize(
    "text",
    [
        "largerthan=",
        "largerthan=1x",
        "include=[",
        "copies=x",
        "copies=1.5",
        "copies=a:b:1",
        "lackingcopies=",
        "balanced=lab:",
        "fullybalanced=lab:1.5",
        "sizebalanced=lab:1:2",
        "fullysizebalanced=lab:lacking",
        "metadata",
        "metadata=!=c",
        "(" * 200,
    ],
)
def test_a_term_with_an_impossible_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        parse(text)


def test_the_error_tells_where_to_mend_it() -> None:
    with pytest.raises(UsageError) as caught:
        parse("largerthan=x", LARGE, "git config annex.largefiles")
    assert caught.value.hint == "mend it in git config annex.largefiles"


def test_an_expression_that_stands_for_itself_is_unknown() -> None:
    class Circular(Facts):
        def group_wanted(self) -> str:
            return "groupwanted"

        def standard(self) -> str:
            return "standard or present"

    assert evaluate(parse("groupwanted"), Circular()) is UNKNOWN
    assert evaluate(parse("standard"), Circular()) is UNKNOWN


def test_every_standard_expression_can_be_read() -> None:
    assert all(parse(text).strange == () for text in STANDARD.values())


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        (b"MD5E-s1--x", NO), (b"SHA1-s1--x", NO), (b"WORM-s1-m4--x", NO), (b"URL--x", NO), (b"XXH3--a", NO), (b"sha256--a", NO),
        (b"VURL--x", YES), (b"BLAKE3_256--a", YES), (b"SKEIN512E-s1--a.x", YES), (b"GITBUNDLE-s1--u", YES), (b"XFOO--x", UNKNOWN),
    ],
)  # fmt: skip
def test_a_secure_hash_is_known_by_its_backend(key: bytes, verdict: Verdict) -> None:
    class Keyed(Facts):
        def key(self) -> Key:
            return Key(key)

    assert evaluate(parse("securehash"), Keyed()) is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("nothing (nothing or anything)", NO),
        ("(nothing (nothing or anything))", YES),
        ("(nothing and (nothing or anything))", NO),
        ("(nothing (nothing or anything) nothing)", NO),
        ("((nothing) (nothing or anything))", YES),
        ("nothing (nothing (nothing or anything))", NO),
        ("(nothing not (nothing or anything))", NO),
        ("not (anything (nothing or anything))", NO),
    ],
)
def test_parentheses_inside_of_others_join_nothing_by_themselves(
    text: str, verdict: Verdict
) -> None:
    assert evaluate(parse(text), Nothing()) is verdict


class Grouped(Nothing):
    """A file in a place whose group asks for what is there."""

    def group_wanted(self) -> str:
        return "present and include=*"

    def standard(self) -> str:
        return "include=*"


@pytest.mark.parametrize(
    ("text", "unstable"),
    [
        ("present", False),
        ("not present", True),
        ("anything or not (nothing or present)", True),
        ("not (not present)", False),
        ("not not present", False),
        ("not groupwanted", True),
        ("not standard", False),
        ("groupwanted and include=*", False),
        ("not balanced=lab", True),
        ("not sizebalanced=lab", True),
        ("balanced=lab", False),
        ("not fullybalanced=lab", False),
        ("not fullysizebalanced=lab", False),
    ],
)
def test_what_is_wanted_because_it_is_not_there_is_unstable(text: str, unstable: bool) -> None:
    assert is_unstable(parse(text), Grouped()) is unstable
