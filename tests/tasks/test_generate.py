"""Generate trains on the text alone, writes as transformers' own beam search does, and leaves nothing in the model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.backbone import Backbone, locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, NotApplicable
from harness.protocol import Examples, Predictions, meet
from harness.spec import Training
from harness.splits import Part
from harness.task import Split, Task, TaskCard
from runners.score import Evaluator
from tasks.protocols.generate import Generate

CPU = torch.device("cpu")
PAD, BEGIN, END = 0, 1, 2
FACTS: dict[str, Any] = {
    "name": "toy/records",
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "source": {},
    "sizes": {"train": 3, "evaluation": 3},
    "columns": {"source": "record", "target": "text"},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
    "protocols": ("generate",),
}
SMALL: dict[str, Any] = {"max_new_tokens": 8, "num_beams": 2, "no_repeat_ngram_size": 0}
ROWS: dict[str, list[Any]] = {"record": ["ab", "abcd", "ab", "c"], "text": ["xy", "z", " xyz ", "w"]}


class Rows(Task):
    """A task with the rows it is given."""

    def __init__(self, rows: dict[str, list[Any]], **facts: Any) -> None:
        super().__init__(TaskCard.model_validate(FACTS | facts))
        self.rows = rows

    def table(self, split: Split) -> pa.Table:
        return pa.table(self.rows)


def part(rows: dict[str, list[Any]], indices: list[int] | None = None, **facts: Any) -> Part:
    chosen = None if indices is None else np.array(indices, dtype=np.int64)
    return Part(Rows(rows, **facts), "train", DataSource(), chosen)


def met(**options: Any) -> Generate:
    found = meet("generate", TaskCard.model_validate(FACTS), {**SMALL, **options})
    assert isinstance(found, Generate)
    return found


@pytest.fixture(scope="module", params=["tiny:gpt2", "tiny:llama", "tiny:opt"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    loaded = met().load(locate(request.param))
    loaded.place("cpu", torch.float32)
    generator = torch.Generator().manual_seed(1)
    for parameter in loaded.model.parameters():  # as made, a tiny model writes one token for ever
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    loaded.model.eval()
    return loaded


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return met().load(locate("tiny:gpt2")).tokenizer


def evaluator(tokenizer: Any) -> Evaluator:
    return Evaluator(tokenizer, CPU, torch.float32)


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def log_softmax(logits: torch.Tensor) -> np.ndarray:
    """The textbook's, in float64."""
    values = logits.detach().double().numpy()
    return (
        values
        - values.max(-1, keepdims=True)
        - np.log(np.exp(values - values.max(-1, keepdims=True)).sum(-1, keepdims=True))
    )


def test_an_input_is_source_separator_target_and_end(tokenizer: Any) -> None:
    examples = met().encode(part(ROWS, [0, 1]), tokenizer, 64)
    assert [list(pair.ids) for pair in examples.inputs] == [
        [*ids(tokenizer, "ab"), BEGIN, *ids(tokenizer, "xy"), END],
        [*ids(tokenizer, "abcd"), BEGIN, *ids(tokenizer, "z"), END],
    ]
    assert [pair.start for pair in examples.inputs] == [3, 5]
    assert examples.lengths.tolist() == [6, 7]
    assert (len(examples), examples.truncated, examples.notes) == (2, 0, ())


def test_a_batch_marks_the_places_before_the_tokens_of_the_text_and_no_others(tokenizer: Any) -> None:
    examples = met().encode(part(ROWS, [0, 1]), tokenizer, 64)
    batch = met().collate(examples, [0, 1], tokenizer, CPU)
    a, b, c, d = ids(tokenizer, "abcd")
    x, y, z = ids(tokenizer, "xyz")
    assert batch["input_ids"].tolist() == [[a, b, BEGIN, x, y, END, PAD], [a, b, c, d, BEGIN, z, END]]
    assert batch["attention_mask"].tolist() == [[1] * 6 + [0], [1] * 7]
    assert batch["predicts"].int().tolist() == [[0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0]]
    assert batch["labels"].tolist() == [x, y, END, z, END]
    assert met().weight(examples, [0, 1]) == 5


