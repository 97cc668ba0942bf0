"""A sequence keeps the end of what is too long, and a batch's losses are those of each sequence alone."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.backbone import load_model, locate
from harness.sequences import Sequence, token_losses

CPU = torch.device("cpu")


def test_a_window_loses_its_beginning() -> None:
    assert Sequence.of([1, 2], [3, 4], 8) == Sequence((1, 2, 3, 4), 2, False)
    assert Sequence.of([1, 2, 9, 8], [3, 4], 3) == Sequence((9, 8, 3, 4), 2, True)
    assert Sequence.of([1, 2, 9, 8], [3, 4], 3).read == (9, 8, 3)


@pytest.mark.parametrize(("context", "continuation"), [([], [1]), ([1], []), ([1], [2, 3, 4, 5])])
def test_what_cannot_be_scored_is_refused(context: list[int], continuation: list[int]) -> None:
    with pytest.raises(ValueError, match=f"{len(context)} tokens with a continuation of {len(continuation)}"):
        Sequence.of(context, continuation, 3)


@pytest.mark.parametrize("reference", ["tiny:llama", "tiny:gpt2", "tiny:opt"])
def test_losses_do_not_depend_on_the_batch(reference: str) -> None:
    model, _ = load_model(locate(reference), AutoModelForCausalLM)
    model.eval()
    sequences = [
        Sequence((1, *range(10, 60), 7, 8), 2),
        Sequence((1, 5, 6), 1),
        Sequence((1, 5, 9), 1),  # shares what is read with the one before
        Sequence((1, *range(20, 40)), 20),
    ]
    with torch.no_grad():
        together = token_losses(model, sequences, CPU)
        for one, found in zip(sequences, together, strict=True):
            logits = model(torch.tensor([one.read])).logits[0]
            expected = torch.nn.functional.cross_entropy(logits, torch.tensor(one.ids[1:]), reduction="none")
            assert found.shape == (one.num_scored,)
            assert torch.allclose(found, expected[-one.num_scored :], atol=1e-5)


def test_logits_of_positions_that_are_not_scored_are_not_formed() -> None:
    model, _ = load_model(locate("tiny:llama"), AutoModelForCausalLM)
    shapes = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))  # type: ignore[union-attr]
    token_losses(model, [Sequence((1, *range(10, 60), 7), 1), Sequence((1, *range(10, 60), 8), 1)], CPU)
    assert shapes == [(1, 1, 261)]
