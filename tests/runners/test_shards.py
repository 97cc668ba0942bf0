"""Two processes that hold halves of a backbone take the steps of one that holds it whole: real ones, over gloo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from harness import registry
from harness.api import plan_suite, run_suite
from harness.data import DataSource
from harness.errors import NotSharded
from harness.method import Method
from harness.random import Streams
from harness.record import TRAINED_FILE, Record
from methods.full import Full
from runners.attempt import attempts
from runners.course import Fitted
from runners.execute import Outcome, execute
from runners.export import export
from runners.fit import Trainer
from runners.ranks import join
from runners.shards import Held, ShardedTrainer, Shards, check
from runners.warm import Warm
from tests.methods.attaching import Attached, backbone, planned
from tests.runners.faulty import states, suite
from tests.runners.specs import generated_once, spec
from tests.runners.toy import examples, started, trainer

rows = generated_once
ROWS = 30
"""With batches of 29 the last one of an epoch has one row: a rank has none of it, and yet goes along."""
PAIRS = product(("full", "lora"), ("bert", "gpt2"))
CASES = {f"{method}-{architecture}": (method, architecture) for method, architecture in PAIRS}
TOGETHER: dict[str, Any] = {"resources": {"ranks": 2, "sharded": True}, "backbones": ["tiny:llama"], "keep": "all"}


def attached(method: str, architecture: str) -> Attached:
    found = started(method, architecture)
    for module in found.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return found


def fitted(job: Trainer) -> Fitted:
    return job.fit(examples(ROWS), examples(24, seed=1, offset=ROWS))


def asked(one: Attached) -> Trainer:
    """Return a training in which batches go through in parts, of which the smallest batch has too few rows."""
    return trainer(one, epochs=2, batch_size=29, accumulation=3, clip=0.5, lr=1e-2)


def losses(found: Fitted) -> torch.Tensor:
    return torch.tensor([[one.train_loss or 0.0, one.validation_loss or 0.0] for one in found.validation])


def train_shard(case: str, ranks: Shards, folder: Path) -> None:
    one = attached(*CASES[case])
    held = ranks.shard(one.model, one.method, "cpu")
    job = ShardedTrainer(**vars(replace(asked(one), ranks=ranks)))
    found = fitted(job)
    found.state = ranks.whole(found.state)
    now = sum(parameter.to_local().numel() for parameter in one.model.parameters())  # type: ignore[attr-defined]
    facts = {"losses": losses(found), "held": torch.tensor([held.here, now, held.whole])}
    save_file({**found.state, **facts}, folder / f"{case}.{ranks.index}.safetensors")


def main(folder: str) -> None:
    """Train every case as one of several ranks, and write what came out."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks = join("cpu")
    for case in CASES:
        train_shard(case, Shards(ranks.index, ranks.count), Path(folder))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks wrote of every case."""
    folder = tmp_path_factory.mktemp("halves")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.runners.test_shards", str(folder)]
    both = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in (0, 1)
    ]
    assert [one.wait(180) for one in both] == [0, 0]
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_halves_end_where_one_process_does_and_hold_half_each(case: str, halves: Path) -> None:
    one = attached(*CASES[case])
    alone = fitted(asked(one))
    first, second = (load_file(halves / f"{case}.{rank}.safetensors") for rank in (0, 1))
    for found in (first, second):
        torch.testing.assert_close(found.pop("losses"), losses(alone), atol=1e-6, rtol=1e-5)
    parts = [found.pop("held").tolist() for found in (first, second)]
    whole = sum(parameter.numel() for parameter in one.model.parameters())
    assert [here for here, _, _ in parts] == [now for _, now, _ in parts], "what is held did not grow in training"
    assert sum(here for here, _, _ in parts) == whole, "nothing is held twice"
    assert all(abs(here / whole - 0.5) < 0.02 and told == whole for here, _, told in parts)
    assert not second, "the whole state is the first rank's alone"
    for name, tensor in alone.state.items():
        torch.testing.assert_close(first[name], tensor, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_what_two_halves_trained_loads_into_a_whole_model(case: str, halves: Path) -> None:
    trained = load_file(halves / f"{case}.0.safetensors")
    state = {name: tensor for name, tensor in trained.items() if name not in ("losses", "held")}
    here, there = attached(*CASES[case]), attached(*CASES[case])
    fitted(asked(here))
    there.method.load_state(state)
    torch.testing.assert_close(there.outputs(), here.outputs(), atol=1e-4, rtol=1e-3)


@pytest.fixture
def lonely() -> Iterator[Shards]:
    """The only rank of its group, in this process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    torch.distributed.init_process_group(init_method=place, rank=0, world_size=1)
    yield Shards(0, 1)
    torch.distributed.destroy_process_group()


class Hoards(Full):
    """Keeps tensors where sharding does not find them."""

    def attach(self, model: nn.Module, plan: Any, streams: Any) -> None:
        super().attach(model, plan, streams)
        self.mine = list(model.parameters())[:2]


