"""Sparse updates: ranks that train apart end where a plain dense formula does, and what travels is counted."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.random import Streams
from methods.sparse_update import SparseUpdate, SparseUpdateConfig
from runners.apart import ranks_for
from runners.fit import Trainer, training_batches
from runners.ranks import Ranks
from runners.specimen import Specimen, SpecimenSamples, load
from tests.methods.attaching import attach, backbone, planned
from tests.methods.together import take_part, together
from tests.runners.toy import examples, trainer

# The plan of a specimen says 10 steps in 2 epochs.
ROWS, BATCH, EPOCHS, COUNT, LR = 30, 6, 2, 60, 1e-2
CASES: dict[str, dict[str, Any]] = {
    f"{masks}-{merge}": {"masks": masks, "merge": merge, "merge_every": 2}
    for masks, merge in product(["disjoint", "equal"], ["sum", "mean"])
}
CASES |= {"anew": {"reselect": True, "merge_every": 2}, "seldom": {"merge_every": 4}}
CASES |= {"random": {"choose": "random", "merge_every": 2}}


def method(started: Specimen) -> SparseUpdate:
    assert isinstance(started.method, SparseUpdate)
    return started.method


def begun(place: Ranks, /, **values: Any) -> tuple[Specimen, Trainer]:
    """Start a training without dropout."""
    started = attach("sparse_update", backbone("bert"), **{"count": COUNT, "samples": 8, **values})
    for module in started.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    job = trainer(started, epochs=EPOCHS, batch_size=BATCH, lr=LR, schedule="constant", warmup=0.0, clip=None)
    job = replace(job, ranks=ranks_for(started.method, place))
    started.method.calibrate(started.model, job.samples(examples(ROWS)))
    return started, job


def main(index: int, folder: str) -> None:
    """Train every case as one of two ranks; write the states and the weights that came out."""
    for case, values in CASES.items():
        started, job = begun(Ranks(index, 2), ranks=2, **values)
        first = {f"first:{name}": indices for name, indices in method(started).part.indices.items()}
        fitted = job.fit(examples(ROWS), examples(9, seed=1) if case == "seldom" else None)
        losses = [epoch.validation_loss for epoch in fitted.validation]
        weights = {f"model:{name}": tensor for name, tensor in started.tensors().items()}
        save_file({**fitted.state, **weights, **first}, Path(folder, f"{case}.{index}.safetensors"))
        Path(folder, f"{case}.{index}.json").write_text(json.dumps([method(started).sent_bytes(), losses]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where two real processes left what they trained."""
    made = tmp_path_factory.mktemp("together")
    together("tests.methods.test_sparse_update", str(made))
    return made


def trained(folder: Path, case: str) -> list[dict[str, Tensor]]:
    return [load_file(folder / f"{case}.{index}.safetensors") for index in (0, 1)]


def part(found: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}


def dense(masks: list[dict[str, Tensor]], merge: str, merge_every: int) -> dict[str, Tensor]:
    """Return the weights by the formula: float64 copies of the model, each with dense masks on its gradients."""
    started, job = begun(Ranks())
    started.method.detach(started.model, started.backbone.pristine)
    names = [*masks[0], *started.plan.head]
    models = [copy.deepcopy(started.model).double().requires_grad_(False).train() for _ in masks]
    trained = [{name: model.get_parameter(name).requires_grad_(True) for name in names} for model in models]
    steppers = [torch.optim.AdamW(one.values(), lr=LR, weight_decay=0.0) for one in trained]
    rows = examples(ROWS)
    start = {name: tensor.detach().clone() for name, tensor in trained[0].items()}
    step = 0
    for epoch in range(1, EPOCHS + 1):
        batches = list(training_batches(rows.lengths, BATCH, Streams(0), epoch))
        for batch in batches:
            step += 1
            for rank, (model, tensors, stepper) in enumerate(zip(models, trained, steppers, strict=True)):
                mine = batch[rank :: len(masks)]
                loss = job.protocol.loss(model, job.collate(rows, mine)) * len(mine) * len(masks) / len(batch)
                loss.backward()  # type: ignore[no-untyped-call]
                for name, indices in masks[rank].items():
                    kept = torch.zeros(tensors[name].numel(), dtype=torch.float64)
                    kept[indices] = 1.0
                    gradient = tensors[name].grad
                    assert gradient is not None
                    gradient.mul_(kept.view_as(tensors[name]))
                stepper.step()
                stepper.zero_grad()
            if step % merge_every == 0 or step == EPOCHS * len(batches):
                with torch.no_grad():
                    for name in names:
                        changes = torch.stack([tensors[name] - start[name] for tensors in trained])
                        start[name] += changes.sum(0) if merge == "sum" else changes.mean(0)
                        for tensors in trained:
                            tensors[name].copy_(start[name])
    return start


