"""Random masking trains exactly as many scalars as asked, uniformly drawn, the same ones for a seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.errors import NotApplicable
from harness.random import Streams
from methods.random_mask import RandomMask, RandomMaskConfig, deal
from tests.methods.attaching import Attached, attach, backbone, planned

SIZES = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 5000), min_size=1, max_size=12)


def support(started: Attached) -> dict[str, set[int]]:
    assert isinstance(started.method, RandomMask)
    return {name: set(indices.tolist()) for name, indices in started.method.part.indices.items()}


def test_shares_of_known_sizes_are_those_counted_by_hand() -> None:
    assert deal(10, {"a": 6, "b": 6, "c": 2}) == {"a": 4, "b": 4, "c": 2}  # 4.29, 4.29, 1.43: c has the largest rest
    assert deal(1, {"b": 5, "a": 5}) == {"b": 0, "a": 1}  # equal rests go by name
    assert deal(0, {"a": 3}) == {"a": 0}
    with pytest.raises(NotApplicable, match="largest is 14"):
        deal(15, {"a": 6, "b": 6, "c": 2})


@given(sizes=SIZES, share=st.floats(0, 1))
def test_the_deal_is_exact_and_within_one_of_proportional(sizes: dict[str, int], share: float) -> None:
    total = sum(sizes.values())
    count = int(share * total)
    dealt = deal(count, sizes)
    assert sum(dealt.values()) == count
    for name, size in sizes.items():
        assert 0 <= dealt[name] <= size
        assert abs(dealt[name] - count * size / total) < 1
    assert deal(count, dict(reversed(sizes.items()))) == dealt, "the order of the tensors is of no matter"


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


@pytest.mark.parametrize("values", [{"count": 0}, {"count": -3}, {"density": 0.1}])
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
