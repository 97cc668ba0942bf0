"""Letter groups of a section."""

from __future__ import annotations

from pathlib import Path

from leaderboard.letters import letters_of
from leaderboard.load import load_records
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers


def test_letters_tell_apart_within_a_budget_and_leave_out_what_does_not_rank(tmp_path: Path) -> None:
    wrong = {"random_mask": 5, "fish": 6, "pst": 60}
    for seed in range(3):
        for method, count in wrong.items():
            Made(method, seed=seed, items={"glue/sst2": answers(200, count + seed, seed)}).write(tmp_path)
    Made("full", trained=20_000_000, items={"glue/sst2": answers(200, 1)}).write(tmp_path)
    (section,) = Site.of(load_records([tmp_path])).sections
    found = {row.method: text for (row, _), text in letters_of(section).items()}
    assert found == {"random_mask": "a", "fish": "a", "pst": "b"}
