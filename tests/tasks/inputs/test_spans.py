"""Marked spans are found in tokens, kept whole when a text is cut, refused where they cannot be, and learned from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.backbone import load_tokenizer, locate
from harness.errors import MissingPrerequisite, NotApplicable
from tasks.inputs.spans import kept
from tests.tasks.rows import (
    CPU,
    ONE_TEXT,
    TWO_TEXTS,
    attached,
    encoded,
    headline,
    learned,
    marked,
    marked_pairs,
    met,
    part,
)

TOKENIZER = load_tokenizer(locate("tiny:bert"))


def spelled(example: dict[str, Any]) -> list[str]:
    """Return what the tokens of each span say; a token is a byte."""
    return [TOKENIZER.decode(example["input_ids"][first:end]) for first, end in example["spans"]]


def encode(facts: dict[str, Any], rows: dict[str, list[Any]], max_length: int = 64, **options: Any) -> Any:
    return met(facts, **options).encode(part(facts, rows), TOKENIZER, max_length)


def test_spans_are_found_in_the_text_that_they_mark() -> None:
    examples = encode(TWO_TEXTS, {**marked_pairs(20, 0)})
    rows = marked_pairs(20, 0)
    for row, example in enumerate(examples.inputs):
        words = [rows["s"][row][rows["b"][row] : rows["e"][row]], rows["t"][row][rows["f"][row] : rows["g"][row]]]
        assert spelled(example) == words
    assert examples.references == rows["y"]


def test_a_span_of_more_than_one_byte_a_letter_is_found() -> None:
    (example,) = encode(ONE_TEXT, {"s": ["über föhn où"], "b": [5], "e": [9], "y": [1]}).inputs
    assert spelled(example) == ["föhn"]


def test_a_tokenizer_that_puts_the_space_before_a_word_in_its_token_marks_that_token_alone() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "Ġcat": 4, "Ġsat": 5}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = [("<s>", 0), ("</s>", 1)]
    tokens.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens)  # type: ignore[no-untyped-call]
    rows = {"s": ["a cat sat"], "b": [2], "e": [5], "y": [1]}
    (example,) = met(ONE_TEXT).encode(part(ONE_TEXT, rows), tokenizer, 16).inputs
    assert example["input_ids"] == [0, 3, 4, 5, 1]
    assert example["spans"] == [[2, 3]]


def test_a_text_is_cut_around_its_span_and_counted() -> None:
    rows = {"s": ["a" * 20 + "XY" + "b" * 20, "XY" + "b" * 40, "XY"], "b": [20, 0, 0], "e": [22, 2, 2], "y": [0, 1, 0]}
    examples = encode(ONE_TEXT, rows, 12)
    assert [TOKENIZER.decode(one["input_ids"]) for one in examples.inputs] == [
        "<s>aaaaXYbbbb</s>",
        "<s>XYbbbbbbbb</s>",
        "<s>XY</s>",
    ]
    assert [spelled(one) for one in examples.inputs] == [["XY"]] * 3
    assert examples.truncated == 2
    assert examples.notes == ("1 of 3 texts of toy/rows (train) were cut before a marked span, which was kept whole",)
    assert examples.lengths.tolist() == [12, 12, 4]


def test_of_a_pair_the_longer_text_is_cut_first_and_no_span_is() -> None:
    rows = {
        "s": ["a" * 30 + "X", "X" + "a" * 30],
        "t": ["Y" + "b" * 3, "b" * 30 + "Y"],
        "b": [30, 0],
        "e": [31, 1],
        "f": [0, 30],
        "g": [1, 31],
        "y": [0, 1],
    }
    examples = encode(TWO_TEXTS, rows, 14)
    assert [TOKENIZER.decode(one["input_ids"]) for one in examples.inputs] == [
        "<s>aaaaaaX</s>Ybbb</s>",
        "<s>Xaaaaa</s>bbbbY</s>",
    ]
    assert [spelled(one) for one in examples.inputs] == [["X", "Y"]] * 2


@given(st.data())
def test_what_is_kept_is_as_much_as_fits_in_order_with_every_span_whole(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=2))
    sequence: list[int | None] = [None]
    spans = []
    for text, length in enumerate(lengths):
        start = data.draw(st.integers(0, length - 1))
        spans.append((len(sequence) + start, len(sequence) + data.draw(st.integers(start + 1, length))))
        sequence += [*[text] * length, None]
    room = data.draw(st.integers(1, 70))
    if sum(end - start for start, end in spans) + len(lengths) + 1 > room and len(sequence) > room:
        with pytest.raises(ValueError, match="marked spans take"):
            kept(sequence, spans, room)
        return
    keep = kept(sequence, spans, room)
    assert len(keep) == min(room, len(sequence))
    assert keep == sorted(set(keep))
    assert {place for start, end in spans for place in range(start, end)} <= set(keep)
    assert {place for place, of in enumerate(sequence) if of is None} <= set(keep)
    for text in range(len(lengths)):  # what is left of a text is one stretch of it
        places = [place for place in keep if sequence[place] == text]
        assert places == list(range(places[0], places[-1] + 1))


GOOD = {"s": ["one word"], "b": [4], "e": [8], "y": [1]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"b": [8]}, r"row 0 of toy/rows \(train\) marks span 1 from 8 to 8, but its text has 8 characters"),
        ({"e": [9]}, "marks span 1 from 4 to 9, but its text has 8 characters"),
        ({"b": [-1]}, "marks span 1 from -1 to 8"),
        ({"b": ["4"]}, "1 rows whose column b is no int, such as row 0"),
        ({"s": [None]}, "1 rows whose column s is no str"),
        ({"y": [2]}, "1 labels outside 0 to 1, such as 2"),
        (
            {"s": ["x" * 80], "b": [0], "e": [80]},
            "spans take 80 tokens .* room for 62; raise training.max_length",
        ),
        ({key: [] for key in GOOD}, "has no rows"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_by_name(changed: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        encode(ONE_TEXT, {**GOOD, **changed})


def test_a_span_that_the_tokenizer_drops_is_refused(tmp_path: Any) -> None:
    from transformers import BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    rows = {"s": ["a   a"], "b": [2], "e": [3], "y": [0]}
    with pytest.raises(MissingPrerequisite, match="its span from 2 to 3 of text is nothing to the backbone"):
        met(ONE_TEXT).encode(part(ONE_TEXT, rows), tokenizer, 16)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (ONE_TEXT | {"options": {"spans": ["text", "text"]}}, "marks 1 spans, and the option spans places 2 of them"),
        (ONE_TEXT | {"options": {"spans": ["text_pair"]}}, "places 1 of them in text_pair, which has no column"),
        (ONE_TEXT | {"options": {"spans": ["title"]}}, "options of classify for toy/rows: .*spans"),
        (ONE_TEXT | {"columns": {"text": "s", "span1_start": "b", "label": "y"}}, "names no column for span1_end"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_by_name(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        encode(facts, GOOD)


def test_a_batch_says_where_its_spans_are_whatever_the_padding() -> None:
    protocol = met(TWO_TEXTS)
    examples = encode(TWO_TEXTS, marked_pairs(4, 0))
    batch = protocol.collate(examples, [2, 0], TOKENIZER, CPU)
    assert batch["span_mask"].shape == (2, 2, batch["input_ids"].shape[1])
    for ids, mask, row in zip(batch["input_ids"], batch["span_mask"], (2, 0), strict=True):
        assert [TOKENIZER.decode(ids[span]) for span in mask] == spelled(examples.inputs[row])
    assert batch["labels"].tolist() == [0.0, 0.0]


def test_hidden_rows_have_no_labels_and_no_references() -> None:
    protocol = met(ONE_TEXT)
    examples = protocol.encode(part(ONE_TEXT, {**GOOD, "y": [-1]}, "hidden"), TOKENIZER, 64)
    assert list(examples.references) == []
    on = attached(ONE_TEXT, "bert")
    found = on.evaluator.predict(on.backbone.model, on.protocol, examples)
    assert list(found.values or ()) in ([0.0], [1.0])


def test_a_model_of_spans_cannot_be_exported() -> None:
    with pytest.raises(NotApplicable, match="toy/rows marks spans, and transformers has no class"):
        met(ONE_TEXT).check_export()


def test_heads_of_other_numbers_of_spans_or_labels_are_told_apart() -> None:
    three = ONE_TEXT | {"labels": ("a", "b", "c")}
    texts = {"columns": {"text": "s", "label": "y"}, "labels": ("a", "b")}
    assert len({met(facts).head_key() for facts in (ONE_TEXT, TWO_TEXTS, three, texts)}) == 4


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize(
    ("facts", "rows"), [(ONE_TEXT, marked), (TWO_TEXTS, marked_pairs)], ids=["one text", "two texts"]
)
def test_what_a_mark_says_is_learned(facts: dict[str, Any], rows: Any, architecture: str) -> None:
    epochs = learned(facts, rows(240, 0), rows(100, 7), architecture, epochs=4)
    losses = [epoch.train_loss or 0.0 for epoch in epochs]
    assert losses[-1] < losses[0] / 2
    assert headline(epochs)[-1] > 0.85, "half of the rows are right by chance"


def test_without_its_marks_the_same_task_cannot_be_learned() -> None:
    facts = ONE_TEXT | {"columns": {"text": "s", "label": "y"}}
    found = headline(learned(facts, marked(240, 0), marked(100, 7), "bert", epochs=4))
    assert found.max() < 0.7


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2", "opt"])
def test_checkpointed_gradients_are_those_of_a_plain_step(architecture: str) -> None:
    gradients = []
    for checkpointed in (False, True):
        on = attached(TWO_TEXTS, architecture)
        model: Any = on.backbone.model.train()
        if checkpointed:
            model.activation_checkpointing_enable({"use_reentrant": False})
        torch.manual_seed(0)  # dropout is drawn again for what is computed again
        examples = encoded(on, TWO_TEXTS, marked_pairs(4, 0))
        loss = on.protocol.loss(model, on.protocol.collate(examples, range(4), on.backbone.tokenizer, CPU))
        loss.backward()  # type: ignore[no-untyped-call]
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)
