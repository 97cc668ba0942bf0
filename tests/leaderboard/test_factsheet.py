"""Fact sheets: what a record states, escaped, and nothing where it states nothing."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.factsheet import cost, counts, markup, phases, sheets
from leaderboard.load import load_records
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import visible


def test_a_record_gives_its_lists(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    (run,) = load_records([tmp_path]).runs
    found = dict(sheets(run.record))
    assert found.keys() == {"Counts", "Environment", "Digests"}
    assert ("trained share of N", "0.0969\u00a0%") in found["Counts"]
    assert ("torch", "2.13.0") in found["Environment"]
    assert ("peak memory", "—") in cost(run.record)
    assert ("train items per second", "72.5") in cost(run.record)
    assert run.record.counts is not None
    frozen = run.record.counts.model_copy(update={"head_trained": False, "total": 0})
    facts = dict(counts(frozen, 0.5))
    assert (facts["head"], facts["trained share of N"]) == ("770, not trained", "—")
    assert facts["exact zeros in the result"] == "50.00\u00a0%"


def test_what_ranks_sent_and_checkpoints_hold_is_told_where_it_is_known(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}, costs={"sent_bytes": 5_000, "checkpoint_bytes": 300}).write(tmp_path)
    (run,) = load_records([tmp_path]).runs
    told = (("sent by one rank to the others", "5.0 kB"), ("checkpoint of an epoch after the first", "300 bytes"))
    assert cost(run.record)[-2:] == told
    silent = run.record.model_copy(update={"cost": run.record.cost.model_copy(update={"sent_bytes": None})})
    assert cost(silent)[-1:] == told[1:]
    assert told[0] not in cost(silent)


def test_the_time_of_one_row_is_told_with_and_without_the_method(tmp_path: Path) -> None:
    times = {"latency_seconds": 0.0125, "plain_latency_seconds": 0.0099}
    Made(items={"glue/sst2": answers(20, 3)}, costs=times).write(tmp_path)
    (run,) = load_records([tmp_path]).runs
    told = {"one row, as trained": "12.5 ms", "one row, through the backbone alone": "9.9 ms"}
    assert told.items() <= dict(cost(run.record)).items()


@given(st.text(), st.text())
def test_whatever_is_stated_stays_text(name: str, text: str) -> None:
    found = markup(((name, text), (name, "<script>")))
    assert found.count("<") == 2 + 2 * 6
    assert visible(found) == " ".join(f"{name} {text} {name} <script>".replace("\u00a0", " ").split())


def test_shares_of_the_time_fill_the_bar() -> None:
    found = phases({"load": 1.0, "<b>": 3.0})
    assert found is not None
    assert re.findall(r'x="([^"]*)" width="([^"]*)"', found.bar) == [("0.0", "150.0"), ("150.0", "450.0")]
    assert visible(found.lines) == "load 1.0 s 25 % <b> 3.0 s 75 %"
    nothing = phases({"load": 0.0})
    assert nothing is not None
    assert 'width="0.0"' in nothing.bar
    assert phases({}) is None
