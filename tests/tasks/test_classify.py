"""Classify encodes rows as its card says, refuses what does not fit by name, and its losses are the textbook's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from harness.backbone import load_tokenizer, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Examples, meet
from harness.splits import Part
from harness.task import Split, Task, TaskCard

CPU = torch.device("cpu")
FACTS: dict[str, Any] = {
    "name": "toy/rows",
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "source": {},
    "sizes": {"train": 3, "evaluation": 3},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
    "protocols": ("classify",),
}
CLASSES: dict[str, Any] = {"columns": {"text": "s", "label": "y"}, "labels": ("a", "b", "c")}
PAIRS: dict[str, Any] = {"columns": {"text": "s", "text_pair": "t", "label": "y"}, "labels": ("a", "b", "c")}
REGRESSION: dict[str, Any] = {"columns": {"text": "s", "label": "y"}, "label_range": (0.0, 5.0)}
TOKENIZER = load_tokenizer(locate("tiny:bert"))


class Rows(Task):
    """A task with the rows it is given."""

    def __init__(self, facts: dict[str, Any], rows: dict[str, list[Any]]) -> None:
        super().__init__(TaskCard.model_validate(FACTS | facts))
        self.rows = rows

    def table(self, split: Split) -> pa.Table:
        return pa.table(self.rows)


def part(facts: dict[str, Any], rows: dict[str, list[Any]], indices: list[int] | None = None) -> Part:
    chosen = None if indices is None else np.array(indices, dtype=np.int64)
    return Part(Rows(facts, rows), "train", DataSource(), chosen)


def met(facts: dict[str, Any]) -> Any:  # Any: what classify has beyond the contract is tested too
    return meet("classify", TaskCard.model_validate(FACTS | facts))


def encode(facts: dict[str, Any], rows: Part, max_length: int, tokenizer: Any = TOKENIZER) -> Examples:
    found: Examples = met(facts).encode(rows, tokenizer, max_length)
    return found


def test_rows_keep_their_order_labels_and_names() -> None:
    rows = {"s": ["abc", "d", "ef", "unused"], "y": [2, 0, 1, 0], "other": [None] * 4}
    examples = encode(CLASSES, part(CLASSES, rows, [0, 1, 2]), 16)
    assert examples.item_ids == ("train:0", "train:1", "train:2")
    assert list(examples.references) == [2, 0, 1]
    assert examples.lengths.tolist() == [5, 3, 4]  # <s>, the bytes, </s>
    assert TOKENIZER.decode(examples.inputs[2]["input_ids"]) == "<s>ef</s>"
    assert (len(examples), examples.truncated) == (3, 0)


def test_texts_are_cut_the_longer_of_a_pair_first_and_counted() -> None:
    rows = {"s": ["a" * 30, "a", "abcd"], "t": ["bb", "bb", "c" * 30], "y": [0, 1, 2]}
    examples = encode(PAIRS, part(PAIRS, rows), 12)
    texts = [TOKENIZER.decode(one["input_ids"]) for one in examples.inputs]
    assert texts == ["<s>aaaaaaa</s>bb</s>", "<s>a</s>bb</s>", "<s>abcd</s>ccccc</s>"]
    assert examples.truncated == 2
    exact = encode(CLASSES, part(CLASSES, {"s": ["a" * 10], "y": [0]}), 12)
    assert (exact.truncated, exact.lengths.tolist()) == (0, [12])


def test_a_pair_tells_its_two_texts_apart_where_the_backbone_does(tmp_path: Any) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]))
    tokenizer = BertTokenizer(str(tmp_path / "vocab.txt"))
    examples = encode(PAIRS, part(PAIRS, {"s": ["a a", "a"], "t": ["b", "b"], "y": [0, 1]}), 12, tokenizer)
    batch = met(CLASSES).collate(examples, [0, 1], tokenizer, CPU)
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]


@given(texts=st.lists(st.text("xyz ", max_size=20), min_size=1, max_size=6), data=st.data())
def test_a_batch_is_padded_to_its_longest_row_and_masks_the_padding(texts: list[str], data: st.DataObject) -> None:
    examples = encode(CLASSES, part(CLASSES, {"s": texts, "y": [0] * len(texts)}), 16)
    chosen = data.draw(st.lists(st.sampled_from(range(len(texts))), min_size=1))
    batch = met(CLASSES).collate(examples, chosen, TOKENIZER, CPU)
    assert batch["input_ids"].shape == (len(chosen), examples.lengths[chosen].max())
    assert batch["attention_mask"].sum(dim=1).tolist() == examples.lengths[chosen].tolist()
    for row, ids, mask in zip(chosen, batch["input_ids"], batch["attention_mask"], strict=True):
        assert ids[mask.bool()].tolist() == examples.inputs[row]["input_ids"]
        assert (ids[~mask.bool()] == TOKENIZER.pad_token_id).all()


@pytest.mark.parametrize(
    ("facts", "rows", "message"),
    [
        (CLASSES, {"s": ["x"], "label": [0]}, r"toy/rows \(train\) has no column y; it has s, label"),
        (CLASSES, {"s": [], "y": []}, r"toy/rows \(train\) has no rows; raise sizes"),
        (CLASSES, {"s": ["x", "y"], "y": [0, 3]}, "has 1 labels outside 0 to 2, such as 3"),
        (CLASSES, {"s": ["x", "y"], "y": [-1, -1]}, "such as -1; -1 marks labels that are not public"),
        (CLASSES, {"s": ["x", "y"], "y": [0, None]}, "labels that are no whole numbers, such as None"),
        (CLASSES, {"s": ["x"], "y": ["a"]}, "labels that are no whole numbers, such as 'a'"),
        (REGRESSION, {"s": ["x", "y"], "y": [5.0, 5.5]}, "has 1 labels outside 0.0 to 5.0, such as 5.5"),
        (REGRESSION, {"s": ["x", "y"], "y": [5.0, math.nan]}, "has 1 labels outside 0.0 to 5.0, such as nan"),
    ],
)
def test_rows_that_do_not_fit_the_card_are_refused(
    facts: dict[str, Any], rows: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        encode(facts, part(facts, rows), 16)


def test_the_limits_of_a_range_belong_to_it() -> None:
    examples = encode(REGRESSION, part(REGRESSION, {"s": ["x", "y"], "y": [0.0, 5.0]}), 16)
    assert list(examples.references) == [0.0, 5.0]


def test_the_loss_is_cross_entropy_or_squared_error_by_hand() -> None:
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0], [0.0, 0.0, math.log(6.0)]])
    expected = (math.log(4 / 2) + math.log(8 / 6)) / 2
    labels = torch.tensor([0.0, 2.0], dtype=torch.float64)
    assert met(CLASSES).loss_of(logits, labels).item() == pytest.approx(expected)
    assert met(REGRESSION).loss_of(torch.tensor([[1.0], [4.0]]), labels).item() == pytest.approx(2.5)


class Fixed(torch.nn.Module):
    """A model whose logits are what it was given."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.bfloat16)

    def forward(self, input_ids: torch.Tensor) -> Fixed:
        return self


