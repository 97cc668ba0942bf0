"""BitFit trains the biases, all of them, and nothing else."""

from __future__ import annotations

import pytest

from harness.errors import NotApplicable
from tests.methods.attaching import attach, backbone


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