def test_a_method_that_keeps_whole_tensors_for_itself_is_found_out(lonely: Shards) -> None:
    loaded, hoards = backbone("bert"), Hoards()
    hoards.start(loaded.model, planned(loaded, "all"), Streams(0))
    with pytest.raises(NotSharded, match="Hoards cannot be trained sharded: it keeps 2 of the model's tensors"):
        lonely.shard(loaded.model, hoards, "cpu")


def test_nothing_is_whole_any_more_once_a_model_is_divided(lonely: Shards) -> None:
    one = started("lora", "gpt2")
    whole = sum(parameter.numel() for parameter in one.model.parameters())
    assert lonely.shard(one.model, one.method, "cpu") == Held(whole, whole, 1)
    modules = {id(parameter) for parameter in one.model.parameters()}
    targeted = one.plan.targets.tensors
    assert targeted
    assert {id(parameter) for parameter in (*one.method.updated().values(), *targeted.values())} <= modules


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_divided_backbone_gives_an_outcome_and_is_not_kept(lonely: Shards, device: str) -> None:
    asked, warm, divided, whole = spec("lora"), Warm(DataSource(), device, "cpu"), Outcome(), Outcome()
    execute(asked, warm, divided, "all", ranks=lonely)
    execute(asked, Warm(DataSource(), device), whole, "all")
    assert divided.reusable
    assert not warm.backbones
    assert divided.state is not None
    assert whole.state is not None
    tolerance = 2e-5 if device == "cpu" else 2e-2  # of frozen weights in bf16
    for name, tensor in whole.state.items():
        assert divided.state[name].dtype == torch.float32
        torch.testing.assert_close(divided.state[name], tensor, atol=tolerance, rtol=1e-3)
    assert len(divided.scores) == len(whole.scores) == 1


@pytest.mark.parametrize("method", ["adapter", "goft"])
def test_trained_tensors_beside_the_model_are_refused_before_it_is_divided(method: str) -> None:
    one = started(method)
    with pytest.raises(NotSharded, match="beside the modules of the model; train it without resources.sharded"):
        Shards(0, 2).shard(one.model, one.method, "cpu")
    assert one.outputs().isfinite().all()


def test_a_hook_that_meets_tensors_decides_and_no_name_does() -> None:
    class Penalised(Full):
        def extra_loss(self) -> None:
            return None

    class Renamed(Full):
        def count(self, model: nn.Module, plan: Any) -> int:
            return 0

    check(Method)
    check(Renamed)
    with pytest.raises(NotSharded, match=r"Penalised cannot be trained sharded: .* \(extra_loss\)"):
        check(Penalised)
    refused = []
    for name in (entry.name for entry in registry.methods().values() if not entry.family):
        try:
            check(registry.load_method(name))
        except NotSharded:
            refused.append(name)
    assert {"random_mask", "fish", "magnitude_prune", "pst", "qgoft"} <= set(refused)
    assert not {"base", "full", "head_only", "lora"} & set(refused)


def records(out: Path, methods: list[Any], **changes: Any) -> dict[str, Record]:
    found = run_suite(suite(methods, **{**TOGETHER, **changes}), out=out, workers=1, device="cpu").records
    return {record.spec.method: record for record in found}


def test_a_suite_gives_the_records_of_one_process_and_says_what_cannot_be_sharded(tmp_path: Path) -> None:
    methods: list[Any] = ["base", {"lora": {"rank": 2}}, "full", "adapter", {"random_mask": {"budget": "1%"}}]
    alone = records(tmp_path / "alone", methods[:3], resources={})
    halves = records(tmp_path / "halves", methods)
    refused = [halves.pop(method) for method in ("adapter", "random_mask")]
    assert {(one.status, one.error and one.error.kind) for one in refused} == {("not_applicable", "NotSharded")}
    for method, record in halves.items():
        assert (record.status, record.environment["ranks"], record.environment["sharded"]) == ("ok", 2, True)
        assert "sharded over 2 ranks" in record.notes[-1]
        assert (record.run_id, record.counts) == (alone[method].run_id, alone[method].counts)
        assert record.scores == alone[method].scores
        for here, there in zip(record.validation, alone[method].validation, strict=True):
            assert here.validation_loss == pytest.approx(there.validation_loss, rel=1e-5)
    for method in ("lora", "full"):
        folders = [attempts(tmp_path / out, halves[method].run_id)[0].folder for out in ("alone", "halves")]
        whole, together = (load_file(folder / TRAINED_FILE) for folder in folders)
        for name, tensor in whole.items():
            torch.testing.assert_close(together[name], tensor, atol=2e-5, rtol=1e-3)
        assert export(halves[method].run_id, [tmp_path / "halves"], tmp_path / method).is_dir()
    again, apart = suite(methods, **TOGETHER), suite(methods, **{**TOGETHER, "resources": {}})
    assert states(plan_suite(again, out=tmp_path / "halves")) == ["done"] * 3 + ["not_applicable"] * 2
    assert states(plan_suite(apart, out=tmp_path / "halves")) == ["done"] * 3 + ["todo"] * 2


if __name__ == "__main__":
    main(*sys.argv[1:])
