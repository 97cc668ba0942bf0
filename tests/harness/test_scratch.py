"""The architecture for training from scratch is the one that papers train on CIFAR, the same every time."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForImageClassification

from harness.backbone import load_model, locate
from harness.errors import MissingPrerequisite, UnknownName
from harness.scratch import parse


def test_resnet34_has_the_known_number_of_parameters_and_keeps_the_resolution() -> None:
    model, head = load_model(
        locate("scratch:resnet34-cifar"), AutoModelForImageClassification, meta=True, num_labels=10
    )
    assert sum(parameter.numel() for parameter in model.parameters()) == 21_282_122  # as published for this variant
    assert head == {"classifier.1.weight", "classifier.1.bias"}
    small, _ = load_model(locate("scratch:resnet34-cifar@4"), AutoModelForImageClassification, num_labels=10)
    states = small(pixel_values=torch.zeros(1, 3, 32, 32), output_hidden_states=True).hidden_states
    assert [tuple(state.shape[1:]) for state in states] == [
        (4, 32, 32),
        (4, 32, 32),
        (8, 16, 16),
        (16, 8, 8),
        (32, 4, 4),
    ]


def test_weights_are_the_same_every_time_and_those_of_he() -> None:
    first, second = (
        load_model(locate("scratch:resnet34-cifar@16"), AutoModelForImageClassification, num_labels=10)[0] for _ in "ab"
    )
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name)), name
    stem = first.get_parameter("resnet.embedder.embedder.convolution.weight")
    assert stem.shape == (16, 3, 3, 3)
    assert stem.std().item() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.1)


def test_unknown_architectures_and_widths_are_named() -> None:
    with pytest.raises(UnknownName, match="unknown backbone 'scratch:resnet34'.*did you mean .*scratch:resnet34-cifar"):
        locate("scratch:resnet34")
    for width in ("0", "wide", ""):
        with pytest.raises(MissingPrerequisite, match="has no such width; write scratch:resnet34-cifar@WIDTH"):
            parse(f"resnet34-cifar@{width}")
    assert locate("scratch:resnet34-cifar").digest != locate("scratch:resnet34-cifar@8").digest
