"""What all masks share: sizes are dealt exactly, and a saved mask is put back only where it fits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import NotApplicable
from methods.parts.masking import deal
from tests.methods.attaching import attach, backbone

SIZES = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 5000), min_size=1, max_size=12)
MASKS = ("random_mask", "structured_mask", "fish", "magnitude_mask", "gradient_mask")


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


@pytest.mark.parametrize("name", MASKS)
def test_stored_bits_count_the_indices_of_masks_that_no_seed_gives_back(name: str) -> None:
    started = attach(name, backbone("bert"), count=500)
    sizes = {n: p.numel() for n, p in started.plan.targets.tensors.items()}
    assert {10, 11} == {(size - 1).bit_length() for size in sizes.values()}
    if name in ("random_mask", "structured_mask"):
        assert started.method.stored_bits() == 32 * 500 + 64
    else:
        assert 42 * 500 <= started.method.stored_bits() <= 43 * 500


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_of_another_seed_and_size_is_put_back_as_it_was(name: str) -> None:
    trained = attach(name, backbone("opt"), seed=3, count=700)
    trained.train(3)
    fresh = attach(name, backbone("opt"), seed=4, count=700)
    fresh.method.load_state(trained.method.state())
    assert torch.equal(fresh.outputs(), trained.outputs())
    assert fresh.method.count(fresh.model, fresh.plan) == 700


@pytest.mark.parametrize("wrong", [[-1, 3], [3, 3], [5, 2], [0, 10**6]])
def test_indices_that_do_not_fit_are_refused(wrong: list[int]) -> None:
    started = attach("magnitude_mask", backbone("bert"), count=700)
    state = started.method.state()
    name = next(key for key in state if key.endswith("@indices"))
    with pytest.raises(ValueError, match="does not fit MagnitudeMask on this backbone; its indices of"):
        started.method.load_state({**state, name: torch.tensor(wrong)})


def test_the_mask_of_another_targets_is_refused_by_name() -> None:
    started = attach("random_mask", backbone("bert"), targets="attention", count=700)
    other = attach("random_mask", backbone("bert"), targets="mlp", count=700)
    with pytest.raises(ValueError, match=r"does not fit RandomMask on this backbone; it differs in .*@indices"):
        other.method.load_state(started.method.state())
