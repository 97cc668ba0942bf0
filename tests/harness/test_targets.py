"""A name of targets means the same part of a transformer on every architecture."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from harness.backbone import load_model, locate
from harness.errors import NotApplicable
from harness.targets import backbone_parameters, resolve, weight_shape
from tests.methods.attaching import backbone

LAYERS = {
    # architecture: (attention layers of a block, MLP layers, query and value)
    "bert": (4, 2, 2),
    "roberta": (4, 2, 2),
    "opt": (4, 2, 2),
    "llama": (4, 3, 2),
    "gpt2": (2, 2, None),
}


@pytest.mark.parametrize("architecture", LAYERS)
def test_linear_is_attention_and_mlp_and_nothing_else(architecture: str) -> None:
    loaded = backbone(architecture)
    found = {name: resolve(loaded.model, name, loaded.head) for name in ("linear", "attention", "mlp")}
    attention, mlp, _ = LAYERS[architecture]
    assert len(found["attention"].modules) == 2 * attention
    assert len(found["mlp"].modules) == 2 * mlp
    assert found["attention"].modules.keys() | found["mlp"].modules.keys() == found["linear"].modules.keys()
    assert not found["attention"].modules.keys() & found["mlp"].modules.keys()
    named = dict(loaded.model.named_parameters())
    for targets in found.values():
        assert list(targets.tensors) == [f"{name}.weight" for name in targets.modules]
        assert all(named[name] is parameter for name, parameter in targets.tensors.items())
        assert not any(word in name for name in targets.tensors for word in ("embed", "pooler", "classifier", "score"))


@pytest.mark.parametrize("architecture", LAYERS)
def test_query_and_value_are_found_where_they_are_layers_of_their_own(architecture: str) -> None:
    loaded, expected = backbone(architecture), LAYERS[architecture][2]
    if expected is None:
        with pytest.raises(NotApplicable, match="its layers are named c_attn, c_fc, c_proj"):
            resolve(loaded.model, "query_value", loaded.head)
    else:
        assert len(resolve(loaded.model, "query_value", loaded.head).modules) == 2 * expected


@pytest.mark.parametrize("architecture", LAYERS)
def test_all_is_every_tensor_outside_the_head_and_none_is_nothing(architecture: str) -> None:
    loaded = backbone(architecture)
    everything = resolve(loaded.model, "all", loaded.head).tensors
    assert everything.keys() == {name for name, _ in loaded.model.named_parameters()} - loaded.head
    assert sum(parameter.numel() for parameter in everything.values()) == loaded.num_parameters
    assert resolve(loaded.model, "none", loaded.head).tensors == {}


def test_tied_tensors_are_one() -> None:
    model, _ = load_model(locate("tiny:opt"), AutoModelForCausalLM)
    tensors = backbone_parameters(model, frozenset())
    assert len({id(parameter) for parameter in tensors.values()}) == len(tensors)
    assert "lm_head.weight" not in tensors


def test_patterns_choose_by_module_name() -> None:
    loaded = backbone("bert")
    chosen = resolve(loaded.model, ("*.layer.1.*query", "*.layer.0.output.dense"), loaded.head)
    assert sorted(chosen.modules) == [
        "bert.encoder.layer.0.output.dense",
        "bert.encoder.layer.1.attention.self.query",
    ]
    with pytest.raises(NotApplicable, match=r"matches targets '\*.layer.7.\*'"):
        resolve(loaded.model, ("*.layer.7.*",), loaded.head)


def test_the_meta_device_gives_the_same_names_and_shapes() -> None:
    from transformers import AutoModelForSequenceClassification

    loaded = backbone("gpt2")
    model, head = load_model(loaded.files, AutoModelForSequenceClassification, meta=True, num_labels=2)
    assert head == loaded.head
    first, second = resolve(model, "linear", head), resolve(loaded.model, "linear", loaded.head)
    assert {n: p.shape for n, p in first.tensors.items()} == {n: p.shape for n, p in second.tensors.items()}
    assert all(parameter.device == torch.device("meta") for parameter in first.tensors.values())


def test_shapes_are_outputs_by_inputs_however_the_weight_is_stored() -> None:
    assert weight_shape(nn.Linear(3, 2)) == (2, 3)
    loaded = backbone("gpt2")
    assert weight_shape(loaded.model.get_submodule("transformer.h.0.attn.c_attn")) == (96, 32)


def test_without_linear_layers_the_convolutions_of_the_stages_are_the_targets() -> None:
    loaded = backbone("resnet")
    found = resolve(loaded.model, "linear", loaded.head)
    assert found.modules == {}, "no adapter can stand beside a convolution"
    assert len(found.tensors) == 9  # four blocks of two, and the shortcut where the width changes
    named = dict(loaded.model.named_parameters())
    assert all(named[name] is parameter and parameter.dim() == 4 for name, parameter in found.tensors.items())
    assert not any("embedder.embedder" in name or "normalization" in name for name in found.tensors)
    mlp = resolve(loaded.model, "mlp", loaded.head)
    assert mlp.tensors.keys() == found.tensors.keys(), "nothing in it is attention"


@pytest.mark.parametrize("targets", ["attention", "query_value"])
def test_a_convolutional_network_has_no_attention_and_its_layers_are_named(targets: str) -> None:
    loaded = backbone("resnet")
    with pytest.raises(NotApplicable, match=f"matches targets '{targets}'; its layers are named convolution"):
        resolve(loaded.model, targets, loaded.head)


def test_where_there_are_linear_layers_no_convolution_is_a_target() -> None:
    loaded = backbone("vit")
    found = resolve(loaded.model, "linear", loaded.head)
    assert list(found.tensors) == [f"{name}.weight" for name in found.modules]
    assert all(isinstance(module, nn.Linear) for module in found.modules.values())


def test_patterns_choose_convolutions_by_name() -> None:
    loaded = backbone("resnet")
    found = resolve(loaded.model, ("*.stages.1.*",), loaded.head)
    assert found.tensors
    assert all(".stages.1." in name for name in found.tensors)
    assert found.modules == {}
