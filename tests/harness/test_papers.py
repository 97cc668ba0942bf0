"""The command ``paper`` prints what is known, for people and for machines, and names what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

from harness.spec import Budget
from leaderboard.papers import PAPERS
from tests.harness.commands import call
from tests.leaderboard.making import Made, answers


def write(folder: Path) -> None:
    for method, wrong in (("fish", 4), ("random_mask", 40)):
        for budget in (0.0005, 0.005):
            for seed in range(3):
                made = Made(method=method, budget=Budget(fraction=budget), seed=seed, suite="fish_small")
                made.items = {made.task: answers(200, wrong + seed, seed)}
                made.write(folder)


def test_a_verdict_is_printed_with_its_evidence(tmp_path: Path) -> None:
    write(tmp_path)
    called = call("paper", "fish", "--out", tmp_path)
    assert called.code == 0
    lines = called.out.splitlines()
    assert lines[1] == "no number that it reports of a single task is known here"
    assert lines[3] == "GLUE avg, BERT-large"
    assert lines[4].startswith("  FISH Mask quoted average, 0.500% reported 82.6  not comparable: a mean over tasks")
    claim = "a FISH mask is better than a random one of the same budget (fish_small, package:tiny/model)"
    assert lines[-3].endswith(claim)
    assert lines[-2].startswith("  fish 0.05 % - random_mask 0.05 %: ")
    told = json.loads(call("paper", "fish", "--out", tmp_path, "--json").out)
    assert told.keys() == {"title", "numbers", "averages", "left_out", "verdicts"}
    assert lines[-3].startswith(f"verdict: {told['verdicts'][0]['outcome']}: ")


def test_every_reported_number_has_a_line_and_a_reason(tmp_path: Path) -> None:
    told = json.loads(call("paper", "goft", "--out", tmp_path, "--json").out)
    assert len(told["numbers"]) > 200
    assert all(number["gap"] is None and number["not_comparable"] for number in told["numbers"])
    shown = call("paper", "goft", "--out", tmp_path).out
    assert all(mean["not_comparable"] for mean in told["averages"])
    assert shown.count("not comparable: ") == len(told["numbers"]) + len(told["averages"])
    assert "verdict: none, no record of a suite that asks its question" in shown
    assert "glue/mnli_mismatched accuracy (validation), microsoft/deberta-v3-base" in shown


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    broken = next(tmp_path.rglob("record.json"))
    broken.write_text("{", encoding="utf-8")
    called = call("paper", "fish", "--out", tmp_path)
    assert called.code == 1
    assert "unreadable: " in called.err
    assert call("paper", "gotf").code == 2
    assert call("paper", "fish", "--out", tmp_path / "gone").code == 2
    help_text = call("paper", "--help").out
    assert all(name in help_text for name in PAPERS)
