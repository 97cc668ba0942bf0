"""BitFit trains the biases, all of them, and nothing else; with ``vectors``, new shifts of linear layers instead."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import OPTConfig, OPTModel
from transformers.pytorch_utils import Conv1D

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import resolve
from methods.bitfit import Bitfit, BitfitConfig
from tests.methods.attaching import attach, backbone, planned

TEXT = ("bert", "roberta", "deberta-v2", "opt", "gpt2", "llama")


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        # per block: query, key, value, output (E each), MLP (F + E), two norms (2 E); the embeddings' norm; the pooler
        ("bert", 2 * (4 * 32 + 64 + 32 + 2 * 32) + 32 + 32),
        # per block: fused attention (3 E), output (E), MLP (4 E + E), two norms (2 E); the last norm
        ("gpt2", 2 * (3 * 32 + 32 + 4 * 32 + 32 + 2 * 32) + 32),
        # per block as in BERT; the last norm
        ("opt", 2 * (4 * 32 + 64 + 32 + 2 * 32) + 32),
    ],
)
def test_the_count_is_the_architectures_by_hand(architecture: str, expected: int) -> None:
    started = attach("bitfit", backbone(architecture))
    assert started.method.count(started.model, started.plan) == expected
    assert sum(parameter.numel() for parameter in started.method.trained().values()) == expected
    assert all(name.endswith("bias") and p.dim() == 1 for name, p in started.method.trained().items())


def test_the_heads_bias_is_not_counted() -> None:
    started = attach("bitfit", backbone("bert"))
    assert "classifier.bias" not in started.method.trained()
    assert "classifier.bias" in started.method.updated()


def test_a_backbone_without_biases_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="LlamaForSequenceClassification has no biases"):
        attach("bitfit", backbone("llama"))


def test_the_defaults_are_the_papers_every_bias_and_no_vector() -> None:
    loaded = backbone("bert")
    expected = {
        name
        for name, _ in loaded.model.named_parameters()
        if name.rpartition(".")[2] == "bias" and name not in loaded.head
    }
    started = attach("bitfit", loaded)
    assert BitfitConfig() == BitfitConfig(vectors=False, norms=True)
    assert set(started.method.trained()) == expected
    assert started.method.own_parameters() == {}
    assert all("forward" not in vars(module) for module in started.model.modules())
    before = started.tensors()
    started.train(2)
    moved = {name for name, tensor in started.tensors().items() if not torch.equal(tensor, before[name])}
    assert moved - loaded.head <= expected
    assert len(moved & expected) > len(expected) // 2


def test_without_norms_their_shifts_stay_frozen() -> None:
    every, rest = (attach("bitfit", backbone("bert"), norms=norms).method.trained() for norms in (True, False))
    assert set(every) - set(rest) == {name for name in every if "LayerNorm" in name}
    assert set(rest) < set(every)
    with pytest.raises(NotApplicable, match="has no biases outside its head, those of its norms apart"):
        attach("bitfit", backbone("resnet"), norms=False)


@pytest.mark.parametrize(("norms", "expected"), [(False, 442_368), (True, 542_720)])
def test_vectors_of_opt_are_as_many_as_the_random_masking_paper_has(norms: bool, expected: int) -> None:
    width, layers = 2048, 24
    with torch.device("meta"):
        model = OPTModel(
            OPTConfig(
                hidden_size=width,
                word_embed_proj_dim=width,
                ffn_dim=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=32,
            )
        )
    plan = Plan(resolve(model, "all", frozenset()), frozenset(), sum(p.numel() for p in model.parameters()))
    assert plan.total == 1_315_758_080
    assert Bitfit(BitfitConfig(vectors=True, norms=norms)).count(model, plan) == expected
    # k, q, v, out, fc2 (E each) and fc1 (4 E) per block; two norms per block and the last one
    assert expected == 9 * width * layers + norms * (2 * width * layers + width)


@pytest.mark.parametrize("architecture", TEXT)
@pytest.mark.parametrize("norms", [False, True])
def test_vectors_are_counted_as_they_are_trained_and_the_biases_are_frozen(architecture: str, norms: bool) -> None:
    loaded = backbone(architecture)
    started = attach("bitfit", loaded, vectors=True, norms=norms)
    trained, linears = started.method.trained(), resolve(loaded.model, "linear", loaded.head).modules
    assert started.method.count(started.model, started.plan) == sum(p.numel() for p in trained.values())
    assert {name.removesuffix(".vector") for name in started.method.own_parameters()} == set(linears)
    shifts = {
        f"{name}.bias"
        for name, module in loaded.model.named_modules()
        if isinstance(module, nn.LayerNorm) and module.bias is not None
    }
    assert set(trained) - set(started.method.own_parameters()) == (shifts if norms else set())
    assert bool(shifts) == (architecture != "llama")
    before = started.tensors()
    started.train(2)
    assert all(p.dtype is torch.float32 and p.any() for p in started.method.own_parameters().values())
    after = started.tensors()
    free = set(trained) | loaded.head
    assert all(torch.equal(after[name], before[name]) for name in before.keys() - free)


def test_a_vector_adds_to_the_layers_output_in_both_layouts_of_a_weight_and_without_a_bias() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4, bias=False), Conv1D(2, 4))  # Conv1D(outputs, inputs)
    model = nn.Sequential(nn.ModuleDict({"stack": nn.ModuleList([block])}))
    plan = Plan(resolve(model, "all", frozenset()), frozenset(), 40)
    method = Bitfit(BitfitConfig(vectors=True))
    method.start(model, plan, Streams(0))
    vectors = [vector.detach() for vector in method.own_parameters().values()]
    assert [len(vector) for vector in vectors] == [4, 4, 2]
    inputs = torch.randn(5, 3)
    first, second, third = (block[index] for index in range(3))

    def dense(shifts: list[torch.Tensor]) -> torch.Tensor:
        hidden = inputs.double() @ first.weight.double().T + first.bias.double() + shifts[0]
        hidden = hidden @ second.weight.double().T + shifts[1]
        return hidden @ third.weight.double() + third.bias.double() + shifts[2]

    torch.testing.assert_close(block(inputs).double(), dense([torch.zeros(1)] * 3))
    for vector in vectors:
        vector.normal_()
    torch.testing.assert_close(block(inputs).double(), dense([vector.double() for vector in vectors]))
    block(inputs).square().sum().backward()
    gradients = torch.autograd.grad(
        dense(wanted := [vector.double().requires_grad_() for vector in vectors]).square().sum(), wanted
    )
    for parameter, gradient in zip(method.own_parameters().values(), gradients, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.double(), gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "opt", "vit"])
def test_merging_adds_the_vectors_to_the_biases(architecture: str) -> None:
    started = attach("bitfit", backbone(architecture), vectors=True)
    before = started.tensors()
    started.train(3, lr=3e-2)
    trained = {name: p.detach().clone() for name, p in started.method.own_parameters().items()}
    expected = started.outputs()
    assert started.method.extra_at_inference() == 0
    started.method.merge(started.model)
    assert all("forward" not in vars(module) for module in started.model.modules())
    torch.testing.assert_close(started.outputs(), expected, rtol=0, atol=1e-5)
    for name, vector in trained.items():
        bias = f"{name.removesuffix('.vector')}.bias"
        torch.testing.assert_close(started.tensors()[bias], before[bias] + vector)
    started.detach()
    after = started.tensors()
    assert all(torch.equal(after[name], before[name]) for name in before.keys() - started.plan.head)


def test_where_a_layer_has_no_bias_its_vector_stays_beside_the_model() -> None:
    started = attach("bitfit", backbone("llama"), vectors=True)
    started.train(2)
    expected = started.outputs()
    assert started.method.extra_at_inference() == started.method.count(started.model, started.plan)
    with pytest.raises(NotApplicable, match=r"14 of 14 linear layers of LlamaFor\w+ have no bias"):
        started.method.merge(started.model)
    assert torch.equal(started.outputs(), expected)  # refused before anything was changed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", [*TEXT, "vit"])
def test_vectors_start_at_identity_and_come_off_bit_by_bit(architecture: str, dtype: torch.dtype) -> None:
    loaded = backbone(architecture, dtype)
    plain = attach("base", loaded)
    before, outputs = plain.tensors(), plain.outputs()
    plain.detach()
    started = attach("bitfit", loaded, vectors=True)
    assert torch.equal(started.outputs(), outputs)
    started.train(2)
    assert not torch.equal(started.outputs(), outputs)
    started.detach()
    after = started.tensors()
    rest = before.keys() - loaded.head
    assert all(torch.equal(after[name], before[name]) and after[name].dtype is before[name].dtype for name in rest)
    assert not any("forward" in vars(module) for module in loaded.model.modules())


def test_vectors_go_through_a_saved_state() -> None:
    started = attach("bitfit", backbone("bert"), vectors=True)
    started.train(3)
    again = attach("bitfit", backbone("bert"), seed=1, vectors=True)
    again.method.load_state(started.method.state())
    assert torch.equal(again.outputs(), started.outputs())


def test_vectors_need_linear_layers() -> None:
    loaded = backbone("resnet")
    with pytest.raises(NotApplicable, match="ResNetForImageClassification has no linear layers in its blocks"):
        Bitfit(BitfitConfig(vectors=True)).count(loaded.model, planned(loaded, "all"))
    with pytest.raises(NotApplicable, match="has no linear layers in its blocks"):
        attach("bitfit", loaded, vectors=True)