def test_records_with_several_texts_are_inputs_for_each_and_one_item() -> None:
    lists = {"record": ["ab", "c"], "text": [["xy", "z", " "], ["w"]]}
    tokenizer = met().load(locate("tiny:llama")).tokenizer
    examples = met().encode(part(lists), tokenizer, 64)
    assert len(examples) == 3
    assert examples.item_ids == ("train:0", "train:1")
    assert list(examples.references) == [["xy", "z"], ["w"]]
    assert [list(prompt) for prompt in examples.extra["prompts"]] == [
        [*ids(tokenizer, "ab"), BEGIN],
        [*ids(tokenizer, "c"), BEGIN],
    ]
    clustered = met().encode(part(ROWS, cluster="record"), tokenizer, 64)
    assert len(clustered) == 4
    assert clustered.item_ids == ("train:0", "train:1", "train:3")
    assert list(clustered.references) == [["xy", " xyz "], ["z"], ["w"]]
    assert met().perfect(clustered) == ["xy", "z", "w"]
    assert clustered.cluster_ids == clustered.item_ids, "a cluster's own name would be the data set's text"
    few = met(max_references=1).encode(part(ROWS, cluster="record"), tokenizer, 64)
    assert (len(few), list(few.references)) == (4, [["xy"], ["z"], ["w"]])
    alone = met().encode(part(ROWS), tokenizer, 64)
    assert len(alone.item_ids) == 4