def test_ranks_with_random_masks_send_values_alone_and_end_equal(folder: Path) -> None:
    both = trained(folder, "random")
    weights = [part(found, "model:") for found in both]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    masks = [part(found, "first:") for found in both]
    pristine = backbone("bert").pristine
    for name in masks[0]:
        chosen = {place for mask in masks for place in mask[name].tolist()}
        assert set((weights[0][name] != pristine[name]).flatten().nonzero()[:, 0].tolist()) == chosen
    sent = [json.loads((folder / f"random.{index}.json").read_text())[0] for index in (0, 1)]
    head = sum(parameter.numel() for parameter in begun(Ranks())[0].method.head().values())
    assert sent == [4 * (COUNT + head) * 5] * 2, "five merges"


@pytest.mark.gpu
def test_random_masks_of_other_ranks_are_written_on_the_device() -> None:
    started = attach("sparse_update", load("tiny:bert", torch.float32, "cuda"), count=COUNT, ranks=2, choose="random")
    rounds = method(started)._rounds
    rounds._write_others()
    assert all(indices.is_cuda for mask in rounds._others for indices, _ in mask.values())


@pytest.mark.parametrize(("masks", "merge"), list(product(["disjoint", "equal"], ["sum", "mean"])))
def test_two_ranks_end_where_the_dense_formula_does(masks: str, merge: str, folder: Path) -> None:
    both = trained(folder, f"{masks}-{merge}")
    for found in both[1:]:
        assert all(torch.equal(one, part(both[0], "model:")[name]) for name, one in part(found, "model:").items())
    chosen = [part(found, "first:") for found in both]
    shared = sum(len(set(chosen[0][name].tolist()) & set(chosen[1][name].tolist())) for name in chosen[0])
    assert [sum(map(len, one.values())) for one in chosen] == [COUNT, COUNT]
    assert shared == (0 if masks == "disjoint" else COUNT)
    expected, weights = dense(chosen, merge, 2), part(both[0], "model:")
    pristine = backbone("bert").pristine
    moved = 0
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name].double(), tensor, atol=2e-5, rtol=1e-3)
        moved += int((weights[name] != pristine[name]).sum()) if name in chosen[0] else 0
    assert moved == (2 * COUNT if masks == "disjoint" else COUNT)
    # What the first rank wrote is all that a fresh backbone needs.
    fresh = attach("sparse_update", backbone("bert"), count=COUNT, ranks=2, masks=masks, merge=merge)
    fresh.method.load_state({n: t for n, t in both[0].items() if not n.startswith(("model:", "first:"))})
    assert all(torch.equal(tensor, weights[name]) for name, tensor in fresh.tensors().items())


def test_disjoint_masks_hold_the_scalars_that_one_mask_of_twice_the_size_would() -> None:
    whole = attach("sparse_update", backbone("bert"), count=2 * COUNT)
    mine = attach("sparse_update", backbone("bert"), count=COUNT, ranks=2)
    fish = attach("fish", backbone("bert"), count=2 * COUNT)
    for name, indices in method(whole).part.indices.items():
        assert torch.equal(indices, fish.method.part.indices[name]), "the choice is that of FISH"  # type: ignore[attr-defined]
        assert set(method(mine).part.indices[name].tolist()) <= set(indices.tolist())
        kept, others = method(mine).part.indices[name], method(mine)._rounds._others[0][name][0]
        assert sorted([*kept.tolist(), *others.tolist()]) == indices.tolist()


