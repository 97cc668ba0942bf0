"""The columns of the large table."""

from __future__ import annotations

import json
from pathlib import Path

from leaderboard.fields import Maker, Places, makers_of
from leaderboard.load import load_records
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers, card


def cells(folder: Path) -> dict[str, dict[str, str]]:
    """Return column to method to markup."""
    (sheet,) = Site.of(load_records([folder])).sheets
    anchors = {row: sheet.anchor(row) for row in sheet.section.rows}
    places = Places("../", anchors, {row: {} for row in anchors}, linked=True)
    makers: list[Maker] = list(makers_of(sheet.section, places))
    return {
        maker.field.key: {row.method: maker.cell(row, family) for family in sheet.families for row in family.rows}
        for maker in makers
    }


def test_targets_have_a_column_where_there_are_several(tmp_path: Path) -> None:
    Made("lora", items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    assert "targets" not in cells(tmp_path)
    Made("fish", targets="query_value", items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    assert cells(tmp_path)["targets"] == {"lora": "<td class=w>linear", "fish": "<td class=w>query value"}


def test_costs_that_cannot_be_compared_say_so_and_searches_are_billed(tmp_path: Path) -> None:
    for method, environment in (("lora", {"runs_per_device": 4}), ("fish", {})):
        Made(method, items={"glue/sst2": answers(20, 3)}, environment=environment).write(tmp_path)
    for path in tmp_path.rglob("record.json"):
        record = json.loads(path.read_text())
        if record["spec"]["method"] == "lora":
            record["search"] = {"search": "a", "num_trials": 12, "seconds": 90}
        path.write_text(json.dumps(record))
    found = cells(tmp_path)
    assert found["time"]["lora"] == "<td data-value=41.2>41.2 s <i>packed: not comparable</i>"
    assert found["time"]["fish"] == "<td data-value=41.2>41.2 s"
    assert found["search"] == {"lora": "<td>12 <i>90.0 s</i>", "fish": "<td class=n>—"}
    assert not {"sparsity", "latency", "merged-latency"} & set(found), "nobody measured them"


def test_latency_is_told_as_trained_and_merged_where_nothing_is_left_beside_the_backbone(tmp_path: Path) -> None:
    times = {"latency_seconds": 0.00744, "plain_latency_seconds": 0.0069}
    for method in ("lora", "adapter"):
        Made(method, items={"glue/sst2": answers(20, 3)}, costs=times).write(tmp_path)
    for path in tmp_path.rglob("record.json"):
        record = json.loads(path.read_text())
        if record["spec"]["method"] == "adapter":
            record["counts"]["extra_at_inference"] = 1000
        path.write_text(json.dumps(record))
    found = cells(tmp_path)
    assert found["latency"] == dict.fromkeys(("lora", "adapter"), "<td data-value=0.00744>7.4 ms")
    assert found["merged-latency"] == {"lora": "<td data-value=0.0069>6.9 ms", "adapter": "<td class=n>—"}


def test_a_score_that_is_better_when_low_sorts_so(tmp_path: Path) -> None:
    task = "glue/sst2"
    facts = card(task, higher_is_better=False)
    Made(items={task: answers(20, 3)}, cards={task: facts}).write(tmp_path)
    (sheet,) = Site.of(load_records([tmp_path])).sheets
    fields = [maker.field for maker in makers_of(sheet.section, Places("", {}, {}, linked=False))]
    (score,) = [field for field in fields if field.page]
    assert (score.lower_first, score.page, score.notes[0]) == (
        True,
        "tasks/glue--sst2.html",
        "accuracy, % (lower is better)",
    )
