"""The head over span vectors: its arithmetic by hand, on every architecture, with the names that a loader tells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from harness.backbone import locate
from tests.tasks.rows import ARCHITECTURES, CPU, TWO_TEXTS, attached, encoded, marked_pairs, met

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


@every_architecture
def test_logits_are_a_linear_map_of_the_text_and_the_means_of_its_spans(architecture: str) -> None:
    on = attached(TWO_TEXTS, architecture)
    model: Any = on.backbone.model.eval()
    examples = encoded(on, TWO_TEXTS, marked_pairs(3, 0))
    batch = on.protocol.collate(examples, [0, 1, 2], on.backbone.tokenizer, CPU)
    batch.pop("labels")
    tokens = {key: value for key, value in batch.items() if key != "span_mask"}
    with torch.no_grad():
        logits = model(**batch).logits
        base = model.base_model(**tokens)
        for row in range(3):
            hidden = base.last_hidden_state[row]
            length = int(batch["attention_mask"][row].sum())
            if architecture in ("opt", "gpt2", "llama"):
                whole = hidden[length - 1]
            else:
                pooled = getattr(base, "pooler_output", None)
                whole = hidden[0] if pooled is None else pooled[row]
            spans = [hidden[first:end].mean(dim=0) for first, end in examples.inputs[row]["spans"]]
            expected = model.classifier.weight @ torch.cat([whole, *spans]) + model.classifier.bias
            torch.testing.assert_close(logits[row], expected, rtol=1e-4, atol=1e-5)


@every_architecture
def test_the_head_is_all_that_lies_outside_the_backbone_and_nothing_else(architecture: str) -> None:
    files, protocol = locate(f"tiny:{architecture}"), met(TWO_TEXTS)
    shapes, head = protocol.build(files, meta=True)
    model, loaded = protocol.build(files)
    assert head == loaded == {"classifier.weight", "classifier.bias"}
    assert model.get_parameter("classifier.weight").shape == (2, 3 * 32)
    assert {n: p.shape for n, p in shapes.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    plain, its_head = met({"columns": {"text": "s", "label": "y"}, "labels": ("a", "b")}).build(files, meta=True)
    backbone = {name for name, _ in plain.named_parameters() if name not in its_head}
    assert {name for name, _ in model.named_parameters() if name not in head} == backbone, (
        "N is the same for both heads"
    )


@every_architecture
def test_weights_of_a_folder_are_loaded_and_only_the_head_is_new(architecture: str, tmp_path: Any) -> None:
    from transformers import AutoModel

    from harness import tiny

    config = tiny.parse(architecture).config()
    made = AutoModel.from_config(config)
    made.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    loaded = met(TWO_TEXTS).load(locate(f"path:{tmp_path}"))
    assert loaded.head == {"classifier.weight", "classifier.bias"}
    saved = load_file(tmp_path / "model.safetensors")
    prefix = f"{loaded.model.base_model_prefix}."
    same = [
        torch.equal(parameter, saved[name.removeprefix(prefix)])
        for name, parameter in loaded.model.named_parameters()
        if name.startswith(prefix)
    ]
    assert all(same)
    assert len(same) > 10


@every_architecture
def test_a_row_says_the_same_whatever_it_is_padded_to(architecture: str) -> None:
    on = attached(TWO_TEXTS, architecture)
    rows = marked_pairs(2, 0)
    rows["t"][1] += " grey" * 4
    examples = encoded(on, TWO_TEXTS, rows)
    said = []
    for chosen in ([0], [0, 1]):
        batch = on.protocol.collate(examples, chosen, on.backbone.tokenizer, CPU)
        batch.pop("labels")
        with torch.no_grad():
            said.append(on.backbone.model.eval()(**batch).logits[0])
    torch.testing.assert_close(said[0], said[1], rtol=1e-4, atol=1e-5)


def test_what_is_put_before_the_inputs_is_in_no_span() -> None:
    on = attached(TWO_TEXTS, "gpt2")
    model: Any = on.backbone.model.eval()
    examples = encoded(on, TWO_TEXTS, marked_pairs(2, 0))
    batch = on.protocol.collate(examples, [0, 1], on.backbone.tokenizer, CPU)
    embedded = model.get_input_embeddings()(batch["input_ids"])
    prompt = torch.randn(2, 5, embedded.shape[2], generator=torch.Generator().manual_seed(0))
    mask = torch.cat([torch.ones(2, 5, dtype=torch.long), batch["attention_mask"]], dim=1)
    inputs = torch.cat([prompt, embedded], dim=1)
    with torch.no_grad():
        said = model(inputs_embeds=inputs, attention_mask=mask, span_mask=batch["span_mask"]).logits
        hidden = model.base_model(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
    for row in range(2):
        spans = [hidden[row, 5 + first : 5 + end].mean(dim=0) for first, end in examples.inputs[row]["spans"]]
        whole = hidden[row, int(mask[row].sum()) - 1]
        expected = model.classifier(torch.cat([whole, *spans]))
        torch.testing.assert_close(said[row], expected, rtol=1e-4, atol=1e-5)


def test_dropout_is_that_of_the_architectures_own_head() -> None:
    for architecture, share in (("bert", 0.1), ("roberta", 0.1), ("llama", 0.0)):
        model, _ = met(TWO_TEXTS).build(locate(f"tiny:{architecture}"), meta=True)
        (dropout,) = [one for name, one in model.named_modules() if name == "dropout"]
        assert isinstance(dropout, nn.Dropout)
        assert dropout.p == share


def test_a_model_that_is_told_of_no_spans_takes_the_whole_text() -> None:
    on = attached(TWO_TEXTS, "bert")
    model: Any = on.backbone.model.eval()
    ids = torch.tensor([[1, 20, 30, 2], [1, 25, 35, 2]])
    with torch.no_grad():
        marked = model(input_ids=ids, attention_mask=torch.ones_like(ids), span_mask=torch.ones(2, 2, 4).bool()).logits
        torch.testing.assert_close(model(input_ids=ids).logits, marked)