def test_masks_chosen_anew_let_more_scalars_move_and_ranks_stay_equal(folder: Path) -> None:
    both = trained(folder, "anew")
    weights = [part(found, "model:") for found in both]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    pristine = backbone("bert").pristine
    head = attach("sparse_update", backbone("bert"), count=COUNT).plan.head
    moved = sum(int((t != pristine[n]).sum()) for n, t in weights[0].items() if n not in head)
    assert 2 * COUNT < moved <= 4 * COUNT
    now = {
        name.removesuffix("@indices"): t for name, t in part(both[0], "buffer:").items() if name.endswith("@indices")
    }
    assert any(not torch.equal(now[name], first) for name, first in part(both[0], "first:").items())


def test_what_was_sent_is_what_the_merges_hold(folder: Path) -> None:
    (first, losses), (second, others) = (json.loads((folder / f"seldom.{index}.json").read_text()) for index in (0, 1))
    assert losses == others, "after an epoch all look at the same model, merged or not"
    assert len(losses) == EPOCHS
    started, _ = begun(Ranks())
    head = sum(parameter.numel() for parameter in method(started).head().values())
    tensors = len(method(started).part.parameters)
    merges = len({4, 8} | {10})  # every fourth step, and the last one
    assert second == merges * 4 * (COUNT + head)
    chosen = 2  # a specimen is calibrated when it starts, and again here
    assert first == second + chosen * 8 * (tensors + 2 * COUNT), "the first rank also tells what is trained"


def test_selecting_again_moves_no_weight_and_begins_at_zero() -> None:
    started, job = begun(Ranks(), reselect=True)
    job.fit(examples(ROWS), None)
    before = started.tensors()
    exchanged = started.method.before_epoch(3)
    assert exchanged is not None
    assert any((positions < 0).any() for positions in exchanged.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in started.tensors().items())
    assert not any(values.any() for values in method(started).part.values.values())


def test_a_mask_that_stays_is_never_chosen_anew() -> None:
    started, _ = begun(Ranks())
    assert started.method.before_epoch(2) is None


def test_stored_bits_count_what_left_the_mask() -> None:
    started, job = begun(Ranks(), reselect=True)
    assert job.fit(examples(ROWS), None).steps == 10
    places = 0
    for name, now in started.tensors().items():
        if name in method(started).part.parameters:
            moved = set((now != started.backbone.pristine[name]).flatten().nonzero()[:, 0].tolist())
            moved |= set(method(started).part.indices[name].tolist())
            places += len(moved) * (32 + (now.numel() - 1).bit_length())
    assert started.method.stored_bits() == places > COUNT * 32 * 2


def test_random_scalars_of_all_ranks_are_stored_by_a_seed(folder: Path) -> None:
    two, _ = begun(Ranks(0, 2), ranks=2, choose="random")
    found = trained(folder, "random")[0]
    two.method.load_state({n: t for n, t in found.items() if not n.startswith(("model:", "first:"))})
    head = sum(parameter.numel() for parameter in two.method.head().values())
    assert two.method.stored_bits() == 64 + COUNT * 2 * 32
    assert method(two).checkpoint_bytes() == 4 * (2 * COUNT + head)
    anew, _ = begun(Ranks(), reselect=True, choose="random")
    assert method(anew).checkpoint_bytes() == 4 * (COUNT + head), "their places are drawn again"


