"""Runs on Ray: a cluster on this machine, one of several nodes that loses one, and what it asks for."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingPrerequisite
from harness.matrix import expand
from harness.record import Record
from harness.spec import Spec
from harness.suite import Resources
from runners.attempt import records, unfinished
from runners.executor import check, executor
from runners.process import Options
from runners.queue import Queue
from runners.ray import demand, served, taken_along
from tests.runners.conftest import SIX
from tests.runners.faulty import GATE, suite
from tests.runners.idle import idle, specs
from tests.runners.nodes import add_node, nodes

NODES = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing, and nodes of one core and one device that is not there."""
    with nodes(NODES) as made:
        yield made


def run(options: Options, asked: list[Spec], observe: Any = lambda spec, event: None) -> list[Record]:
    with executor(options, observe, Queue(asked)) as started:
        started.run()
    found = [records(options.out, spec.run_id) for spec in asked]
    assert not any(problems for _, problems in found)
    return [record for readable, _ in found for record in readable]


def test_a_lost_node_costs_what_ran_on_it_which_is_run_again(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    monkeypatch.setenv(GATE, str(gate))
    holding, others = specs(NODES, ends="waits"), specs(40)
    started = threading.Barrier(NODES)
    told: list[Mapping[str, Any]] = []

    def observe(spec: Spec | None, event: Mapping[str, Any]) -> None:
        told.append(event)
        if event["type"] == "started" and gate.exists() and started.wait(60) == 0:  # every node runs something now
            cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        if event["type"] == "ended" and event["status"] == "lost":
            gate.unlink()

    out = tmp_path / "out"
    options = idle(out, executor="ray", address=cluster.address, resources=Resources(gpus=1), workers=None)
    out.mkdir()
    # The held ones are the longest, so that each node gets one first.
    longest = [spec.model_copy(update={"training": spec.training.model_copy(update={"epochs": 9})}) for spec in holding]
    found = run(options, [*longest, *others], observe)
    add_node(cluster)
    assert Counter(record.status for record in found) == {"ok": NODES + 40, "lost": 1}
    (lost,) = [record for record in found if record.status == "lost"]
    assert lost.error is not None
    assert "lost with its actor or node" in lost.error.message
    assert sum(bool(event.get("again")) for event in told) == 1
    assert not list(unfinished(out))


def test_500_runs_that_do_nothing_and_20_real_ones_survive_the_loss_of_a_node_each(
    cluster: Any, tmp_path: Path
) -> None:
    real = list(expand(suite(SIX[:5], seeds=[0, 1, 2, 3])).specs)
    assert len(real) == 20
    for name, asked, program in (("idle", specs(500), "tests.runners.idle"), ("real", real, "runners.worker")):
        ended: list[str] = []

        def observe(spec: Spec | None, event: Mapping[str, Any], ended: list[str] = ended) -> None:
            if event["type"] == "ended":
                ended.append(event["status"])
                if len(ended) == 5:
                    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)

        out = tmp_path / name
        out.mkdir()
        asks = Resources(gpus=1) if name == "idle" else Resources()
        device = "auto" if name == "idle" else "cpu"
        options = idle(out, executor="ray", address=cluster.address, resources=asks, device=device, program=program)
        found = run(Options(**{**vars(options), "workers": None}), asked, observe)
        add_node(cluster)
        assert Counter(record.status for record in found if record.status != "lost") == {"ok": len(asked)}
        assert len(found) - len(asked) <= 1


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    options = idle(tmp_path, executor="ray", address="127.0.0.1:1")
    with pytest.raises(MissingPrerequisite, match="no Ray cluster at '127.0.0.1:1'.*ray start"):
        run(options, specs(1))


def test_an_address_of_rays_client_is_refused_with_the_one_to_take() -> None:
    with pytest.raises(MissingPrerequisite, match="'ray://head:10001' is an address of Ray's client.*--address auto"):
        check("ray", "ray://head:10001")


def test_a_cluster_is_asked_for_what_the_suite_states() -> None:
    def asked(nodes: list[dict[str, float]], **changes: Any) -> dict[str, Any]:
        return demand(Options(Path("out"), **changes), nodes)

    cpus: list[dict[str, float]] = [{"CPU": 8}]
    gpus: list[dict[str, float]] = [{"CPU": 8}, {"CPU": 8, "GPU": 4}]
    assert asked(cpus, device="auto", threads=2) == {"num_cpus": 2}
    assert asked(gpus, device="auto") == {"num_cpus": 1, "num_gpus": 1}
    assert asked(gpus, device="cpu") == {"num_cpus": 1}
    assert asked(gpus, device="auto", runs_per_device=4) == {"num_cpus": 1, "num_gpus": 0.25}
    ranks = Resources(ranks=4)
    assert asked(gpus, device="cuda", threads=2, resources=ranks) == {"num_cpus": 8, "num_gpus": 4}
    assert asked(gpus, device="cpu", threads=2, resources=ranks) == {"num_cpus": 8}
    for refused in ({"resources": Resources(ranks=4, gpus=1)}, {"resources": ranks, "runs_per_device": 2}):
        with pytest.raises(MissingPrerequisite, match="ranks is 4, and each rank trains on a device of its own"):
            asked(gpus, device="cuda", **refused)
    with pytest.raises(MissingPrerequisite, match="runs share a GPU, and no worker is given one; 4 runs on each came"):
        asked(cpus, device="auto", runs_per_device=4)
    resources = Resources(cpus=3, gpus=0.5, accelerator="A100", memory_gb=2)
    all_of_it = {"num_cpus": 3, "num_gpus": 0.5, "accelerator_type": "A100", "memory": 2_000_000_000}
    assert asked(gpus, resources=resources) == all_of_it


@pytest.mark.parametrize(
    ("node", "asked", "count"),
    [
        ({"CPU": 8}, {"num_cpus": 2}, 4),
        ({"CPU": 8, "GPU": 2}, {"num_cpus": 1, "num_gpus": 0.5}, 4),
        ({"CPU": 8}, {"num_cpus": 1, "num_gpus": 1}, 0),
        ({"CPU": 8, "GPU": 2}, {"num_cpus": 1, "num_gpus": 1, "accelerator_type": "A100"}, 0),
        ({"CPU": 8, "GPU": 2, "accelerator_type:A100": 1}, {"num_gpus": 1, "accelerator_type": "A100"}, 2),
    ],
)
def test_a_node_serves_as_many_as_fit(node: dict[str, float], asked: dict[str, Any], count: int) -> None:
    assert served(node, asked) == count


def test_workers_elsewhere_get_what_changes_a_run_and_no_secret() -> None:
    here = {"PARETUNE_MIRROR": "m", "HF_HUB_OFFLINE": "1", "HF_TOKEN": "s", "PATH": "p", "PARETUNE_KEY": "k"}
    assert taken_along(here) == {"PARETUNE_MIRROR": "m", "HF_HUB_OFFLINE": "1"}


def test_the_answer_to_a_signal_stays_ours(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = run(idle(tmp_path, executor="ray", workers=2), specs(4))
    assert signal.getsignal(signal.SIGTERM) is before
    assert [record.status for record in found] == ["ok"] * 4
