"""Tuners of peft and texts of different lengths: each is read and gone on with as if it were alone, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.modeling_outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput

from harness import registry
from harness.backbone import Backbone, locate
from harness.decoding import Search, continuations
from harness.errors import NotApplicable
from harness.protocol import meet
from methods.parts.peft_reading import at_tokens, looking, minds_padding
from runners.specimen import Specimen, start

NAMES = sorted(name for name, entry in registry.methods().items() if entry.module == "methods.peft")
GREEDY = Search(num_beams=1, length_penalty=1.0, no_repeat_ngram_size=0, max_new_tokens=8, end=1, pad=0)
EVEN, UNEVEN = [[5, 6, 7, 8], [9, 10, 11, 12]], [[5, 6, 7, 8], [9, 10, 11]]


def backbone(reference: str, task: str, protocol: str, dtype: torch.dtype = torch.float32) -> Backbone:
    loaded = meet(protocol, registry.load_task(task, protocol).card).load(locate(reference))
    loaded.place("cpu", dtype)
    return loaded


def moved(name: str, loaded: Backbone) -> Specimen:
    """Start a tuner and move what it trains far from where many begin, which is no change at all."""
    started = start(name, loaded, length=8)
    generator = torch.Generator().manual_seed(0)
    for parameter in started.method.updated().values():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator)
    started.model.eval()
    return started


@torch.no_grad()
def written(model: Any, prompt: list[int]) -> list[int]:
    """Return what a model writes where it reads the whole text anew for each token."""
    ids = list(prompt)
    for _ in range(GREEDY.max_new_tokens):
        read = torch.tensor([ids])
        ids.append(int(model(input_ids=read, attention_mask=torch.ones_like(read)).logits[0, -1].argmax()))
        if ids[-1] == GREEDY.end:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("reference", ["tiny:gpt2", "tiny:llama"])
def test_a_tuned_model_writes_what_it_would_of_the_whole_text_or_refuses_uneven_ones(reference: str) -> None:
    compared, refused = set(), set()
    for name in NAMES:
        loaded = backbone(reference, "embedded/record", "generate")
        try:
            model = moved(name, loaded).model
        except NotApplicable:
            continue
        for prompts in (EVEN, UNEVEN):
            try:
                found = continuations(model, prompts, GREEDY, torch.device("cpu"))
            except NotApplicable as error:
                refused.add((name, prompts is UNEVEN, "texts of different lengths would depend on" in str(error)))
                continue
            assert found == [written(model, prompt) for prompt in prompts], name
            compared.add(name)
    assert len(compared) >= 25
    assert "peft/prefix_tuning" in compared, "its places are numbered after the prefix, whatever is padded"
    assert {("peft/p_tuning", True, True), ("peft/prompt_tuning", True, True)} <= refused
    assert {name for name, *reason in refused if reason != [True, True]} == set()


def test_soft_prompts_leave_no_place_of_their_own_in_what_is_said_of_tokens() -> None:
    started = moved("peft/prompt_tuning", backbone("tiny:bert", "embedded/span", "span"))
    read = torch.tensor([[5, 6, 7, 0], [8, 9, 10, 11]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    with torch.no_grad():
        together = started.model(input_ids=read, attention_mask=mask)
        alone = started.model(input_ids=read[:1, :3], attention_mask=mask[:1, :3])
    assert together.start_logits.shape == together.end_logits.shape == read.shape
    torch.testing.assert_close(together.start_logits[0, :3], alone.start_logits[0])


@pytest.mark.parametrize("name", ["peft/prompt_tuning", "peft/p_tuning", "peft/cpt", "peft/prefix_tuning", "peft/lora"])
@torch.no_grad()
def test_logits_of_some_places_are_those_places_of_all_logits(name: str) -> None:
    model = moved(name, backbone("tiny:llama", "embedded/choice", "prompt")).model
    read, mask = torch.tensor(EVEN), torch.tensor([[True, False, True, False], [False, True, True, True]])
    every = model(input_ids=read).logits
    assert every.shape[:2] == read.shape
    for wanted, expected in ((1, every[:, -1:]), (torch.tensor([0, 2]), every[:, [0, 2]]), (mask, every[mask])):
        torch.testing.assert_close(model(input_ids=read, logits_to_keep=wanted).logits, expected)


def test_only_outputs_with_a_place_for_each_token_are_cut() -> None:
    spans = QuestionAnsweringModelOutput(start_logits=torch.arange(6.0)[None], end_logits=torch.arange(6.0)[None])
    cut = at_tokens(spans, 4)
    assert cut.start_logits.tolist() == cut.end_logits.tolist() == [[2, 3, 4, 5]]
    classes = SequenceClassifierOutput(logits=torch.zeros(1, 6))
    assert at_tokens(classes, 4).logits.shape == (1, 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("name", "reference"),
    [("peft/p_tuning", "tiny:gpt2"), ("peft/prompt_tuning", "tiny:llama"), ("peft/lily", "tiny:bert")],
)
def test_a_tuner_that_reads_the_padding_is_refused_and_leaves_no_trace(
    name: str, reference: str, dtype: torch.dtype
) -> None:
    loaded = backbone(reference, "embedded/polarity", "classify", dtype)
    with pytest.raises(NotApplicable, match=f"{name}: what this model says of a text would depend on the padding"):
        start(name, loaded, length=8)
    assert loaded.changed() == []
    start("peft/lora", loaded, length=8)


@pytest.mark.parametrize("reference", ["tiny:bert", "tiny:llama"])
def test_what_applies_to_a_backbone_applies_to_its_bf16_weights(reference: str) -> None:
    def refusals(dtype: torch.dtype) -> dict[str, str]:
        found = {}
        for name in NAMES:
            try:
                start(name, backbone(reference, "embedded/polarity", "classify", dtype), length=8)
            except NotApplicable as error:
                found[name] = str(error)
        return found

    whole, halved = refusals(torch.float32), refusals(torch.bfloat16)
    assert halved.keys() == whole.keys(), [halved.get(name) for name in halved.keys() ^ whole.keys()]
    assert len(whole) < len(NAMES) / 2


@pytest.mark.parametrize("name", ["peft/prompt_tuning", "peft/shadow"])
def test_looking_at_a_tuner_moves_nothing(name: str) -> None:
    started = moved(name, backbone("tiny:llama", "embedded/record", "generate"))
    started.model.train()
    before, drawn = started.method.state(), torch.get_rng_state()
    with looking(started.model, started.model, torch.float32):
        assert not started.model.training
        assert not minds_padding(started.model, started.method.own_parameters().values(), torch.float32)
    assert all(module.training for module in started.model.modules())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(tensor, before[name]) for name, tensor in started.method.state().items())