def test_rows_without_a_text_are_left_out_and_told(tokenizer: Any) -> None:
    rows = {"record": ["a", "b", "c"], "text": [["x"], [], [" "]]}
    examples = met().encode(part(rows), tokenizer, 64)
    assert (len(examples), examples.item_ids) == (1, ("train:0",))
    assert examples.notes == ("2 of 3 rows of toy/records (train) have no text and were left out",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"record": ["x"], "txt": ["y"]}, r"toy/records \(train\) has no column text; it has record, txt"),
        ({"record": [], "text": []}, r"toy/records \(train\) has no rows; raise sizes"),
        ({"record": ["x"], "text": [3]}, "rows whose column text is no str or list, such as row 0 "),
        ({"record": ["x"], "text": [[3]]}, "lists in column text that do not hold texts, but int"),
        ({"record": ["x"], "text": [[]]}, "has no row with a text"),
        ({"record": [None], "text": ["x"]}, "rows whose column record is no str, such as row 0 "),
    ],
)
def test_rows_that_cannot_be_used_are_refused_by_name(tokenizer: Any, rows: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        met().encode(part(rows), tokenizer, 64)


def test_a_source_is_cut_at_its_beginning_and_a_target_at_its_end_and_both_are_counted(tokenizer: Any) -> None:
    rows = {"record": ["abcdefgh", "ab", "ab", "ab"], "text": ["x", "y" * 12, "y" * 8, "y" * 9]}
    examples = met().encode(part(rows), tokenizer, 12)  # 12 - 8 - 1 leaves 3 for a source
    texts = [tokenizer.decode(pair.ids) for pair in examples.inputs]
    assert texts == ["fgh<s>x</s>", "ab<s>" + "y" * 9, "ab<s>" + "y" * 8 + "</s>", "ab<s>" + "y" * 9]
    assert examples.truncated == 3
    assert [len(prompt) for prompt in examples.extra["prompts"]] == [4, 3, 3, 3]
    with pytest.raises(MissingPrerequisite, match="9 tokens .* leave no room for a source beside 8 written ones"):
        met().encode(part(rows), tokenizer, 9)


@given(
    sources=st.lists(st.text("abc", max_size=30), min_size=1, max_size=5),
    target=st.text("xyz", min_size=1, max_size=30),
    length=st.integers(10, 40),
)
def test_no_sequence_is_longer_than_allowed_and_writing_fits_too(sources: list[str], target: str, length: int) -> None:
    tokenizer = met().load(locate("tiny:gpt2")).tokenizer
    examples = met().encode(part({"record": sources, "text": [target] * len(sources)}), tokenizer, length)
    assert examples.lengths.max() <= length
    assert max(map(len, examples.extra["prompts"])) + SMALL["max_new_tokens"] <= length
    assert all(pair.start < len(pair.ids) for pair in examples.inputs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_loss_is_the_dense_formula_of_label_smoothing(backbone: Backbone, smoothing: float) -> None:
    protocol = met(label_smoothing=smoothing)
    examples = protocol.encode(part(ROWS), backbone.tokenizer, 64)
    found = protocol.loss(backbone.model, protocol.collate(examples, [0, 1, 2, 3], backbone.tokenizer, CPU))
    losses = []
    for pair in examples.inputs:  # one by one, with no padding and the logits of all places
        logs = log_softmax(backbone.model(input_ids=torch.tensor([pair.ids])).logits[0])
        for place in range(pair.start, len(pair.ids)):
            row = logs[place - 1]
            losses.append(-(1 - smoothing) * row[pair.ids[place]] - smoothing * row.mean())
    assert len(losses) == 3 + 2 + 4 + 2
    assert float(found.detach()) == pytest.approx(np.mean(losses), rel=2e-6)


def test_the_loss_of_validation_rows_has_no_smoothing_and_weighs_every_token_once(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = met(label_smoothing=0.4, validation="loss")
    examples = protocol.encode(part(ROWS), backbone.tokenizer, 64)
    losses = []
    for pair in examples.inputs:
        logs = log_softmax(backbone.model(input_ids=torch.tensor([pair.ids])).logits[0])
        losses += [-logs[place - 1, pair.ids[place]] for place in range(pair.start, len(pair.ids))]
    for tokens in (8, 2048):
        monkeypatch.setattr("tasks.protocols.generate.LOSS_TOKENS", tokens)
        found = evaluator(backbone.tokenizer).predict(backbone.model, protocol, examples, validating=True)
        assert found.values is None
        assert found.loss == pytest.approx(np.mean(losses), rel=2e-6)
    both = evaluator(backbone.tokenizer).predict(backbone.model, met(), examples, validating=True)
    assert (both.loss, both.values) == (found.loss, predicted(met(), backbone, examples).values)


def test_parts_of_a_batch_have_the_gradient_of_the_whole(backbone: Backbone) -> None:
    protocol = met()
    examples = protocol.encode(part(ROWS), backbone.tokenizer, 64)
    weight = next(backbone.model.parameters())

    def gradient(parts: Sequence[Sequence[int]]) -> torch.Tensor:
        backbone.model.requires_grad_(True).zero_grad()
        for rows in parts:
            loss = protocol.loss(backbone.model, protocol.collate(examples, rows, backbone.tokenizer, CPU))
            (loss * protocol.weight(examples, rows) / protocol.weight(examples, [0, 1, 2, 3])).backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        return weight.grad.clone()

    torch.testing.assert_close(gradient([[0, 1], [2, 3]]), gradient([[0, 1, 2, 3]]), rtol=1e-4, atol=1e-6)
    backbone.model.requires_grad_(False).zero_grad()


def predicted(protocol: Generate, backbone: Backbone, examples: Examples) -> Predictions:
    return evaluator(backbone.tokenizer).predict(backbone.model, protocol, examples)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("penalty", [0.8, 2.0])
def test_texts_are_those_of_transformers_beam_search(backbone: Backbone, beams: int, penalty: float) -> None:
    protocol = met(num_beams=beams, length_penalty=penalty, max_new_tokens=12)
    examples = protocol.encode(part(ROWS), backbone.tokenizer, 64)
    own = {"length_penalty": penalty} if beams > 1 else {}
    texts = []
    for record in ROWS["record"]:  # one by one, with no padding
        prompt = torch.tensor([[*ids(backbone.tokenizer, record), BEGIN]])
        whole = backbone.model.generate(  # type: ignore[operator]
            prompt,
            attention_mask=torch.ones_like(prompt),
            num_beams=beams,
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=PAD,
            eos_token_id=END,
            **own,
        )
        texts.append(backbone.tokenizer.decode(whole[0, prompt.shape[1] :], skip_special_tokens=True).strip())
    assert len(set(texts)) > 1
    assert predicted(protocol, backbone, examples).values == texts


def test_an_option_value_that_makes_no_sense_is_refused_by_name() -> None:
    for options, message in (
        ({"num_beams": 0}, "num_beams"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"beams": 2}, "unknown key 'beams'"),
    ):
        with pytest.raises(MissingPrerequisite, match=f"options of generate for toy/records: .*{message}"):
            met(**options)


def test_texts_without_an_end_are_told(backbone: Backbone) -> None:
    protocol = met(max_new_tokens=2)
    found = predicted(protocol, backbone, protocol.encode(part(ROWS), backbone.tokenizer, 64))
    (note,) = found.notes
    assert note.endswith("of 4 texts of toy/records had no end at 2 tokens")


def test_a_prediction_changes_neither_model_nor_its_settings_nor_random_numbers(backbone: Backbone) -> None:
    model: Any = backbone.model
    model.generation_config.temperature = 0.5
    model.train()
    modes = {name: module.training for name, module in model.named_modules()}
    settings = (copy.deepcopy(model.generation_config.to_dict()), copy.deepcopy(model.config.to_dict()))
    state, flags = torch.get_rng_state(), [parameter.requires_grad for parameter in model.parameters()]
    backbone_bits = {name: parameter.clone() for name, parameter in model.state_dict().items()}
    protocol = met()
    examples = protocol.encode(part(ROWS), backbone.tokenizer, 64)
    first = predicted(protocol, backbone, examples)
    assert (model.generation_config.to_dict(), model.config.to_dict()) == settings
    assert torch.equal(torch.get_rng_state(), state)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(tensor, backbone_bits[name]) for name, tensor in model.state_dict().items())
    model.generation_config.temperature = 1.0
    model.generation_config.repetition_penalty = 9.0  # a checkpoint's own value decides nothing
    assert predicted(protocol, backbone, examples) == first
    model.generation_config.repetition_penalty = 1.0
    model.eval()


def test_texts_do_not_depend_on_what_else_is_in_the_batch(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = met(num_beams=2)
    rows = {"record": ["a" * size + "b" for size in range(12)], "text": ["x"] * 12}
    examples = protocol.encode(part(rows), backbone.tokenizer, 64)
    whole = predicted(protocol, backbone, examples)
    monkeypatch.setattr("tasks.protocols.generate.SEQUENCES", 1)
    alone = predicted(protocol, backbone, examples)
    assert (whole.values, whole.notes) == (alone.values, alone.notes)


def test_the_whole_model_is_backbone_and_nothing_is_head(backbone: Backbone) -> None:
    assert backbone.head == frozenset()
    names = set(dict(backbone.model.named_parameters()))
    assert names == set(backbone.pristine)
    meta, head = met().build(backbone.files, meta=True)
    assert (head, set(dict(meta.named_parameters()))) == (frozenset(), names)


def test_a_backbone_that_does_not_write_is_refused() -> None:
    with pytest.raises(NotApplicable, match="toy/records is met by generate, which needs a backbone that writes text"):
        met().build(locate("tiny:bert"))


def test_a_validation_by_loss_goes_with_a_choice_by_loss_only() -> None:
    lengths = {"max_length": 64}
    met(validation="loss").check(Training(select="loss", **lengths))
    met(validation="metric").check(Training(select="loss", **lengths))
    met(validation="metric").check(Training(select="metric", **lengths))
    with pytest.raises(MissingPrerequisite, match="validation: loss computes no metric .* set training.select to loss"):
        met(validation="loss").check(Training(select="metric", **lengths))
    with pytest.raises(MissingPrerequisite, match="9 tokens .* lower the option max_new_tokens of generate"):
        met().check(Training(max_length=9))


def test_of_an_item_with_many_texts_that_lose_something_one_is_counted(tokenizer: Any) -> None:
    rows = {"record": ["abcdefgh", "ab", "ab"], "text": [["x", "y", "z"], ["y" * 12, "y" * 11, "y"], ["x"]]}
    examples = met().encode(part(rows), tokenizer, 12)
    assert (len(examples), len(examples.item_ids), examples.truncated) == (7, 3, 2)
