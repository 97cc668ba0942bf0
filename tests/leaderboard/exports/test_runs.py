"""The JSON file of each run."""

from __future__ import annotations

import json
from pathlib import Path

from leaderboard import downloads
from leaderboard.page import build_board
from tests.leaderboard.making import Judged, Made, answers


def test_each_run_has_its_record_as_json(tmp_path: Path) -> None:
    for attempt in (1, 2):
        made = Made(attempt=attempt, items={"glue/sst2": answers(10, 2)})
        made.write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site", Judged({made.run_id: "moved on"}))
    ((_, place),) = downloads.downloads_of_run(made.run_id)
    content = json.loads((tmp_path / "site" / place).read_text(encoding="utf-8"))
    assert [record["attempt"] for record in content["records"]] == [1, 2]
    assert content["stale"] == {made.run_id: "moved on"}
    assert content == json.loads((tmp_path / "site" / "records.json").read_text(encoding="utf-8"))