def test_predictions_are_the_largest_class_or_the_clipped_value() -> None:
    batch = {"input_ids": torch.zeros(3, 1), "labels": torch.tensor([0.0, 2.0, 1.0], dtype=torch.float64)}
    values, _ = met(CLASSES).outputs(Fixed([[3, 1, 2], [0, 1, 2], [0, 1, 0]]), batch)
    assert list(values) == [0, 2, 1]
    values, loss = met(REGRESSION).outputs(Fixed([[-1.0], [2.5], [7.0]]), batch)
    assert list(values) == [0.0, 2.5, 5.0]
    assert loss.item() == pytest.approx((1 + 0.25 + 36) / 3), "the loss is that of what the model said, not clipped"
    assert loss.dtype == torch.float32


def test_the_head_has_the_shape_of_the_task() -> None:
    for facts, outputs in ((CLASSES, 3), (REGRESSION, 1)):
        model, head = met(facts).build(locate("tiny:bert"), meta=True)
        assert model.get_parameter("classifier.weight").shape == (outputs, 32)
        assert head == {"classifier.weight", "classifier.bias"}


def test_a_backbone_that_reads_no_text_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="needs a backbone that reads text; vision came"):
        met(CLASSES).build(locate("tiny:vit"))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt"])
def test_a_decoder_predicts_from_its_last_token_whatever_the_padding(architecture: str) -> None:
    loaded = met(CLASSES).load(locate(f"tiny:{architecture}"))
    loaded.model.eval()
    examples = encode(CLASSES, part(CLASSES, {"s": ["abc", "abcdefghijkl"], "y": [0, 1]}), 16, loaded.tokenizer)
    outputs = []
    for rows in ([0], [0, 1]):
        batch = met(CLASSES).collate(examples, rows, loaded.tokenizer, CPU)
        batch.pop("labels")
        with torch.no_grad():
            outputs.append(loaded.model(**batch).logits[0])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)


def test_log_likelihoods_are_the_log_softmax_of_every_label_and_sum_to_one() -> None:
    logits = [[3.0, 1.0, 2.0], [0.0, -80.0, 80.0]]
    batch = {"input_ids": torch.zeros(2, 1), "labels": torch.tensor([0.0, 2.0], dtype=torch.float64)}
    found = met(CLASSES).log_likelihoods(Fixed(logits), batch)
    exact = torch.tensor(logits, dtype=torch.float64)
    exact = exact - exact.exp().sum(dim=1, keepdim=True).log()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(2))
    true = found.gather(1, batch["labels"].long()[:, None]).mean()
    torch.testing.assert_close(-true, met(CLASSES).loss(Fixed(logits), batch))


def test_a_regression_has_no_outcomes_to_list() -> None:
    batch = {"input_ids": torch.zeros(1, 1), "labels": torch.tensor([1.0], dtype=torch.float64)}
    with pytest.raises(NotApplicable, match="toy/rows is a regression: its outcomes cannot be listed"):
        met(REGRESSION).log_likelihoods(Fixed([[1.0]]), batch)
