"""Scoring keeps the order of the rows, ignores how they are batched, and its items give back its numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.metric import METRICS
from harness.protocol import meet
from runners import score as scoring
from runners.score import autocast, evaluation_batches, items_digest, measure, score
from tests.runners.toy import CARD, examples, started, trainer

ROWS = examples(100, seed=2)
MET = meet("classify", CARD)


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=400))
def test_every_row_is_evaluated_once_longest_first(lengths: list[int]) -> None:
    batches = list(evaluation_batches(np.array(lengths)))
    order = [row for batch in batches for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
    assert max(map(len, batches)) <= scoring.EVALUATION_BATCH


def test_predictions_come_in_the_rows_own_order_whatever_the_batches() -> None:
    attached = started("base")
    evaluator = trainer(attached).evaluator
    expected = evaluator.predict(attached.model, MET, ROWS)
    for size in (1, 7):
        sized = replace(evaluator, batch_size=size)
        assert max(len(rows) for rows, _ in sized.batches(MET, ROWS)) == size
        found = sized.predict(attached.model, MET, ROWS)
        assert found.values == expected.values
        assert found.loss == pytest.approx(expected.loss, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_evaluated_without_dropout_and_put_back_into_its_mode(training: bool) -> None:
    attached = started("full")
    evaluator = trainer(attached).evaluator
    attached.model.train(training)
    first, second = (evaluator.predict(attached.model, MET, ROWS) for _ in range(2))
    assert first.loss == second.loss
    assert attached.model.training == training
    assert all(parameter.grad is None for parameter in attached.model.parameters())


def test_the_items_are_enough_to_compute_the_metrics_again() -> None:
    attached = started("base")
    block, items, notes = score(trainer(attached).evaluator, attached.model, MET, ROWS)
    assert notes == ()
    assert (block.task, block.split, block.num_items, block.headline) == ("toy/letters", "evaluation", 100, "accuracy")
    assert list(block.metrics) == ["accuracy", "f1"]
    table = items.to_pydict()
    assert table["item_id"] == list(ROWS.item_ids)
    assert set(table["task"]) == {"toy/letters"}
    for name, number in block.metrics.items():
        rows = {column: np.array(table[column]) for column in METRICS[name].statistics}
        assert METRICS[name].score(rows) == number
    assert np.mean(np.array(table["prediction"]) == np.array(ROWS.references)) == block.metrics["accuracy"]
    assert not any("text" in column for column in items.column_names)


def test_a_final_score_is_computed_by_the_evaluate_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    asked: list[str] = []
    original = evaluate.Metric.compute

    def watched(self: evaluate.Metric, **values: object) -> object:
        """Note who is asked; the library wants to add to this docstring."""
        asked.append(self.name)
        return original(self, **values)

    monkeypatch.setattr(evaluate.Metric, "compute", watched)
    attached = started("base")
    block, _, _ = score(trainer(attached).evaluator, attached.model, MET, ROWS)
    assert asked == list(block.metrics) == ["accuracy", "f1"]


def test_a_final_score_is_the_number_of_a_validation_to_the_bit() -> None:
    drawn = np.random.default_rng(3)
    said, right = drawn.normal(size=(2, 200)).tolist()
    for names in (("pearson", "spearman", "pearson_and_spearman"), ("squad.f1", "squad.best_f1", "squad.exact_match")):
        card = CARD.model_copy(update={"metric": CARD.metric.model_copy(update={"name": names[0]}), "also": names[1:]})
        predictions: list[object] = said
        references: list[object] = right
        if names[0].startswith("squad"):
            predictions = [{"text": f"about {x:.0f}", "no_answer_probability": x} for x in said]
            references = [[f"{y:.0f}", f"the {y:.1f}"] if y > 0 else [] for y in right]
        direct, final = (measure(card, predictions, references, final=final) for final in (False, True))
        assert final.metrics == direct.metrics
        assert final.statistics.keys() == direct.statistics.keys()
        assert all(np.array_equal(final.statistics[name], column) for name, column in direct.statistics.items())


@pytest.mark.parametrize("final", [True, False])
def test_a_number_whose_program_is_missing_is_null_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, final: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    headline = CARD.metric.model_copy(update={"name": "e2e.bleu"})
    card = CARD.model_copy(update={"metric": headline, "also": ("e2e.meteor", "e2e.rouge_l")})
    text = "The Eagle is a pub"
    measured = measure(card, [text], [[text]], final=final)
    assert measured.metrics == {"e2e.bleu": 1.0, "e2e.meteor": None, "e2e.rouge_l": 1.0}
    assert [note.partition(":")[0] for note in measured.notes] == ["e2e.meteor was not computed"]
    assert "Java" in measured.notes[0]


def test_a_metric_that_is_not_defined_is_null() -> None:
    card = CARD.model_copy(update={"metric": CARD.metric.model_copy(update={"name": "pearson"}), "also": ("accuracy",)})
    assert measure(card, [0, 0, 0], [0, 1, 1]).metrics == {"pearson": None, "accuracy": 1 / 3}


def test_predictions_that_are_no_numbers_are_no_score() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        measure(CARD, [math.nan, 1.0], [0.0, 1.0])


def test_equal_digests_mean_equal_items_and_references() -> None:
    assert items_digest(ROWS) == items_digest(examples(100, seed=2))
    assert len({items_digest(each) for each in (ROWS, examples(100, seed=3), examples(100, seed=2, offset=1))}) == 3


def test_only_bf16_weights_are_run_under_autocast() -> None:
    with autocast(torch.device("cpu"), torch.float32):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(torch.device("cpu"), torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")
