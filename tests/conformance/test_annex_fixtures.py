"""Everything we read and write is what the real git-annex reads and writes: golden files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.backends import backend_of, checker, digest_key, is_verifiable
from holdfast.core.clock import SECOND, Moment, parse_moment
from holdfast.core.errors import HoldError, ProtocolError
from holdfast.core.extensions import key_extension
from holdfast.core.key import Key, hash_dir_lower, hash_dir_mixed, object_path
from holdfast.core.place import PlaceId, Trust
from holdfast.wire import branch_paths, logs, metadata
from holdfast.wire.logs import LocationState
from holdfast.wire.pointer import key_of_link, key_of_pointer, link_target, pointer

pytestmark = pytest.mark.shared

Golden = Callable[[str], Any]

NOW = Moment(1_900_000_000 * SECOND)
NOW_TEXT = "1900000000"
LAST = PlaceId("~last")


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def known(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def test_keys_lie_where_git_annex_puts_them(golden: Golden) -> None:
    for case in golden("key-hashdirs.json")["keys"]:
        key = Key.parse(raw(case["key"]))
        said = {
            "key": key.text,
            "hashdirmixed": text(hash_dir_mixed(key)) + "/",
            "hashdirlower": text(hash_dir_lower(key)) + "/",
            "objectfile": text(key.file_name),
            "backend": text(key.backend),
            "bytesize": known(key.size),
            "mtime": known(key.mtime),
            "keyname": text(key.name),
        }
        assert said == {name: case[name] for name in said}
        assert Key.from_file_name(key.file_name) == key
        assert branch_paths.parse_branch_path(branch_paths.location_log(key)) == (key, b".log")


def test_keys_are_read_as_git_annex_reads_them(golden: Golden) -> None:
    for case in golden("key-parse.json")["cases"]:
        if not case["valid"]:
            with pytest.raises(ProtocolError):
                Key.parse(raw(case["input"]))
            continue
        key = Key.parse(raw(case["input"]))
        said = [key.text, text(key.backend), known(key.size), known(key.mtime), text(key.name)]
        names = ("canonical", "backend", "bytesize", "mtime", "keyname")
        assert said == [case[name] for name in names]


def content_of(expression: str) -> bytes:
    literal, times, count = expression.partition(" * ")
    data = literal.removeprefix("b'").removesuffix("'").encode()
    return data * int(count) if times else data


def test_every_backend_makes_the_keys_git_annex_makes(golden: Golden) -> None:
    cases = golden("backend-keys.json")
    contents = {name: content_of(said) for name, said in cases["contents"].items()}
    for case in cases["keys"]:
        data, key = contents[case["content"]], Key.parse(raw(case["key"]))
        assert digest_key(raw(case["backend"]), data, raw(case["file"])) == key
        assert is_verifiable(key.backend)
        assert backend_of(key) == raw(case["backend"]).removesuffix(b"E")
        check = checker(key)
        check.feed(data)
        check.finish()


def test_extensions_are_kept_as_git_annex_keeps_them(golden: Golden) -> None:
    settings: dict[str, dict[str, int]] = {
        "default": {},
        "maxextensionlength=8": {"length_max": 8},
        "maxextensions=1": {"count_max": 1},
        "maxextensions=3": {"count_max": 3},
    }
    for case in golden("extension-rules.json")["cases"]:
        kept = {name: text(key_extension(raw(case["name"]), **s)) for name, s in settings.items()}
        assert kept == {name: case[name] for name in settings}, case["name"]


def test_pointers_and_links_are_told_from_plain_files(golden: Golden) -> None:
    read = {"100644": key_of_pointer, "120000": key_of_link}
    for case in golden("pointer-and-link-parse.json")["cases"]:
        said = case["blob"]
        blob = raw(said if isinstance(said, str) else said["head"] + said["repeat"] * said["times"])
        found = read[case["mode"]](blob)
        assert (found and found.text) == case["key"], blob[:200]


def log_cases(golden: Golden, log: str) -> list[dict[str, Any]]:
    return [case for case in golden("log-cases.json")["cases"] if case["log"] == log]


def test_location_logs_are_read_and_compacted_alike(golden: Golden) -> None:
    for case in log_cases(golden, "location"):
        data = raw(case["content"])
        assert sorted(logs.places_with(data)) == sorted(case["present"]), case["name"]
        place = PlaceId(case["rewritten_after_setpresent_of"])
        written = logs.set_location(data, place, LocationState.PRESENT, NOW)
        assert text(written) == case["rewritten"].replace("<NOW>", NOW_TEXT), case["name"]


def test_metadata_logs_are_read_alike(golden: Golden) -> None:
    for case in log_cases(golden, "metadata"):
        found = metadata.parse_metadata(raw(case["content"]))
        assert {n: [text(v) for v in values] for n, values in found.items()} == case["fields"]


def test_numcopies_logs_are_read_alike(golden: Golden) -> None:
    for case in log_cases(golden, "numcopies"):
        assert str(logs.parse_copies(raw(case["content"]))) == case["value"], case["name"]


def test_config_logs_are_read_alike(golden: Golden) -> None:
    for case in log_cases(golden, "config"):
        config = logs.parse_config(raw(case["content"]))
        assert config.get("annex.largefiles", "") == case["value"], case["name"]


def test_descriptions_are_read_alike(golden: Golden) -> None:
    for case in log_cases(golden, "uuid"):
        described = {u: name for u, name in case["repositories"].items() if name}
        assert logs.parse_descriptions(raw(case["content"])) == described


def test_trust_logs_are_read_alike(golden: Golden) -> None:
    for case in log_cases(golden, "trust"):
        trust = logs.parse_trust(raw(case["content"]))
        places = logs.places_with(raw(case["location_log"]))
        by_level: dict[Trust, list[str]] = {level: [] for level in Trust}
        for place in places:
            by_level[trust.get(place, Trust.SEMITRUSTED)].append(place)
        whereis = sorted(by_level[Trust.TRUSTED] + by_level[Trust.SEMITRUSTED])
        assert (whereis, by_level[Trust.UNTRUSTED]) == (case["whereis"], case["untrusted"])


def test_time_always_advances(golden: Golden) -> None:
    place = PlaceId("11111111-1111-4111-8111-111111111111")
    for case in golden("clock-cases.json")["cases"]:
        now = parse_moment(raw(case["env_clock"])) if case["env_clock"] else NOW
        assert now is not None
        old = raw(f"{case['old']} 0 {place}\n")
        written = text(logs.set_location(old, place, LocationState.PRESENT, now))
        stamp = case["new"].replace("<NOW>", NOW_TEXT + "s")
        assert written == f"{stamp} 1 {place}\n", case["name"]


@pytest.fixture(scope="session")
def merged(annex_golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = tmp_path_factory.mktemp("merged") / "git"
    bundle = annex_golden / "branch-merge.bundle"
    subprocess.run(["git", "clone", "-q", "--mirror", bundle, clone], check=True)
    return clone


def files_of(clone: Path, version: str) -> dict[str, bytes]:
    def git(*words: str) -> bytes:
        return subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True).stdout

    names = git("ls-tree", "-r", "-z", "--name-only", version).decode().split("\0")
    return {name: git("show", f"{version}:{name}") for name in names if name}


def test_branches_are_merged_as_git_annex_merges_them(merged: Path) -> None:
    ours, theirs = files_of(merged, "before-ours"), files_of(merged, "before-theirs")
    union = {n: logs.union(ours.get(n, b""), theirs.get(n, b"")) for n in {*ours, *theirs}}
    assert union == files_of(merged, "after-merge")


def test_the_first_write_after_a_merge_compacts_as_git_annex_does(merged: Path) -> None:
    before, after = files_of(merged, "after-merge"), files_of(merged, "after-write")
    now = Moment(1795247990 * SECOND)
    assert logs.set_copies(before["numcopies.log"], 4, now) == after["numcopies.log"]
    us = PlaceId("7eab4ee3-2e05-4e4b-82b0-a7984b4d726a")
    described = logs.set_uuid_log(before["uuid.log"], us, b"ours again", now)
    assert described == after["uuid.log"]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"numcopies.log", "uuid.log"}


BY_PLACE = frozenset(
    f"{name}.log"
    for name in (
        "uuid", "remote", "trust", "group", "preferred-content", "required-content", "schedule",
        "activity",
    )
)  # fmt: skip
BY_FIELD = frozenset(("config.log", "export.log", "group-preferred-content.log", "maxsize.log"))


def with_one_line_more(name: str, data: bytes) -> tuple[bytes, bytes]:
    """A branch file after one more fact, which sorts last; and what that line should be."""
    if name in BY_PLACE:
        return logs.set_uuid_log(data, LAST, b"v", NOW), b"%b v timestamp=1900000000s\n" % raw(LAST)
    if name in BY_FIELD or name.endswith((".cnk", ".rmt", ".cid")):
        return logs.set_map_log(data, b"~", b"v w", NOW), b"1900000000s ~ v w\n"
    if name.endswith((".log.met", ".log.rmet")):
        change = metadata.Change("zz", b"v", added=True)
        return metadata.set_metadata(data, [change], NOW), b"1900000000s zz +v\n"
    found = branch_paths.parse_branch_path(raw(name))
    assert found is not None, name
    state = LocationState.PRESENT
    return logs.set_location(data, LAST, state, NOW), b"1900000000s 1 %b\n" % raw(LAST)


def test_every_file_of_a_real_branch_is_written_back_byte_for_byte(golden: Golden) -> None:
    for name, said in golden("annex-repo-expected.json")["git_annex_branch"].items():
        if name in ("numcopies.log", "mincopies.log"):
            continue  # a line replaces all others: see the next test
        written, line = with_one_line_more(name, raw(said))
        # The one word of this file that a later line takes back; git-annex drops such, too.
        kept = said.replace("tag +alpha +beta", "tag +alpha")
        assert written == raw(kept) + line, name


def test_what_a_real_branch_says_is_understood(golden: Golden) -> None:
    expected = golden("annex-repo-expected.json")
    branch = {name: raw(said) for name, said in expected["git_annex_branch"].items()}
    assert str(logs.parse_copies(branch["numcopies.log"])) == expected["numcopies"]
    assert str(logs.parse_copies(branch["mincopies.log"])) == expected["mincopies"]
    trust = logs.parse_trust(branch["trust.log"])
    hidden = {place for place, level in trust.items() if level is Trust.DEAD}
    for case in expected["whereis"]:
        key = Key.parse(raw(case["key"]))
        places = logs.places_with(branch[text(branch_paths.location_log(key))])
        told = [place["uuid"] for place in case["whereis"] + case["untrusted"]]
        assert sorted(set(places) - hidden) == sorted(told)
    for case in expected["metadata"]:
        key = Key.parse(raw(case["key"]))
        found = metadata.parse_metadata(branch[text(branch_paths.metadata_log(key))])
        fields = {n: v for n, v in case["fields"].items() if not n.endswith("lastchanged")}
        assert {n: [text(v) for v in values] for n, values in found.items()} == fields


def test_special_remotes_of_a_real_branch_are_read_and_written_back(golden: Golden) -> None:
    data = raw(golden("annex-repo-expected.json")["git_annex_branch"]["remote.log"])
    remotes = logs.parse_remotes(data)
    assert remotes[PlaceId("423765a3-31a1-4b80-9b5d-dc018448ffa3")] == {
        "chunk": "5B",
        "encryption": "none",
        "name": "chunked",
        "type": "directory",
    }
    for place, entry in logs.parse_uuid_log(data).items():
        assert logs.encode_config(remotes[place]) == entry.value


def test_objects_lie_where_git_annex_put_them(golden: Golden) -> None:
    expected = golden("annex-repo-expected.json")
    for path in expected["object_files"]:
        key = key_of_link(raw(path))
        assert key is not None
        assert link_target(key, 0) == raw(path)
        assert raw(path) == b".git/annex/objects/" + object_path(key)
        assert key_of_pointer(pointer(key)) == key


def test_a_changed_byte_is_found_with_every_backend(golden: Golden) -> None:
    for case in golden("backend-keys.json")["keys"]:
        if case["content"] != "abc":
            continue
        check = checker(Key.parse(raw(case["key"])))
        check.feed(b"abd")
        with pytest.raises(HoldError, match="sent other bytes"):
            check.finish()
