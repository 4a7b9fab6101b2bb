"""The runner of transcripts itself."""

from __future__ import annotations

from pathlib import Path

from . import transcript

PAGE = """\
# A page

```console
$ mkdir sub && cd sub
$ echo one; echo two >&2
one
two
$ false
$ echo $?
1
```

Words between.

```console
$ basename "$PWD"
sub
$ cat <<END
> here
> END
here
```

```python
$ not a console block
```
"""


def ran(page: str, tmp_path: Path) -> list[transcript.Ran]:
    return list(transcript.run_page(page, tmp_path))


def test_folder_and_exit_code_are_carried_from_step_to_step(tmp_path: Path) -> None:
    steps = ran(PAGE, tmp_path)
    assert [one.step.command for one in steps] == [
        "mkdir sub && cd sub",
        "echo one; echo two >&2",
        "false",
        "echo $?",
        'basename "$PWD"',
        "cat <<END\nhere\nEND",
    ]
    assert all(one.good for one in steps), [one.difference() for one in steps if not one.good]


def test_a_difference_shows_the_command_and_both_outputs(tmp_path: Path) -> None:
    (one,) = ran("```console\n$ echo b\na\n```\n", tmp_path)
    assert not one.good
    shown = one.difference().splitlines()
    assert shown[0] == "line 2: $ echo b"
    assert shown[-2:] == ["-a", "+b"]


def test_placeholders_stand_for_one_such_thing() -> None:
    assert transcript.matches(
        ["saved <VERSION>  <SIZE>  <TIME>  <RATE>"], ["saved 093d201  1.8 GB  2 min 5 s  84 MB/s"]
    )
    assert transcript.matches(["<KEY>"], ["SHA256E-s12--0123.nii.gz"])
    assert not transcript.matches(["<SIZE>"], ["large"])
    assert not transcript.matches(["<UUID>"], ["0123"])
    assert transcript.matches(["<b>"], ["<b>"])


def test_an_ellipsis_stands_for_anything_in_its_line_and_alone_for_lines() -> None:
    assert transcript.matches(["a…z"], ["a to z"])
    assert transcript.matches(["first", "…", "last"], ["first", "2", "3", "last"])
    assert transcript.matches(["first", "…", "last"], ["first", "last"])
    assert not transcript.matches(["a…z"], ["a", "z"])


def test_columns_may_be_wider_than_written() -> None:
    assert transcript.matches(["get  a  ok"], ["get  a    ok"])
    assert not transcript.matches(["get  a  ok"], ["get  a ok"])


def test_a_page_says_which_modules_it_needs() -> None:
    assert transcript.missing("<!-- needs holdfast.no_such holdfast.cli.main -->") == [
        "holdfast.no_such"
    ]
    assert transcript.missing("<!-- needs no_such_package.module -->") == ["no_such_package.module"]
    assert transcript.missing("# nothing") == []


def test_updating_writes_what_was_printed_and_keeps_what_was_right(tmp_path: Path) -> None:
    page = "```console\n$ echo 1.0 s\n<TIME>\n$ echo took 3.2 s\nold\nlines\n$ true\n```\n"
    assert transcript.updated(page, ran(page, tmp_path)) == (
        "```console\n$ echo 1.0 s\n<TIME>\n$ echo took 3.2 s\ntook <TIME>\n$ true\n```\n"
    )


def test_the_settings_of_the_person_who_tests_do_not_reach_a_page(tmp_path: Path) -> None:
    page = "```console\n$ git config user.name; echo $HOLDFAST_DATASET; git var GIT_AUTHOR_IDENT\n\nAna <ana@example.org> …\n```\n"
    (one,) = ran(page, tmp_path)
    assert one.good or one.printed[-1].startswith("Ana <ana@example.org>"), one.difference()
