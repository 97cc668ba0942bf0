"""Candidates are read with their text, scored side by side under a softmax, and the right ones are learned."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import tasks.inputs.candidates as candidates
from harness.backbone import load_tokenizer, locate
from harness.errors import MissingPrerequisite
from tests.tasks.rows import (
    ARCHITECTURES,
    CPU,
    FILLED,
    PLACES,
    attached,
    encoded,
    gaps,
    headline,
    learned,
    met,
    offered,
    part,
)

TOKENIZER = load_tokenizer(locate("tiny:bert"))
NUMBERED: dict[str, Any] = {
    "columns": {"text": "s", "text_pair": "t", "candidate1": "one", "candidate2": "two", "label": "y"}
}


def encode(facts: dict[str, Any], rows: dict[str, list[Any]], max_length: int = 64) -> Any:
    return met(facts).encode(part(facts, rows), TOKENIZER, max_length)


def read(example: dict[str, Any]) -> list[str]:
    return [TOKENIZER.decode(one["input_ids"]) for one in example["candidates"]]


def test_a_candidate_is_the_second_text_of_a_pair() -> None:
    examples = encode(PLACES, {"s": ["Q", "R"], "c": [["a", "b"], ["c", "d", "e"]], "y": [1, 2]})
    assert [read(one) for one in examples.inputs] == [
        ["<s>Q</s>a</s>", "<s>Q</s>b</s>"],
        ["<s>R</s>c</s>", "<s>R</s>d</s>", "<s>R</s>e</s>"],
    ]
    assert [one["right"] for one in examples.inputs] == [[False, True], [False, False, True]]
    assert examples.references == [1, 2]
    assert examples.lengths.tolist() == [10, 15], "a row's tokens are those of all its candidates"


def test_numbered_columns_are_candidates_and_follow_the_second_text() -> None:
    rows = {"s": ["P"], "t": ["why?"], "one": ["x"], "two": ["y"], "y": [0]}
    (example,) = encode(NUMBERED, rows).inputs
    assert read(example) == ["<s>P</s>why? x</s>", "<s>P</s>why? y</s>"]


def test_a_candidate_takes_the_place_of_the_placeholder() -> None:
    examples = encode(FILLED, {"s": ["P"], "t": ["_ is _."], "c": [["he", "it", "we"]], "a": [["it", "we", "you"]]})
    assert read(examples.inputs[0]) == ["<s>P</s>he is he.</s>", "<s>P</s>it is it.</s>", "<s>P</s>we is we.</s>"]
    assert examples.inputs[0]["right"] == [False, True, True]
    assert examples.references == [["it", "we", "you"]]


def test_rows_of_which_any_candidate_was_cut_are_counted_once() -> None:
    rows = {"s": ["a" * 30, "b"], "c": [["x", "y", "z"], ["v" * 5, "w"]], "y": [0, 1]}
    examples = encode(PLACES, rows, 12)
    assert read(examples.inputs[0]) == ["<s>aaaaaaaa</s>x</s>", "<s>aaaaaaaa</s>y</s>", "<s>aaaaaaaa</s>z</s>"]
    assert read(examples.inputs[1]) == ["<s>b</s>vvvvv</s>", "<s>b</s>w</s>"]
    assert examples.truncated == 1


@pytest.mark.parametrize(
    ("facts", "rows", "message"),
    [
        (PLACES, {"s": ["Q"], "c": [[]], "y": [0]}, r"row 0 of toy/rows \(train\) has no candidates"),
        (PLACES, {"s": ["Q"], "c": [["a", None]], "y": [0]}, "row 0 .* has candidates that are no texts"),
        (PLACES, {"s": ["Q"], "c": ["a"], "y": [0]}, "1 rows whose column c is no list"),
        (PLACES, {"s": ["Q"], "y": [0]}, "has no column c; it has s, y"),
        (PLACES, {"s": ["Q"], "c": [["a", "b"]], "y": [2]}, "1 labels outside 0 to 1, such as 2"),
        (PLACES, {"s": ["Q", "R"], "c": [["a", "b"], ["a", "b", "c"]], "y": [2, 0]}, "such as row 0; mend the data"),
        (PLACES, {"s": ["Q"], "c": [["a", "b"]], "y": [None]}, "labels that are no whole numbers, such as None"),
        (FILLED, {"s": ["P"], "t": ["no gap"], "c": [["a"]], "a": [["a"]]}, "row 0 .* has no '_' that a candidate"),
        (FILLED, {"s": ["P"], "t": ["_"], "c": [["a"]], "a": [["b"]]}, "1 rows whose right answer is none of their"),
        (FILLED, {"s": ["P"], "t": ["_"], "c": [["a"]], "a": ["a"]}, "1 rows whose column a is no list"),
        (NUMBERED, {"s": ["P"], "t": ["?"], "one": ["x"], "two": [None], "y": [0]}, "whose column two is no str"),
        (PLACES, {"s": [], "c": [], "y": []}, "has no rows"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_by_name(
    facts: dict[str, Any], rows: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        encode(facts, rows)


def test_a_placeholder_without_a_text_to_stand_in_is_refused() -> None:
    with pytest.raises(MissingPrerequisite, match="has a placeholder and no column text_pair"):
        met(PLACES, placeholder="_")


class Fixed(nn.Module):
    """A model that scores each row by its second token, and remembers how many rows it saw at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        self.seen.append(tuple(input_ids.shape))
        self.logits = self.scale * input_ids[:, 1:2].float()
        return self


