"""Rules hold for all inputs: attributes as git says, logic as Kleene says, no input breaks a parser."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.attributes import AttributeTree, Flag
from holdfast.core.errors import UsageError
from holdfast.core.expressions import NO, UNKNOWN, YES, Facts, Verdict, evaluate, parse
from holdfast.core.mime import HEAD_SIZE, mime_encoding
from holdfast.core.sizes import format_size, parse_size

DIRECTORIES = [b"", b"a", b"b", b"a/b", b"a/a", b"b/.git1", b"a/b/ab"]
NAMES = [
    b"a",
    b"b",
    b"ab",
    b"a.b",
    b"x.gz",
    b".git1",
    b"a b",
    "é".encode(),
    b"[",
    b"a]",
    b"-",
    b"*",
    b"\\",
    b"!a",
    b"A",
    b"\xff",
    b"5",
    b"^",
]
PIECES = ["a", "b", "/", "*", "**", "?", "[ab]", "[!a]", "[^b]", "[a-b]", "[]a]", "[", "]", "\\a", "\\*", "\\", "[[:alpha:]]", "[![:digit:]]", "[[:foo:]]", "[[:al", "[[:]", "[a-", "[b-a]", "[\\]a]", "[a\\-b]", ".", "-", "[--a]", "é", "/a/", "**/", "/**", "[[a]", "[a[:digit:]-b]", "A", ".git1", "x.gz", "**/a", "*.gz", "a/**", "**/.git*", "a**/b"]  # fmt: skip
STATES = [
    "text",
    "-text",
    "!text",
    "text=auto",
    "eol=lf",
    "annex.backend=MD5E",
    "-annex.backend",
    "m1",
    "-m1",
    "m2",
    "!m1",
    "binary",
    "m1=x",
    "x=",
    "x==y",
    "filter=annex",
    "-x=v",
    "a@b",
    "-",
    "=",
]


def attribute_file(chance: random.Random) -> bytes:
    """A file of a few lines, some of them odd."""
    lines = []
    for _ in range(chance.randint(0, 6)):
        states = " ".join(chance.choices(STATES, k=chance.randint(0, 3)))
        start = "".join(chance.choices(PIECES, k=chance.randint(1, 4)))
        if chance.random() < 0.1:
            start = "[attr]" + chance.choice(["m1", "m2", "-m", "binary"])
        elif chance.random() < 0.1:
            start = '"' + start.replace("\\", "\\\\") + '"'
        lines.append(f"{start} {states}")
    return "\n".join(lines).encode()


def git_attributes(top: Path, paths: list[bytes]) -> dict[bytes, dict[bytes, bytes]]:
    """What `git check-attr` says of each path."""
    environment = {
        "PATH": "/usr/bin:/bin:/usr/local/bin",
        "GIT_ATTR_NOSYSTEM": "1",
        "HOME": str(top),
    }
    told = subprocess.run(
        ["git", "check-attr", "--stdin", "-z", "-a"],
        input=b"\0".join(paths) + b"\0", capture_output=True, cwd=top, env=environment, check=True,
    ).stdout.split(b"\0")  # fmt: skip
    found: dict[bytes, dict[bytes, bytes]] = {path: {} for path in paths}
    for path, name, state in zip(told[0::3], told[1::3], told[2::3], strict=False):
        found[path][name] = state
    return found


@pytest.mark.parametrize("seed", range(60))
def test_attributes_are_what_git_check_attr_says(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    files = {d: attribute_file(chance) for d in DIRECTORIES if d == b"" or chance.random() < 0.3}
    info = attribute_file(chance) if chance.random() < 0.3 else b""
    for directory, raw in files.items():
        (tmp_path / directory.decode()).mkdir(parents=True, exist_ok=True)
        (tmp_path / directory.decode() / ".gitattributes").write_bytes(raw)
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / ".git/info/attributes").write_bytes(info)
    paths = [(d + b"/" if d else b"") + name for d in DIRECTORIES for name in NAMES]
    tree = AttributeTree(files, info=info)
    for path, expected in git_attributes(tmp_path, paths).items():
        states = {
            name: state.value.encode() if isinstance(state, Flag) else state
            for name, state in tree.attributes(path).items()
        }
        assert states == expected, (seed, path, files, info)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["and", "or"]),
            st.booleans(),
            st.sampled_from(["anything", "nothing", "unused"]),
        ),
        min_size=1,
    )
)
def test_unknown_stands_for_both_values(steps: list[tuple[str, bool, str]]) -> None:
    class Told(Facts):
        def __init__(self, unused: bool | None) -> None:
            self.told = unused

        def unused(self) -> bool | None:
            return self.told

    text = " ".join(
        f"{operator} {'not ' if negated else ''}{term}" for operator, negated, term in steps
    )
    unknown, yes, no = (evaluate(parse(text), Told(told)) for told in (None, True, False))
    assert yes is not UNKNOWN
    assert no is not UNKNOWN
    if unknown is not UNKNOWN:
        assert unknown is yes is no


@given(st.text(alphabet="()= andortxil*[]:1\n"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        verdict: Verdict = evaluate(parse(text), type("Nobody", (Facts,), {})())
    except UsageError:
        return
    assert verdict in (YES, NO, UNKNOWN)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_written_size_reads_as_nearly_the_same(size: int) -> None:
    read = parse_size(format_size(size))
    assert read is not None
    assert abs(read - size) <= size * 0.006


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_have_an_encoding_and_later_ones_do_not_change_it(content: bytes) -> None:
    head = (content * HEAD_SIZE)[:HEAD_SIZE]
    assert mime_encoding(head) == mime_encoding(head + b"\0more")
