"""The kept part: scalars that leave it stay as they are, and everything can be put back bit by bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from methods.parts.kept import KeptPart, check_indices

SIZE = 12
Places = st.lists(st.sets(st.integers(0, SIZE - 1)), min_size=1, max_size=5)


def layer() -> nn.Linear:
    torch.manual_seed(0)
    made = nn.Linear(4, 3, bias=False)
    return made.requires_grad_(False)


def places(chosen: set[int]) -> Tensor:
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def step(part: KeptPart, amount: float) -> None:
    with torch.no_grad():
        part.values["weight"] += amount
    part.patch()


@given(chosen=Places)
def test_what_leaves_stays_as_it_is_and_all_of_it_can_be_taken_out_again(chosen: list[set[int]]) -> None:
    model = layer()
    pristine = model.weight.clone()
    part, expected = KeptPart(model, {"weight": places(chosen[0])}), pristine.flatten().clone()
    for number, those in enumerate(chosen):
        part.reselect({"weight": places(those)})
        assert torch.equal(model.weight.flatten(), expected), "another selection moved a weight"
        assert not part.values["weight"].any()
        step(part, number + 0.5)
        expected[places(those)] += number + 0.5
        assert torch.equal(model.weight.flatten(), expected)
    indices, values = part.moved("weight")
    assert set(indices.tolist()) <= set().union(*chosen[:-1]), "the present deltas are no part of it"
    part.remove()
    assert torch.equal(model.weight, pristine)


@given(chosen=Places)
def test_what_has_moved_is_put_back_on_a_fresh_backbone_and_over_another_state(chosen: list[set[int]]) -> None:
    model = layer()
    part = KeptPart(model, {"weight": places(set())})
    for those in chosen:
        part.reselect({"weight": places(those)})
        step(part, 0.25)
    part.reselect({})
    moved, weights = {"weight": part.moved("weight")}, model.weight.clone()
    fresh = layer()
    other = KeptPart(fresh, {"weight": places({0, 5})})
    step(other, 9.0)
    other.restore(moved)
    assert torch.equal(fresh.weight, weights)
    part.reselect({"weight": places({1, 2})})
    step(part, 3.0)
    part.restore(moved)
    assert torch.equal(model.weight, weights)


def test_scalars_written_from_elsewhere_are_taken_out_with_the_rest() -> None:
    model = layer()
    pristine = model.weight.clone()
    part = KeptPart(model, {"weight": places({3})})
    part.write("weight", places({7, 8}), torch.tensor([1.0, 2.0]))
    assert model.weight.flatten()[7:9].tolist() == [1.0, 2.0]
    assert part.at("weight", places({8})).tolist() == [2.0]
    assert part.moved("weight")[0].tolist() == [7, 8]
    part.remove()
    assert torch.equal(model.weight, pristine)


def test_deltas_are_trained_through_the_layer() -> None:
    model = layer()
    part = KeptPart(model, {"weight": places({0, 6})})
    inputs = torch.randn(5, 4)
    model(inputs).sum().backward()
    assert part.values["weight"].grad is not None
    expected = inputs.sum(0)[[0, 2]]
    torch.testing.assert_close(part.values["weight"].grad, expected)


@pytest.mark.parametrize("wrong", [[3, 3], [5, 2], [-1, 4], [4, SIZE]])
def test_places_that_cannot_be_are_refused_with_the_tensor_s_name(wrong: list[int]) -> None:
    check_indices("layer@moved", torch.tensor([0, SIZE - 1]), SIZE)
    check_indices("layer@moved", torch.tensor([], dtype=torch.int64), SIZE)
    with pytest.raises(ValueError, match=rf"layer@moved is not ascending within the {SIZE} scalars"):
        check_indices("layer@moved", torch.tensor(wrong), SIZE)
