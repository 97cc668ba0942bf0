"""What the kernel counts; a real kill is in ``test_local``."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners import killed


@pytest.mark.parametrize(
    ("text", "count"), [("pgfault 9\noom_kill 3\nzswpin 0\n", 3), ("oom_kill_other 7\n", 0), ("", 0), (None, 0)]
)
def test_kills_are_counted_where_the_kernel_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, count: int
) -> None:
    counters = tmp_path / "vmstat"
    if text is not None:
        counters.write_text(text, encoding="ascii")
    monkeypatch.setattr(killed, "COUNTERS", counters)
    assert killed.memory_kills() == count
