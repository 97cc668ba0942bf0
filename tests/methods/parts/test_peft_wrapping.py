"""What peft puts into a model: where it goes, what of it is trained, and whether it can be merged."""

from __future__ import annotations

import pytest

from methods.parts.peft_wrapping import excess, inject, trained, unmergeable, way
from runners.specimen import load, plan
from tests.methods.attaching import backbone


@pytest.mark.parametrize("targets", ["linear", "query_value"])
def test_a_tuner_goes_to_the_targeted_layers(targets: str) -> None:
    loaded = backbone("gpt2" if targets == "linear" else "bert")
    planned = plan(loaded, targets)
    inject("lora", {"r": 2}, loaded.model, planned)
    assert [name for name, module in loaded.model.named_modules() if hasattr(module, "lora_A")] == list(
        planned.targets.modules
    )


def test_a_tuner_of_norms_goes_to_the_norms_and_one_of_tokens_to_the_embedding() -> None:
    loaded = backbone("bert")
    wrapped = inject("ln_tuning", {}, loaded.model, plan(loaded, "linear")).model
    assert {name.split(".ln_tuning_layers")[0].rpartition(".")[2] for name in trained(wrapped, frozenset())} == {
        "LayerNorm"
    }
    loaded = backbone("bert")
    wrapped = inject("trainable_tokens", {"token_indices": [3]}, loaded.model, plan(loaded, "linear")).model
    assert [tuple(parameter.shape) for parameter in trained(wrapped, frozenset()).values()] == [(1, 32)]


def test_targets_without_linear_layers_are_refused() -> None:
    loaded = backbone("bert")
    with pytest.raises(ValueError, match="targets 'none' names no linear layer"):
        inject("lora", {}, loaded.model, plan(loaded, "none"))


def test_the_head_stays_the_runs_own_and_is_not_counted() -> None:
    loaded = backbone("bert")
    classifier = loaded.model.get_submodule("classifier")
    wrapped = inject("prompt_tuning", {"num_virtual_tokens": 3}, loaded.model, plan(loaded, "linear")).model
    assert loaded.model.get_submodule("classifier") is classifier
    assert {tuple(parameter.shape) for parameter in trained(wrapped, loaded.head).values()} == {(3, 32)}


def test_facts_beside_an_adapter_are_not_trained_where_it_moves_to_another_device() -> None:
    counts = []
    for device in ("cpu", "meta"):
        loaded = backbone("bert")
        planned = plan(loaded, "linear")
        wrapped = inject("adalora", {}, loaded.model.to(device), planned).model
        counts.append(sum(parameter.numel() for parameter in trained(wrapped, loaded.head).values()))
    assert counts[0] == counts[1]


def test_what_peft_advises_against_is_handed_on() -> None:
    advice = []
    for rank in (2, 3):
        loaded = load("tiny:bert")
        advice.append(inject("hra", {"r": rank}, loaded.model, plan(loaded, "linear")).advice)
    assert advice[1] - advice[0], "an odd rank starts elsewhere"


def test_a_switch_shows_in_tensors_scales_or_arithmetic() -> None:
    ways = set()
    for values in ({}, {"use_dora": True}, {"use_rslora": True}, {"use_qalora": True}):
        loaded = backbone("bert")
        ways.add(way(inject("lora", values, loaded.model, plan(loaded, "linear")).model))
    assert len(ways) == 3, "the last is for quantised layers only"


@pytest.mark.parametrize(
    ("tuner", "architecture", "reason"),
    [
        ("lora", "bert", None),
        ("lora", "gpt2", None),
        ("lily", "bert", "not supported"),
        ("prefix_tuning", "bert", "inputs"),
        ("beft", "opt", None),
        ("beft", "llama", "Base layer has no bias"),  # which peft notices once it merges
    ],
)
def test_a_tuner_that_cannot_be_merged_says_why(tuner: str, architecture: str, reason: str | None) -> None:
    loaded = backbone(architecture)
    found = unmergeable(inject(tuner, {}, loaded.model, plan(loaded, "linear")).model)
    assert (found is None) == (reason is None)
    assert reason is None or reason in str(found)


@pytest.mark.parametrize(
    ("tuner", "size", "architecture"),
    [
        ("lora", "r", "bert"),
        ("lora", "r", "gpt2"),
        ("loha", "r", "bert"),
        ("delora", "r", "bert"),
        ("adalora", "init_r", "bert"),
        ("adalora", "init_r", "gpt2"),
    ],
)
def test_a_product_of_more_rank_than_its_layer_is_told_from_one_that_fits(
    tuner: str, size: str, architecture: str
) -> None:
    found = []
    for rank in (32, 33):
        loaded = backbone(architecture)
        found.append(excess(inject(tuner, {size: rank}, loaded.model, plan(loaded, "linear")).model))
    assert found == [None, (33, 32)]


@pytest.mark.parametrize("tuner", ["vera", "oft", "ia3", "hra", "prompt_tuning", "ln_tuning"])
def test_what_is_no_product_of_two_factors_has_no_rank_to_exceed(tuner: str) -> None:
    loaded = backbone("bert")  # VeRA's rank is 256, of a projection that is not trained
    assert excess(inject(tuner, {}, loaded.model, plan(loaded, "linear")).model) is None
