"""The base of every method freezes, counts, saves and restores, whatever a subclass does."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import nn

from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.random import Streams
from harness.targets import Targets


def toy() -> tuple[nn.Module, Plan, dict[str, torch.Tensor]]:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    tensors = {name: p for name, p in model.named_parameters() if name.startswith("0.")}
    pristine = {name: parameter.detach().clone() for name, parameter in tensors.items()}
    return model, Plan(Targets("all", {}, tensors), frozenset({"1.weight", "1.bias"}), 8), pristine


class Weight(Method):
    """Trains one tensor of the backbone and one of its own."""

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        self.train_dense({"0.weight": plan.targets.tensors["0.weight"]})
        self.own = nn.Parameter(torch.zeros(4))

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return {"own": self.own}


def test_a_method_without_hooks_trains_the_head_alone() -> None:
    model, plan, _ = toy()
    method = Method()
    method.start(model, plan, Streams(0))
    assert sorted(method.updated()) == ["1.bias", "1.weight"]
    assert {name for name, p in model.named_parameters() if p.requires_grad} == plan.head
    assert method.trained() == {}
    assert method.count(model, plan) == method.stored_bits() == method.extra_at_inference() == 0
    assert method.zeros() is None
    assert method.extra_loss() is None
    assert method.selectable(1)
    with pytest.raises(NotApplicable, match="Method has one size"):
        method.solve(model, plan)


def test_the_trained_part_is_the_dense_and_the_own_tensors_without_the_head() -> None:
    model, plan, _ = toy()
    method = Weight()
    method.start(model, plan, Streams(0))
    assert sorted(method.trained()) == ["0.weight", "own"]
    assert sorted(method.updated()) == ["0.weight", "1.bias", "1.weight", "own"]
    assert method.stored_bits() == 32 * (6 + 4)
    assert sum(len(group["params"]) for group in method.parameter_groups()) == 4


def test_a_state_is_a_copy_and_comes_back() -> None:
    model, plan, _ = toy()
    method = Weight()
    method.start(model, plan, Streams(0))
    state = method.state()
    kept = {name: tensor.clone() for name, tensor in state.items()}
    for parameter in method.updated().values():
        parameter.data.add_(1)
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    method.load_state(state)
    assert all(torch.equal(parameter, kept[name]) for name, parameter in method.updated().items())


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_loaded(change: str) -> None:
    model, plan, _ = toy()
    method = Weight()
    method.start(model, plan, Streams(0))
    before, state = method.state(), {name: tensor + 1 for name, tensor in method.state().items()}
    if change == "missing":
        del state["own"]
    else:
        state["own" if change == "shape" else "more"] = torch.zeros(9)
    with pytest.raises(ValueError, match=f"does not fit Weight .* {'more' if change == 'extra' else 'own'}"):
        method.load_state(state)
    assert all(torch.equal(parameter, before[name]) for name, parameter in method.updated().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_detach_restores_values_types_and_flags(dtype: torch.dtype) -> None:
    model, plan, pristine = toy()
    model.to(dtype)
    pristine = {name: tensor.to(dtype) for name, tensor in pristine.items()}
    method = Weight()
    method.start(model, plan, Streams(0))
    assert {p.dtype for p in method.updated().values()} == {torch.float32}
    method.updated()["0.weight"].data.fill_(9.0)
    model[0].weight.grad = torch.ones(2, 3)
    method.detach(model, pristine)
    for name, tensor in pristine.items():
        found = model.get_parameter(name)
        assert torch.equal(found, tensor)
        assert found.dtype == dtype
        assert found.data_ptr() != tensor.data_ptr(), "the next run must not write into what restores it"
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())


class Masked(Weight):
    """A method whose trained part has the shape that its buffer says."""

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        super().attach(model, plan, streams)
        self.indices = torch.arange(4)

    def buffers(self) -> dict[str, torch.Tensor]:
        return {"indices": self.indices}

    def load_buffers(self, buffers: Mapping[str, torch.Tensor]) -> None:
        super().load_buffers(buffers)
        self.indices = buffers["indices"].clone()
        self.own.data = torch.zeros(len(self.indices))


def test_buffers_go_with_the_state_and_come_back_before_the_scalars() -> None:
    first, second = Masked(), Masked()
    for method in (first, second):
        model, plan, _ = toy()
        method.start(model, plan, Streams(0))
    first.indices, first.own.data = torch.tensor([7, 9]), torch.tensor([1.0, 2.0])
    state = first.state()
    assert set(state) == {"own", "0.weight", "1.weight", "1.bias", "buffer:indices"}
    assert state["buffer:indices"].data_ptr() != first.indices.data_ptr()
    second.load_state(state)
    assert second.indices.tolist() == [7, 9]
    assert second.own.tolist() == [1.0, 2.0]
    assert "indices" not in second.trained()


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_buffers_that_do_not_fit_are_refused_by_name_and_nothing_is_loaded(change: str) -> None:
    model, plan, _ = toy()
    method = Masked()
    method.start(model, plan, Streams(0))
    before, state = method.state(), {name: tensor + 1 for name, tensor in method.state().items()}
    if change == "missing":
        del state["buffer:indices"]
    else:
        state["buffer:angles"] = torch.zeros(2)
    named = "indices" if change == "missing" else "angles"
    with pytest.raises(ValueError, match=f"does not fit Masked on this backbone; it differs in {named}$"):
        method.load_state(state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.state().items())


def test_a_method_without_buffers_takes_none() -> None:
    model, plan, _ = toy()
    method = Weight()
    method.start(model, plan, Streams(0))
    assert method.buffers() == {}
    with pytest.raises(ValueError, match="does not fit Weight on this backbone; it differs in indices"):
        method.load_state({**method.state(), "buffer:indices": torch.zeros(1)})


def test_of_many_tensors_that_do_not_fit_the_first_five_are_named() -> None:
    model, plan, _ = toy()
    method = Weight()
    method.start(model, plan, Streams(0))
    state = {**method.state(), **{f"other.{index}": torch.zeros(1) for index in range(9)}}
    with pytest.raises(ValueError, match=r"differs in other\.0, other\.1, other\.2, other\.3, other\.4$"):
        method.load_state(state)
