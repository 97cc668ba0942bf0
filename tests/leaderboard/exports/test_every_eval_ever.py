"""Evaluation logs for Every Eval Ever, held against the schema that its own package ships."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from leaderboard.cells import Section
from leaderboard.exports.every_eval_ever import SCHEMA_VERSION, archive, logs
from leaderboard.load import load_records
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers, card
from tests.leaderboard.small_board import write_small_board

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
PATH = re.compile(rf"data/[a-z0-9_-]+/paretune/[a-z0-9_-]+/{UUID}\.json")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema from the installed package, of which nothing is imported."""
    found = importlib.util.find_spec("every_eval_ever")
    if found is None or found.origin is None:
        pytest.skip("every-eval-ever is not installed; pip install --no-deps --ignore-requires-python every-eval-ever")
    content = json.loads((Path(found.origin).parent / "schemas" / "eval.schema.json").read_text(encoding="utf-8"))
    assert content["version"] == SCHEMA_VERSION
    return dict(content)


def section_of(folder: Path) -> Section:
    (section,) = tabulate(load_records([folder]).runs, {}).sections
    return section


def test_logs_follow_the_schema(tmp_path: Path, schema: dict[str, Any]) -> None:
    write_small_board(tmp_path / "small")
    found = list(logs(section_of(tmp_path / "small")))
    facts = {"source": {"hub": "nyu-mll/glue", "config": "sst2", "splits": {"evaluation": "validation"}}}
    other = {"url": "https://example.org/data", "source": {"hub": "own", "by_hand": "fetch it"}, "licence": "cc"}
    cards = {"glue/sst2": card("glue/sst2") | facts, "own/x": card("own/x", "ter", "", ceiling=None) | other}
    cards["own/x"]["metric"]["higher_is_better"] = False
    made = Made(score=["glue/sst2"], cards=cards, items={"glue/sst2": answers(30, 3)}, values={"=x": "<b>"})
    made.write(tmp_path / "other")
    found += logs(section_of(tmp_path / "other"))
    validator = jsonschema.Draft7Validator(schema)
    for _, log in found:
        validator.validate(log)
    assert len(found) == 5  # four rows of the small board have a number


def test_the_schema_is_not_so_wide_that_anything_passes(tmp_path: Path, schema: dict[str, Any]) -> None:
    Made(items={"glue/sst2": answers(30, 3)}).write(tmp_path)
    ((_, log),) = logs(section_of(tmp_path))
    validator = jsonschema.Draft7Validator(schema)
    for broken in (
        {**log, "surprise": 1},
        {name: value for name, value in log.items() if name != "model_info"},
        {**log, "evaluation_results": [{**log["evaluation_results"][0], "score_details": {"score": "0.9"}}]},
    ):
        assert not validator.is_valid(broken)


def test_a_result_has_the_score_with_its_uncertainty_and_source(tmp_path: Path) -> None:
    facts = {"source": {"hub": "nyu-mll/glue", "config": "sst2", "splits": {"evaluation": "validation"}}}
    cards = {"glue/sst2": card("glue/sst2") | facts}
    for seed in range(2):
        made = Made(values={"rank": 8}, seed=seed, cards=cards, items={"glue/sst2": answers(50, 10 + seed, seed)})
        made.write(tmp_path)
    section = section_of(tmp_path)
    interval = section.rows[0].cells["glue/sst2"].interval
    assert interval is not None
    ((path, log),) = logs(section)
    (result,) = log["evaluation_results"]
    assert PATH.fullmatch(path)
    assert path.split("/")[2:4] == log["model_info"]["id"].split("/")
    assert log["model_info"]["additional_details"]["base_model"] == "package:tiny/model"
    assert result["score_details"]["score"] == pytest.approx(0.79)
    uncertainty = result["score_details"]["uncertainty"]
    bounds = uncertainty["confidence_interval"]
    assert (bounds["lower"], bounds["upper"], bounds["confidence_level"]) == (interval.low, interval.high, 0.95)
    assert (uncertainty["standard_error"]["value"], uncertainty["num_samples"]) == (interval.error, 50)
    source = result["source_data"]
    assert (source["source_type"], source["hf_repo"], source["hf_split"]) == ("hf_dataset", "nyu-mll/glue", "val")
    metric = result["metric_config"]
    assert (metric["metric_id"], metric["lower_is_better"]) == ("accuracy", False)
    assert (metric["min_score"], metric["max_score"], metric["score_type"]) == (0.0, 1.0, "continuous")
    assert log["retrieved_timestamp"] == "1735725660"  # 2025-01-01T10:01:00Z


def test_unknown_bounds_are_left_out(tmp_path: Path) -> None:
    cards = {"own/x": card("own/x", "pearson", "", ceiling=None)}
    Made(task="own/x", cards=cards, items={"own/x": ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])}).write(tmp_path)
    ((_, log),) = logs(section_of(tmp_path))
    metric = log["evaluation_results"][0]["metric_config"]
    assert metric["metric_id"] == "paretune.pearson"
    assert {"score_type", "max_score"}.isdisjoint(metric)


def test_the_archive_is_the_same_each_time_and_stays_in_its_folder(tmp_path: Path) -> None:
    Made("../../../etc", suite="../..", items={"glue/sst2": answers(30, 3)}).write(tmp_path)
    section = section_of(tmp_path)
    content = archive(section)
    assert archive(section) == content
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        (name,) = file.namelist()
        assert PATH.fullmatch(name)
        assert json.loads(file.read(name)) == next(logs(section))[1]
