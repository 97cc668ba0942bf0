"""Random masking trains exactly as many scalars as asked, uniformly drawn, the same ones for a seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import OPTConfig, OPTModel

from harness.errors import NotApplicable
from harness.method import Plan
from harness.random import Streams
from harness.targets import resolve
from methods.random_mask import RandomMask, RandomMaskConfig
from tests.methods.attaching import Attached, attach, backbone, planned

OPT = {"125m": (768, 12), "1.3b": (2048, 24), "13b": (5120, 40)}
RATIOS = (1e-3, 5e-4, 1e-4, 5e-5, 1e-5)
PER_MATRIX = {
    "125m": (5218, 2609, 522, 261, 52),
    "1.3b": (27412, 13706, 2741, 1371, 274),
    "13b": (160668, 80334, 16067, 8033, 1607),
}
"""Trained scalars in each query and value projection at these ratios of all parameters, as the paper converts them."""
LARGEST = {"125m": 0.113, "1.3b": 0.153, "13b": 0.163}
"""The largest ratio that query and value can hold."""


def support(started: Attached) -> dict[str, set[int]]:
    assert isinstance(started.method, RandomMask)
    return {name: set(indices.tolist()) for name, indices in started.method.part.indices.items()}


@pytest.mark.parametrize("targets", ["linear", "query_value", "all"])
@pytest.mark.parametrize("count", [1, 37, 2500])
def test_exactly_count_scalars_are_trained(targets: str, count: int) -> None:
    started = attach("random_mask", backbone("opt"), targets=targets, count=count)
    assert sum(parameter.numel() for parameter in started.method.trained().values()) == count
    assert sum(map(len, support(started).values())) == count
    assert started.method.stored_bits() == 32 * count + 64


def test_density_one_is_full_training_of_the_targets() -> None:
    loaded = backbone("bert")
    tensors = planned(loaded, "query_value").targets.tensors
    ceiling = sum(parameter.numel() for parameter in tensors.values())
    started = attach("random_mask", loaded, targets="query_value", count=ceiling)
    assert {name: len(indices) for name, indices in support(started).items()} == {
        name: parameter.numel() for name, parameter in tensors.items()
    }


def test_the_support_is_spread_evenly_over_tensors_rows_and_columns() -> None:
    started = attach("random_mask", backbone("bert"), count=4000)
    for name, indices in support(started).items():
        size = started.model.get_parameter(name).numel()
        assert len(indices) / size == pytest.approx(4000 / (2 * (4 * 32 * 32 + 2 * 32 * 64)), abs=1 / size)
        mean = np.mean(list(indices)) / size
        assert mean == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / len(indices)))


def test_one_seed_gives_one_mask_and_others_another() -> None:
    first, again, other = (support(attach("random_mask", backbone("bert"), seed=s, count=900)) for s in (4, 4, 5))
    assert first == again
    assert first != other
    common = sum(len(first[name] & other[name]) for name in first)
    assert common < 200, "two seeds share no more than chance gives: 900 of 16,384, so about 50"


def test_masks_of_one_seed_are_nested_where_a_tensors_share_grows() -> None:
    small, large = (support(attach("random_mask", backbone("bert"), count=count)) for count in (800, 1600))
    assert all(small[name] < large[name] for name in small)


def test_the_budget_is_met_exactly_between_floor_and_ceiling() -> None:
    loaded = backbone("bert")
    ceiling = sum(p.numel() for p in planned(loaded, "linear").targets.tensors.values())
    for budget in (1, 1234, ceiling):
        solved = RandomMask().solve(loaded.model, planned(loaded, "linear", budget))
        assert solved == RandomMaskConfig(count=budget)
    with pytest.raises(NotApplicable, match=f"largest is {ceiling} on targets linear"):
        RandomMask().solve(loaded.model, planned(loaded, "linear", ceiling + 1))
    with pytest.raises(NotApplicable, match="largest is 0 on targets none"):
        RandomMask().solve(loaded.model, planned(loaded, "none", 1))
    with pytest.raises(NotApplicable, match="smallest is 1"):
        RandomMask().solve(loaded.model, planned(loaded, "linear", 0))


def test_without_a_size_it_says_what_to_give() -> None:
    loaded = backbone("bert")
    with pytest.raises(ValueError, match="give it a budget .* or count"):
        RandomMask().start(loaded.model, planned(loaded, "linear"), Streams(0))


@pytest.mark.parametrize("values", [{"count": 0}, {"count": -3}, {"density": 0.0}, {"density": 1.5}, {"ratio": 2}])
def test_bad_values_are_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        RandomMaskConfig.model_validate(values)


def test_the_values_are_the_only_thing_added_to_the_weights() -> None:
    started = attach("random_mask", backbone("gpt2"), targets="all", count=3000)
    before = started.tensors()
    started.train(3)
    assert isinstance(started.method, RandomMask)
    for name, values in started.method.part.values.items():
        delta = started.model.get_parameter(name).detach() - before[name]
        expected = torch.zeros(delta.numel()).index_copy(0, started.method.part.indices[name], values.detach())
        torch.testing.assert_close(delta.flatten(), expected, rtol=0, atol=1e-6)


def opt(size: str) -> tuple[OPTModel, Plan]:
    """Return an OPT of published size on the meta device, and a plan for its query and value projections."""
    width, layers = OPT[size]
    sizes = {"hidden_size": width, "word_embed_proj_dim": width, "ffn_dim": 4 * width, "num_hidden_layers": layers}
    with torch.device("meta"):
        model = OPTModel(OPTConfig(**sizes, num_attention_heads=width // 64))
    total = sum(parameter.numel() for parameter in model.parameters())
    return model, Plan(resolve(model, "query_value", frozenset()), frozenset(), total)


@pytest.mark.parametrize("size", OPT)
def test_ratios_are_the_densities_of_the_paper(size: str) -> None:
    model, plan = opt(size)
    assert plan.total == {"125m": 125_239_296, "1.3b": 1_315_758_080, "13b": 12_853_473_280}[size]
    width, layers = OPT[size]
    for ratio, per_matrix in zip(RATIOS, PER_MATRIX[size], strict=True):
        count = RandomMask(RandomMaskConfig(ratio=ratio)).count(model, plan)
        assert count == int(plan.total * ratio)
        assert abs(count / (2 * layers) - per_matrix) <= 1
        density = RandomMaskConfig(density=count / (2 * layers * width**2))
        assert abs(RandomMask(density).count(model, plan) - count) <= 1
    ceiling = 2 * layers * width**2
    assert round(ceiling / plan.total, 3) == LARGEST[size]
    with pytest.raises(NotApplicable, match=f"largest is {ceiling}"):
        RandomMask(RandomMaskConfig(ratio=LARGEST[size] + 0.001)).count(model, plan)


def test_a_size_is_stated_once() -> None:
    with pytest.raises(ValidationError, match="density and ratio state the size twice"):
        RandomMaskConfig(density=0.1, ratio=0.1)
    loaded = backbone("bert")
    with pytest.raises(ValueError, match="a budget and density state the size twice"):
        RandomMask(RandomMaskConfig(density=0.1)).solve(loaded.model, planned(loaded, "linear", 7))


def test_a_bernoulli_draw_is_within_five_deviations_and_counted_as_drawn() -> None:
    loaded = backbone("bert")
    plan = planned(loaded, "linear")
    expected = RandomMask(RandomMaskConfig(draw="bernoulli", density=0.2)).count(loaded.model, plan)
    ceiling = sum(p.numel() for p in plan.targets.tensors.values())
    assert expected == int(0.2 * ceiling)
    realised = []
    for seed in range(5):
        started = attach("random_mask", backbone("bert"), seed=seed, draw="bernoulli", density=0.2)
        realised.append(started.method.count(started.model, started.plan))
        assert realised[-1] == sum(map(len, support(started).values()))
        assert abs(realised[-1] - expected) < 5 * np.sqrt(ceiling * 0.2 * 0.8)
    assert len(set(realised)) > 1


def test_a_bernoulli_draw_takes_no_budget_since_it_may_exceed_it() -> None:
    loaded = backbone("bert")
    with pytest.raises(ValueError, match="may exceed a budget; give density, ratio or count, or draw: exact"):
        RandomMask(RandomMaskConfig(draw="bernoulli")).solve(loaded.model, planned(loaded, "linear", 100))


def test_all_of_it_trained_is_plain_training_of_the_targets() -> None:
    started = attach("random_mask", backbone("bert"), targets="query_value", density=1.0)
    plain = backbone("bert")
    plain.initialise_head(Streams(0).integer("init", "head"))
    named = dict(plain.model.named_parameters())
    trained = [named[name] for name in (*started.plan.targets.tensors, *sorted(plain.head))]
    for parameter in plain.model.parameters():
        parameter.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    masked = torch.optim.SGD(started.method.parameter_groups(), lr=0.1)
    dense = torch.optim.SGD(trained, lr=0.1)
    for _ in range(3):
        started.model.eval()
        started.step(masked)
        outputs = plain.model(**{key: value for key, value in started.batch.items() if key != "labels"}).logits
        torch.nn.functional.cross_entropy(outputs, started.batch["labels"]).backward()  # type: ignore[no-untyped-call]
        dense.step()
        dense.zero_grad()
    for name in started.plan.targets.tensors:
        torch.testing.assert_close(started.model.get_parameter(name), named[name], rtol=0, atol=1e-6)
