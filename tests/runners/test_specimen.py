"""A specimen is a method on a tiny backbone with fixed rows: the same for every method, on every architecture."""

from __future__ import annotations

import pytest
import torch

from harness.errors import NotApplicable, UnknownName
from harness.spec import Budget
from harness.tiny import ARCHITECTURES, SEES
from runners.specimen import EPOCHS, STEPS, SpecimenSamples, load, plan, start


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_logits_of_two_labels(architecture: str) -> None:
    started = start("head_only", load(f"tiny:{architecture}"), rows=3, length=8)
    assert started.outputs().shape == (3, 2)
    assert started.outputs().dtype == torch.float32
    assert ("pixel_values" in started.batch) == (architecture in SEES)
    assert started.batch["labels"].tolist() == [1, 1, 0]


def test_every_other_row_is_padded_and_padding_does_not_count() -> None:
    started = start("base", load("tiny:bert"), rows=4, length=12)
    mask, tokens = started.batch["attention_mask"], started.batch["input_ids"]
    assert mask.sum(1).tolist() == [12, 9, 12, 9]
    before = started.outputs()
    tokens[mask == 0] = 77
    assert torch.equal(started.outputs(), before)


def test_the_rows_are_the_same_for_every_method_and_seed() -> None:
    first, second = start("base", load("tiny:opt"), seed=1), start("lora", load("tiny:opt"), seed=2)
    assert first.batch.keys() == second.batch.keys()
    assert all(torch.equal(first.batch[key], second.batch[key]) for key in first.batch)


def test_the_head_follows_the_seed() -> None:
    outputs = [start("base", load("tiny:bert"), seed=seed).outputs() for seed in (0, 0, 1)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_a_budget_is_met_and_values_are_taken() -> None:
    loaded = load("tiny:bert")
    budgeted = start("random_mask", loaded, budget=Budget(count=123))
    assert sum(parameter.numel() for parameter in budgeted.method.trained().values()) == 123
    assert budgeted.plan.budget == 123
    budgeted.detach()
    assert start("lora", loaded, values={"rank": 3}).method.config.model_dump()["rank"] == 3


def test_a_card_that_fixes_the_targets_wins() -> None:
    assert start("full", load("tiny:bert"), targets="query_value").plan.targets.name == "all"
    assert start("lora", load("tiny:bert"), targets="query_value").plan.targets.name == "query_value"


def test_the_plan_states_what_is_to_come() -> None:
    loaded = load("tiny:bert")
    planned = plan(loaded, "linear", 50)
    assert (planned.total_steps, planned.epochs, planned.budget, planned.total) == (
        STEPS,
        EPOCHS,
        50,
        loaded.num_parameters,
    )
    assert planned.head == loaded.head


def test_training_takes_steps_and_lowers_the_loss_and_detaching_restores() -> None:
    loaded = load("tiny:bert")
    started = start("full", loaded)
    losses = started.train(12, lr=1e-3)
    assert len(losses) == started.steps == 12
    assert losses[-1] < losses[0]
    assert loaded.changed()
    started.detach()
    assert loaded.changed() == []
    assert not loaded.model.training


def test_a_method_that_trains_nothing_takes_no_step() -> None:
    started = start("base", load("tiny:bert"))
    assert started.train(5) == []
    assert started.steps == 0


def test_samples_are_the_rows_and_their_loss_is_the_mean() -> None:
    started = start("head_only", load("tiny:bert"), rows=4)
    samples = SpecimenSamples(started)
    assert len(samples) == 4
    assert [len(batch["labels"]) for batch in samples.batches(3, 2)] == [2, 1]
    assert [len(batch["labels"]) for batch in samples.batches(9)] == [1] * 4
    started.model.eval()
    each = torch.stack([samples.loss(batch) for batch in samples.batches(4)])
    torch.testing.assert_close(each.mean(), samples.loss(started.batch))
    likelihoods = samples.log_likelihoods(started.batch)
    torch.testing.assert_close(likelihoods.exp().sum(1), torch.ones(4))
    torch.testing.assert_close(-likelihoods[range(4), started.batch["labels"]], each)


def test_frozen_matrices_take_the_asked_type_and_outputs_stay_fp32() -> None:
    started = start("lora", load("tiny:llama", torch.bfloat16))
    assert started.dtype == torch.bfloat16
    frozen = {p.dtype for p in started.model.parameters() if p.dim() > 1 and not p.requires_grad}
    assert frozen == {torch.bfloat16}
    assert started.outputs().dtype == torch.float32


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean lora"):
        start("lroa", load("tiny:bert"))
    with pytest.raises(NotApplicable, match="its layers are named"):
        start("lora", load("tiny:gpt2"), targets="query_value")
