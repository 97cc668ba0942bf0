"""Claims about one line of the bench: what its step does and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from harness.errors import NotApplicable
from runners.bench_row import DENSE, LIMIT, Row, Setting, begin, conditions


def setting(reference: str = "tiny:bert", dtype: str = "float32") -> Setting:
    return Setting.model_validate({"reference": reference, "batch": 4, "length": 16, "dtype": dtype})


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "opt", "gpt2", "llama", "vit", "resnet"])
def test_limit_forms_activation_gradients_through_all_blocks_and_no_other(architecture: str) -> None:
    shared = setting(f"tiny:{architecture}")
    one, step = begin(Row(method=LIMIT, targets="linear"), shared.load(), shared)
    assert not [name for name, parameter in one.model.named_parameters() if parameter.requires_grad]
    blocks = next(m for m in one.model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 2)
    reached = []
    for block in blocks:
        block.register_full_backward_hook(
            lambda module, to_inputs, to_outputs: reached.append(to_inputs[0] is not None)
        )
    step()
    assert reached == [True, True]
    assert all(parameter.grad is None for parameter in one.model.parameters())
    assert all(tensor.grad is None for tensor in one.batch.values())


def test_dense_weight_gradient_forms_those_of_the_targets_and_drops_them() -> None:
    shared = setting()
    one, step = begin(Row(method=DENSE, targets="query_value"), shared.load(), shared)
    before, formed = one.tensors(), []
    for name, parameter in one.model.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: formed.append(name))  # type: ignore[misc]
    step()
    assert sorted(formed) == sorted(one.plan.targets.tensors or formed)
    assert {name.split(".")[-2] for name in formed} == {"query", "value"}
    assert len(formed) == 4
    assert all(parameter.grad is None for parameter in one.model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in one.tensors().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_step_of_a_method_trains_its_part_and_the_head(dtype: str) -> None:
    shared = setting(dtype=dtype)
    one, step = begin(Row(method="bitfit", targets="all"), shared.load(), shared)
    before = one.tensors()
    with conditions(shared):
        step()
    moved = {name for name, tensor in one.tensors().items() if not torch.equal(before[name], tensor)}
    assert moved
    assert moved <= {*one.method.trained(), *one.method.head()}
    assert moved & one.method.head().keys()
    assert one.steps == 1


def test_a_method_that_trains_nothing_has_no_step() -> None:
    shared = setting()
    with pytest.raises(NotApplicable, match="trains nothing"):
        begin(Row(method="base", targets="none"), shared.load(), shared)


def test_rows_compute_as_runs_do_and_leave_the_process_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with conditions(Setting(reference="tiny:bert", batch=1, length=8, threads=threads + 1)):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == threads + 1
        torch.rand(5)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, strict)
    assert torch.equal(torch.rand(1), expected)


def test_a_setting_tells_what_was_taken_and_not_what_auto_was() -> None:
    assert setting(dtype="auto").facts() == {
        "backbone": "tiny:bert",
        "batch": 4,
        "length": 16,
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "optimizer": "adamw",
        "lr": 1e-4,
    }
    on_gpu = Setting(reference="tiny:bert", batch=1, length=8, device="cuda:0")
    assert on_gpu.facts()["dtype"] == setting(dtype="bfloat16").facts()["dtype"] == "bfloat16"


def test_a_row_names_itself() -> None:
    assert str(Row.model_validate({"method": "random_mask", "targets": "linear", "budget": {"count": 5}})) == (
        "random_mask on linear at 5"
    )
    assert str(Row(method="lora", targets="mlp")) == "lora on mlp"