def test_what_a_mask_of_each_rank_moves_is_said() -> None:
    values = {"count": COUNT, "samples": 4, "ranks": 2}
    apart, same = (attach("sparse_update", backbone("bert"), **values, masks=masks) for masks in ("disjoint", "equal"))
    assert "2 ranks train 60 scalars each: 120 of the model at a time" in apart.method.notes()
    assert not any("ranks" in note for note in same.method.notes())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_that_was_trained_is_lost_where_a_mask_is_chosen_anew(dtype: torch.dtype) -> None:
    started = attach("sparse_update", backbone("bert", dtype), count=COUNT, choose="random", reselect=True)
    part = method(started).part
    support = {name: indices.clone() for name, indices in part.indices.items()}
    pristine = {name: tensor.clone() for name, tensor in part.base.items()}
    for _ in range(40):
        with torch.no_grad():
            for values in part.values.values():
                values += 1e-4  # far below what bf16 tells apart
        part.patch()
        part.reselect({})
        part.reselect(support)
    for name, base in part.base.items():
        torch.testing.assert_close(base, pristine[name] + 40e-4, atol=1e-6, rtol=1e-5)
    state = started.method.state()
    fresh = attach("sparse_update", backbone("bert", dtype), count=COUNT, choose="random", reselect=True)
    fresh.method.load_state(state)
    assert all(torch.equal(tensor, started.tensors()[name]) for name, tensor in fresh.tensors().items())


def test_random_masks_are_those_of_random_masking_and_others_every_epoch() -> None:
    started = attach("sparse_update", backbone("bert"), count=COUNT, choose="random", reselect=True)
    other = attach("random_mask", backbone("bert"), count=COUNT)
    first = {name: indices.tolist() for name, indices in method(started).part.indices.items()}
    assert {n: i.tolist() for n, i in other.method.part.indices.items()} == {n: i for n, i in first.items() if i}  # type: ignore[attr-defined]
    started.method.before_epoch(2)
    second = {name: indices.tolist() for name, indices in method(started).part.indices.items()}
    assert {n: len(i) for n, i in first.items()} == {n: len(i) for n, i in second.items()}
    assert first != second
    assert started.method.notes() == (), "no samples are scored for a random mask"


def test_checkpoint_bytes_are_values_head_and_new_indices() -> None:
    fixed, _ = begun(Ranks())
    head = sum(parameter.numel() for parameter in fixed.method.head().values())
    assert method(fixed).checkpoint_bytes() == 4 * (COUNT + head)
    anew, _ = begun(Ranks(), reselect=True)
    total = sum(parameter.numel() for parameter in anew.plan.targets.tensors.values())
    assert method(anew).checkpoint_bytes() == -(-(COUNT * (32 + (total - 1).bit_length()) + 32 * head) // 8)
    two, _ = begun(Ranks(0, 2), ranks=2)
    assert method(two).checkpoint_bytes() == 4 * (2 * COUNT + head)
    assert method(two).sent_bytes() is None, "the other rank is not there"


def test_more_masks_than_scalars_are_refused_before_any_work() -> None:
    loaded = backbone("bert")
    plan = planned(loaded, "linear")
    most = sum(parameter.numel() for parameter in plan.targets.tensors.values())
    assert SparseUpdate(SparseUpdateConfig(count=most, ranks=2, masks="equal")).count(loaded.model, plan) == most
    with pytest.raises(NotApplicable, match=rf"largest is {most // 3} for each of 3 ranks .*\({most // 2} asked\)"):
        SparseUpdate(SparseUpdateConfig(count=most // 2, ranks=3)).count(loaded.model, plan)


def test_a_damaged_trained_part_is_refused() -> None:
    started, _ = begun(Ranks(), reselect=True)
    state = started.method.state()
    name = next(name for name in state if name.endswith("@weights"))
    with pytest.raises(ValueError, match="is damaged"):
        started.method.load_state({**state, name: torch.ones(state[name].numel() + 1)})
    at = name.replace("@weights", "@indices")
    with pytest.raises(ValueError, match="@indices is not ascending"):
        started.method.load_state({**state, at: torch.tensor([3, 3])})
    started.method.calibrate(started.model, SpecimenSamples(started))


if __name__ == "__main__":
    take_part(main)
