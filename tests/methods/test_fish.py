"""FISH trains the scalars of largest Fisher information: its formula by hand, its counts, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.errors import Diverged, NotApplicable
from harness.random import Streams
from methods.fish import Fish, FishConfig
from runners.course import carry
from runners.specimen import Specimen, SpecimenSamples, start
from tests.methods.attaching import attach, backbone, planned

PowerOf = Callable[[Tensor], Tensor]


def fish(architecture: str = "bert", rows: int = 6, **values: Any) -> Specimen:
    return start("fish", backbone(architecture), rows=rows, values={"count": 300, **values})


def support(started: Specimen) -> dict[str, set[int]]:
    assert isinstance(started.method, Fish)
    return {name: set(indices.tolist()) for name, indices in started.method.part.indices.items()}


def information(started: Specimen, expected: bool, power: PowerOf) -> Tensor:
    """Return the scores by the formula, in float64, one sample and outcome at a time."""
    plain = backbone("bert")
    plain.model.load_state_dict(started.model.state_dict())
    model = plain.model.double()
    tensors = [model.get_parameter(name) for name in started.plan.targets.tensors]
    total = torch.zeros(sum(tensor.numel() for tensor in tensors), dtype=torch.float64)
    for row in range(len(started.batch["labels"])):
        inputs = {key: value[row : row + 1] for key, value in started.batch.items() if key != "labels"}
        log_likelihoods = functional.log_softmax(model(**inputs).logits, dim=-1)[0]
        label = int(started.batch["labels"][row])
        for outcome, chance in enumerate(log_likelihoods.detach().exp()):
            if not expected and outcome != label:
                continue
            gradients = torch.autograd.grad(log_likelihoods[outcome], tensors, retain_graph=True)
            total += (chance if expected else 1.0) * power(torch.cat([g.flatten() for g in gradients]))
    return total


@pytest.mark.parametrize("labels", ["true", "expected"])
@pytest.mark.parametrize(("power", "of"), [("square", torch.square), ("absolute", torch.abs)])
def test_the_support_holds_the_largest_of_the_formula(labels: str, power: str, of: PowerOf) -> None:
    started = fish(labels=labels, power=power)
    scores = information(started, labels == "expected", of)
    chosen = torch.zeros(len(scores), dtype=torch.bool)
    offset = 0
    for name, tensor in started.plan.targets.tensors.items():
        chosen[offset + torch.tensor(sorted(support(started)[name]), dtype=torch.int64)] = True
        offset += tensor.numel()
    assert int(chosen.sum()) == 300
    assert float(scores[chosen].min()) >= float(scores[~chosen].max()) * (1 - 1e-4)
    assert float(scores.min()) >= 0


def test_smaller_masks_are_subsets_of_larger_ones() -> None:
    small, large = support(fish(count=50)), support(fish(count=400))
    assert all(small[name] <= large[name] for name in large)


def test_the_order_of_the_samples_does_not_matter() -> None:
    started = fish(rows=6)
    before = support(started)
    started.batch = {key: value.flip(0) for key, value in started.batch.items()}
    started.method.calibrate(started.model, SpecimenSamples(started))
    after = support(started)
    assert sum(len(before[name] ^ after[name]) for name in before) <= 2, "but for ties at the boundary"


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "vit", "resnet"])
def test_what_lies_outside_the_mask_is_bit_equal_after_training(architecture: str) -> None:
    started = fish(architecture, rows=4)
    before = started.tensors()
    started.train(3)
    moved = 0
    for name, tensor in started.plan.targets.tensors.items():
        changed = (tensor.detach() != before[name]).flatten().nonzero()[:, 0].tolist()
        assert set(changed) <= support(started)[name]
        moved += len(changed)
    assert moved > 200


def test_calibration_leaves_no_dense_gradient_and_no_training_mode() -> None:
    started = fish()
    assert all(parameter.grad is None for parameter in started.model.parameters())
    frozen = [p for name, p in started.model.named_parameters() if name not in started.backbone.head]
    assert not any(parameter.requires_grad for parameter in frozen)
    assert not started.model.training


def test_charge_head_counts_as_the_paper_does() -> None:
    loaded = backbone("bert")
    plan = planned(loaded, "all")
    head = sum(p.numel() for n, p in loaded.model.named_parameters() if n in loaded.head)
    share = 0.1
    trained = Fish(FishConfig(ratio=share, charge_head=True)).count(loaded.model, plan)
    assert trained == int(share * (plan.total + head)) - head
    with pytest.raises(NotApplicable, match=rf"smallest is {head + 1}, {head} of them the head's \({head} asked"):
        Fish(FishConfig(count=head, charge_head=True)).count(loaded.model, plan)
    assert Fish(FishConfig(ratio=1.0, charge_head=True)).count(loaded.model, plan) == plan.total, "all of it is dense"
    with pytest.raises(
        NotApplicable, match=f"largest is {plan.total + head} on targets all, {head} of them the head's"
    ):
        Fish(FishConfig(count=plan.total + head + 1, charge_head=True)).count(loaded.model, plan)
    started = start("fish", loaded, targets="all", values={"count": head + 40, "charge_head": True})
    assert sum(p.numel() for p in started.method.trained().values()) == 40


def test_more_samples_than_rows_are_all_and_said_so() -> None:
    assert fish(samples=7).method.notes() == ("7 samples were asked for, the training set has 6: all were scored",)
    assert fish(samples=6).method.notes() == ()
    assert support(fish(samples=7)) == support(fish(samples=6))


def test_scores_that_are_not_finite_are_diverged() -> None:
    loaded = backbone("bert")
    started = start("fish", loaded, values={"count": 10})
    with torch.no_grad():
        loaded.model.get_parameter(next(iter(started.plan.targets.tensors))).fill_(float("nan"))
    with pytest.raises(Diverged, match="are not finite"):
        started.method.calibrate(loaded.model, SpecimenSamples(started))


def test_reselection_carries_the_optimisers_state_of_what_stays() -> None:
    started = fish(reselect=True)
    optimizer = torch.optim.AdamW(started.method.parameter_groups(), lr=3e-2, weight_decay=0.0)
    started.model.train()
    for _ in range(4):
        started.step(optimizer)
    assert started.method.before_epoch(1) is None
    updated = started.method.updated()
    before = {n: optimizer.state[p]["exp_avg"].clone() for n, p in updated.items() if optimizer.state[p]}
    delta = {name: p.detach().clone() for name, p in updated.items()}
    old, pristine = support(started), started.backbone.pristine
    exchanged = started.method.before_epoch(2)
    assert exchanged is not None
    carry(optimizer, updated, exchanged)
    new = support(started)
    assert sum(map(len, new.values())) == 300
    assert new != old
    assert sum(len(new[name] & old[name]) for name in new) > 10
    for name, tensor in started.plan.targets.tensors.items():
        for place in old[name] - new[name]:
            assert tensor.view(-1)[place] == pristine[name].view(-1)[place], "what leaves goes back"
        key = f"{name}@values"
        for position, origin in enumerate(exchanged[key].tolist()):
            if origin >= 0:
                assert optimizer.state[updated[key]]["exp_avg"][position] == before[key][origin]
                assert updated[key][position] == delta[key][origin]
    started.step(optimizer)
    started.detach()
    assert started.backbone.changed() == []


def test_without_reselection_the_mask_stays() -> None:
    started = fish()
    before = support(started)
    started.train(2)
    assert started.method.before_epoch(2) is None
    assert support(started) == before


def test_the_seed_of_the_head_enters_since_it_is_scored_as_initialised() -> None:
    assert support(attach("fish", backbone("bert"), seed=1, count=300)) != support(
        attach("fish", backbone("bert"), seed=2, count=300)
    )
    assert Streams(1).integer("init", "head") != Streams(2).integer("init", "head")