def batch_of(scores: list[list[float]], right: list[list[bool]]) -> dict[str, torch.Tensor]:
    """Return a batch whose candidates ``Fixed`` gives these scores."""
    from harness.protocol import Examples

    inputs = [
        {
            "candidates": [{"input_ids": [0, int(value)], "attention_mask": [1, 1]} for value in row],
            "right": flags,
        }
        for row, flags in zip(scores, right, strict=True)
    ]
    ids = tuple(map(str, range(len(inputs))))
    examples = Examples(inputs, torch.ones(len(inputs), dtype=torch.long).numpy(), ids, ids, [0] * len(inputs))
    found: dict[str, torch.Tensor] = met(PLACES).collate(examples, range(len(inputs)), TOKENIZER, CPU)
    return found


def test_the_loss_is_cross_entropy_over_a_rows_own_candidates() -> None:
    batch = batch_of([[1, 3], [2, 0, 1]], [[False, True], [True, False, False]])
    one = math.log(math.exp(1) + math.exp(3)) - 3
    other = math.log(math.exp(2) + math.exp(0) + math.exp(1)) - 2
    assert met(PLACES).loss(Fixed(), batch).item() == pytest.approx((one + other) / 2)


def test_of_several_right_ones_the_sum_of_their_probabilities_counts() -> None:
    batch = batch_of([[1, 3, 0]], [[True, True, False]])
    expected = -math.log((math.exp(1) + math.exp(3)) / (math.exp(1) + math.exp(3) + 1))
    assert met(PLACES).loss(Fixed(), batch).item() == pytest.approx(expected)


def test_predictions_are_the_best_candidate_and_padding_never_wins() -> None:
    batch = batch_of([[-9, -7], [-5, -6, -4]], [[True, False], [True, False, False]])
    values, _ = met(PLACES).outputs(Fixed(), batch)
    assert list(values) == [1.0, 2.0]


def test_log_likelihoods_are_of_a_rows_own_candidates() -> None:
    batch = batch_of([[1, 3], [2, 0, 1]], [[False, True], [True, False, False]])
    found = met(PLACES).log_likelihoods(Fixed(), batch)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(2))
    assert found[0, 2] == -torch.inf


def test_many_candidates_go_through_in_pieces_with_the_same_scores_and_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = [[float(number % 7), 2.0, 1.0] for number in range(10)]
    right = [[True, False, False]] * 10
    found = []
    for piece, calls in ((64, 1), (7, 5)):
        monkeypatch.setattr(candidates, "PIECE", piece)
        model = Fixed()
        loss = met(PLACES).loss(model, batch_of(scores, right))
        assert len(model.seen) == calls
        loss.backward()
        assert len(model.seen) == calls * (1 if calls == 1 else 2), "activations of pieces are computed again"
        assert model.scale.grad is not None
        found.append((loss.item(), model.scale.grad.item()))
    assert found[0] == pytest.approx(found[1])


def test_what_is_shown_of_a_text_answer_is_its_place() -> None:
    protocol = met(FILLED)
    examples = encode(FILLED, {"s": ["P", "P"], "t": ["_", "_"], "c": [["a", "b"], ["c", "d"]], "a": [["b"], ["c"]]})
    found = protocol.answers(examples, [1.0, 1.0])
    assert (found.values, found.shown) == (["b", "d"], [1.0, 1.0])
    assert protocol.perfect(examples) == ["b", "c"]
    places = encode(PLACES, {"s": ["Q"], "c": [["a", "b"]], "y": [1]})
    assert met(PLACES).perfect(places) == [1]


def test_hidden_rows_need_no_answers() -> None:
    rows = {"s": ["P"], "t": ["_"], "c": [["a", "b"]], "a": [[]]}
    examples = met(FILLED).encode(part(FILLED, rows, "hidden"), TOKENIZER, 64)
    on = attached(FILLED, "bert")
    found = on.evaluator.predict(on.backbone.model, on.protocol, examples)
    assert found.values in (["a"], ["b"])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_rows_choice_does_not_depend_on_the_other_rows(architecture: str) -> None:
    on = attached(PLACES, architecture)
    on.backbone.model.eval()
    examples = encoded(on, PLACES, offered(6, 0))
    together = on.protocol.collate(examples, range(6), on.backbone.tokenizer, CPU)
    with torch.no_grad():
        all_at_once = on.protocol.log_likelihoods(on.backbone.model, together)
        for row in range(6):
            (alone,) = on.protocol.log_likelihoods(
                on.backbone.model, on.protocol.collate(examples, [row], on.backbone.tokenizer, CPU)
            )
            torch.testing.assert_close(all_at_once[row, : len(alone)], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("facts", "rows", "architecture"),
    [
        (PLACES, offered, "bert"),
        (PLACES, offered, "gpt2"),
        (PLACES, offered, "llama"),
        (FILLED, gaps, "bert"),
        (FILLED, gaps, "gpt2"),
    ],
    ids=["one right, bert", "one right, gpt2", "one right, llama", "several right, bert", "several right, gpt2"],
)
def test_the_right_candidate_is_learned(facts: dict[str, Any], rows: Any, architecture: str) -> None:
    epochs = learned(facts, rows(240, 0), rows(100, 7), architecture, epochs=4, lr=5e-3)
    losses = [epoch.train_loss or 0.0 for epoch in epochs]
    assert losses[-1] < losses[0] / 2
    assert headline(epochs)[-1] > 0.85, "under half of the rows are right by chance"
