"""On a GPU: bf16 frozen weights, fp32 trained scalars, and the same promises as on a CPU."""

from __future__ import annotations

import pytest
import torch

from harness.data import DataSource
from runners.execute import Outcome, execute
from runners.warm import Warm
from tests.runners.specs import METHODS, generated_once, spec

pytestmark = pytest.mark.gpu
rows = generated_once


@pytest.mark.parametrize("method", METHODS)
def test_a_run_trains_in_fp32_beside_bf16_weights_and_restores_the_backbone(method: str) -> None:
    warm = Warm(DataSource(), "cuda")
    outcome = Outcome()
    execute(spec(method), warm, outcome, keep="all")
    assert outcome.reusable
    assert all(tensor.dtype == torch.float32 for tensor in (outcome.state or {}).values())
    (backbone,) = warm.backbones.values()
    matrices = [p for name, p in backbone.model.named_parameters() if p.dim() > 1 and name not in backbone.head]
    assert {parameter.dtype for parameter in matrices} == {torch.bfloat16}
    assert outcome.peak_bytes is not None


@pytest.mark.parametrize("method", METHODS)
def test_deterministic_runs_give_equal_bits(method: str) -> None:
    outcomes = []
    for _ in range(2):
        outcome = Outcome()
        asked = spec(method, training={"deterministic": True, "gradient_checkpointing": True})
        execute(asked, Warm(DataSource(), "cuda"), outcome, keep="all")
        outcomes.append((outcome.validation, outcome.scores))
    assert outcomes[0] == outcomes[1]
