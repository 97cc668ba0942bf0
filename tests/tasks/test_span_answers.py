"""The answers of span are those of a search over all spans of all windows, and none where nothing leads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.pipelines.document_question_answering import select_starts_ends

from tests.tasks.spans import CPU, TOKENIZER, TWO, Row, Said, Scripted, encode, met, predict


def searched(row: Row, max_length: int, unanswerable: bool, longest: int = 30) -> tuple[str, str]:
    """Answer by looking at every span of every window, one by one, in Python floats; text and place."""
    examples = encode([row], max_length, unanswerable=unanswerable)
    offsets = examples.extra["offsets"][0]
    found, null = [], math.inf
    for number, window in enumerate(examples.inputs):
        batch = met().collate(examples, [number], TOKENIZER, CPU)
        said = Scripted()(batch["input_ids"], batch["attention_mask"])
        starts, ends = said.start_logits[0].tolist(), said.end_logits[0].tolist()
        null = min(null, starts[0] + ends[0])
        for first in range(window.first, window.first + window.count):
            for last in range(first, min(first + longest, window.first + window.count)):
                left = offsets[window.skipped + first - window.first][0]
                right = offsets[window.skipped + last - window.first][1]
                if row[1][left:right].strip():
                    found.append((starts[first] + ends[last], -left, left, right))
    score, _, left, right = max(found)
    if unanswerable and null > score:
        return "", ""
    text = row[1][left:right]
    left += len(text) - len(text.lstrip())
    return text.strip(), f"{left}:{left + len(text.strip())}"


@settings(max_examples=60)
@given(context=st.text("abc d.é漢", min_size=1, max_size=30).filter(str.strip), unanswerable=st.booleans())
def test_answers_are_those_of_a_search_over_all_spans_of_all_windows(context: str, unanswerable: bool) -> None:
    row: Row = ("who?", context, [(context.strip()[0], context.index(context.strip()[0]))])
    said = predict(encode([row], 16, unanswerable=unanswerable), unanswerable=unanswerable)
    text, place = searched(row, 16, unanswerable)
    value = said.values[0]["text"] if unanswerable else said.values[0]
    assert (value, list(said.shown or ())) == (text, [place])
    if place:
        start, end = map(int, place.split(":"))
        assert context[start:end] == value, "cut out of the text itself"


@settings(max_examples=40)
@given(context=st.text("abc d.", min_size=1, max_size=20).filter(str.strip), longest=st.integers(1, 8))
def test_the_best_spans_of_a_window_are_those_of_transformers(context: str, longest: int) -> None:
    examples = encode([("q", context, [(context.strip()[0], context.index(context.strip()[0]))])], 64)
    protocol = met(max_answer_tokens=longest, num_best=5)
    batch = protocol.collate(examples, [0], TOKENIZER, CPU)
    [best], _ = protocol.outputs(Scripted(), batch)
    window, said = examples.inputs[0], Scripted()(batch["input_ids"], batch["attention_mask"])
    places = np.arange(len(window.tokens["input_ids"]))
    outside = ((places < window.first) | (places >= window.first + window.count)).astype(np.int64)[None]
    starts, ends, scores, _ = select_starts_ends(
        said.start_logits.double().numpy(),
        said.end_logits.double().numpy(),
        outside,
        batch["attention_mask"].numpy(),
        top_k=5,
        max_answer_len=longest,
    )
    real = scores > 0  # where a window has fewer spans, theirs are filled up with impossible ones of probability 0
    expected = [(s - window.first, e - window.first) for s, e in zip(starts[real], ends[real], strict=True)]
    assert list(zip(best.starts, best.ends, strict=True)) == expected
    np.testing.assert_allclose(np.exp(np.array(best.scores) - best.scores[0]), scores[real] / scores[0], rtol=1e-6)


class Pointing(torch.nn.Module):
    """A model that gives chosen tokens chosen logits, 0 elsewhere."""

    def __init__(self, start: dict[str, float], end: dict[str, float], null: float = 0.0) -> None:
        super().__init__()
        self.null = null
        self.sides = [{TOKENIZER(k)["input_ids"][1]: v for k, v in side.items()} for side in (start, end)]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **other: torch.Tensor) -> Said:
        sides = []
        for wanted in self.sides:
            logits = torch.zeros(input_ids.shape)
            for token, value in wanted.items():
                logits[input_ids == token] = value
            logits[:, 0] = self.null / 2
            sides.append(logits)
        return Said(*sides)


def test_there_is_no_answer_where_the_smallest_null_score_leads_by_more_than_the_threshold() -> None:
    examples = encode([("q", "ab cd", [])], unanswerable=True)
    for null, threshold, text in ((4.9, 0.0, "cd"), (5.1, 0.0, ""), (5.1, 0.2, "cd"), (4.9, -0.2, "")):
        said = predict(examples, Pointing({"c": 3}, {"d": 2}, null), unanswerable=True, null_threshold=threshold)
        expected = 1 / (1 + math.exp(5 - null))
        assert said.values == [{"text": text, "no_answer_probability": pytest.approx(expected, rel=1e-6)}]
        assert said.shown == (["3:5"] if text else [""])


def test_where_all_questions_have_answers_the_null_score_counts_for_nothing() -> None:
    said = predict(encode([("q", "ab cd", [("ab", 0)])]), Pointing({"c": 3}, {"d": 2}, null=100))
    assert (said.values, said.shown) == (["cd"], ["3:5"])


def test_the_null_score_of_a_question_is_the_smallest_of_its_windows() -> None:
    class Growing(Pointing):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **other: torch.Tensor) -> Said:
            said = super().forward(input_ids, attention_mask)
            holds = (input_ids == self.wanted).any(dim=1)
            for side in said:
                side[holds, 0] = 0.5  # 1 in the window of the answer, 10 in the others
            return said

        wanted = TOKENIZER("z")["input_ids"][1]

    examples = encode([("q", "abcdefghijklz", [])], 12, unanswerable=True)
    said = predict(examples, Growing({"z": 2}, {"z": 2}, null=10), unanswerable=True)
    assert len(examples) > 1
    assert said.values[0]["text"] == "z", "4 against 1; against the 10 of another window it would have none"


def test_a_blank_span_is_passed_over_and_blanks_around_a_span_are_left_out() -> None:
    said = predict(encode([("q", "ab c\n", [("c", 3)])]), Pointing({" ": 9, "c": 1}, {" ": 9, "\n": 3}))
    assert (said.values, said.shown) == (["c"], ["3:4"]), "from blank to line feed, its blanks left out"


@pytest.mark.parametrize("context", ["", "  "])
def test_a_context_without_anything_to_point_at_has_no_answer(context: str) -> None:
    said = predict(encode([("q", context, [])], unanswerable=True), unanswerable=True)
    assert (said.values, said.shown) == ([{"text": "", "no_answer_probability": 1.0}], [""])


def test_logits_that_are_not_numbers_give_no_answer_and_a_loss_that_stops_training() -> None:
    model = Pointing({"c": math.nan}, {"d": math.nan}, null=math.nan)
    said = predict(encode(TWO[:1], unanswerable=True), model, unanswerable=True)
    assert said.loss is not None
    assert math.isnan(said.loss)
    assert 0 <= said.values[0]["no_answer_probability"] <= 1
