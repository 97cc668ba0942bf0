"""Tiny backbones: each has the size that its reference asks for."""

from __future__ import annotations

import pytest

from harness.errors import MissingPrerequisite, UnknownName
from harness.tiny import ARCHITECTURES, parse


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_reference_states_width_and_depth(architecture: str) -> None:
    default, large = parse(architecture), parse(f"{architecture}@768x12")
    assert (default.shape.width, default.shape.layers) == (32, 2)
    assert (large.shape.width, large.shape.layers, large.shape.heads, large.shape.inner) == (768, 12, 12, 3072)
    assert large.config(num_labels=3).num_labels == 3


def test_llama_groups_its_queries() -> None:
    config = parse("llama").config()
    assert config.num_attention_heads == 2 * config.num_key_value_heads


@pytest.mark.parametrize("size", ["x", "64", "64x0", "100x2", "64x2x3"])
def test_a_size_that_is_none_is_refused_with_an_example(size: str) -> None:
    with pytest.raises(MissingPrerequisite, match="WIDTHxLAYERS .* such as tiny:bert@768x12"):
        parse(f"bert@{size}")


def test_an_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="tiny:roberta"):
        parse("robertta")
