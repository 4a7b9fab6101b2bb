"""Every page in docs/journeys and tests/journeys, run as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import transcript

PAGES = sorted(
    [*(transcript.ROOT / "docs/journeys").glob("*.md"), *Path(__file__).parent.glob("*.md")]
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_journey_goes_as_it_is_written(path: Path, tmp_path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    if absent := transcript.missing(page):
        pytest.skip(f"needs {', '.join(absent)}")
    wrong = [ran.difference() for ran in transcript.run_page(page, tmp_path) if not ran.good]
    assert not wrong, "\n\n".join(wrong)
