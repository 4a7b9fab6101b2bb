"""The conformance script reads the driver's output, its log and its exceptions as they are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CONFORMANCE = Path(__file__).resolve().parents[2] / "bench" / "conformance"


def load(name: str) -> ModuleType:
    """A script of bench/conformance as a module."""
    spec = importlib.util.spec_from_file_location(name, CONFORMANCE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


suite = load("annex_testsuite")

OUTPUT = """\
Tests
  Repo Tests v10 unlocked
    Init Tests
      init: OK (0.13s)
      add:  OK
    drop (no remote):                       OK (1.04s)
    get:                                    FAIL (0.38s)
      ./Test/Framework.hs:103:
      get of file failed: OK
      Use -p '/get/' to rerun this test only.
    whereis:                                OK (0.40s)

1 out of 5 tests failed (1.71s)
Tests
  QuickCheck
    prop_a_b:                               OK
      +++ OK, passed 100 tests.

All 1 tests passed (0.10s)
"""


def read(text: str) -> list[Any]:
    reader = suite.TastyReader()
    return [result for line in text.splitlines() if (result := reader.feed(line)) is not None]


def test_each_test_is_read_once_with_its_groups() -> None:
    assert [(result.name, result.passed) for result in read(OUTPUT)] == [
        ("Repo Tests v10 unlocked.Init Tests.init", True),
        ("Repo Tests v10 unlocked.Init Tests.add", True),
        ("Repo Tests v10 unlocked.drop (no remote)", True),
        ("Repo Tests v10 unlocked.get", False),
        ("Repo Tests v10 unlocked.whereis", True),
        ("QuickCheck.prop_a_b", True),
    ]


def test_what_a_failure_says_belongs_to_it() -> None:
    failed = next(result for result in read(OUTPUT) if not result.passed)
    assert failed.said[:2] == ["./Test/Framework.hs:103:", "get of file failed: OK"]
    assert failed.seconds == 0.38


def test_calls_are_counted_by_engine_and_verb_and_half_a_line_waits() -> None:
    log = b"ours get foo\nreal -c a.b=c adjust --unlock\nours get --all\nours dro"
    calls, length = suite.count_calls(log)
    assert calls == {"ours get": 2, "real adjust": 1}
    assert log[length:] == b"ours dro"


def test_a_failure_without_a_reason_and_a_reason_without_a_failure_are_told() -> None:
    exceptions = suite.read_exceptions(
        "| test | only without | reason |\n| --- | --- | --- |\n"
        "| `*.get` | | known |\n| `*.whereis` | | gone |\n| `*.drop*` | `sh` | never |\n"
    )
    judgement = suite.judge(read(OUTPUT), exceptions)
    assert [exempt.reason for _, exempt in judgement.excused] == ["known"]
    assert judgement.unexcused == []
    assert [exempt.reason for exempt, _ in judgement.stale] == ["gone"]
    assert not judgement.good
    assert suite.judge(read(OUTPUT), exceptions[:1]).good
    assert [r.name for r in suite.judge(read(OUTPUT), []).unexcused] == [
        "Repo Tests v10 unlocked.get"
    ]


def test_a_test_run_twice_counts_once_and_fails_if_it_failed_once() -> None:
    again = [*read(OUTPUT), suite.TestResult("Repo Tests v10 unlocked.whereis", passed=False)]
    merged = suite.merge(again)
    assert len(merged) == 6
    assert not next(result for result in merged if result.name.endswith("whereis")).passed
