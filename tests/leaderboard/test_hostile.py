"""A stranger's record cannot run script, break out of the page, or reach another file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings

from leaderboard.page import build_board
from tests.leaderboard.hostile import FRAGMENTS, TEXTS, faults, write


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
@example("".join(FRAGMENTS))
@example("../../../etc/passwd")
@example("a\x00b")
@example("</script><script>alert(1)</script>")
def test_whatever_a_record_says_is_text(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        records, site = Path(folder, "records"), Path(folder, "site")
        write(records, text)
        build_board([records], site)
        pages = sorted(site.rglob("*.html"))
        assert len(pages) >= 7
        assert [fault for page in pages for fault in faults(page, site)] == []
        assert {path.name for path in Path(folder).iterdir()} == {"records", "site"}
