"""What scheduling costs: runs that do nothing, and finished matrices that are planned again.

``python -m tests.benchmarks.scheduling [--executor local] [--workers 2] 100 1000 10000`` prints one line for each size;
``--nodes 4 --devices 16`` starts a simulated Ray cluster of so many nodes instead, and a worker for each device:

- queue: milliseconds of the queue alone, for each run;
- scheduler: milliseconds that the scheduler's process computes for each run, its messages and records included;
- wall: milliseconds from the first run to the last, for each, workers' own included: these start no tensor library, but
  open, write and flush an attempt's files as real ones do;
- replan: seconds to find out that a finished matrix of that size needs nothing, from one record a run on disk, by the
  clock and of computing: they differ where others use the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from harness.api import plan_suite
from runners.executor import executor
from runners.queue import Queue
from tests.benchmarks.finished import finish, matrix
from tests.runners.idle import idle, specs
from tests.runners.nodes import nodes
from tests.runners.test_queue import drawn


class Costs(NamedTuple):
    """One line of the table."""

    runs: int
    queue_ms: float
    scheduler_ms: float
    wall_ms: float
    replan_seconds: float
    replan_computing: float


def measure(num: int, folder: Path, **options: str | int | None) -> Costs:
    """Return what so many runs cost to schedule."""
    asked = specs(num)
    began = time.process_time()
    assert len(drawn(Queue(asked))) == num
    queue = time.process_time() - began

    out = folder / "idle"
    out.mkdir()
    with executor(idle(out, **options), lambda spec, event: None, Queue(asked)) as started:
        began, computing = time.perf_counter(), time.process_time()
        started.run()
        wall, scheduler = time.perf_counter() - began, time.process_time() - computing
    assert len(list(out.glob("*/001/record.json"))) == num

    suite = matrix(num)
    finish(suite, folder / "finished")
    began, computing = time.perf_counter(), time.process_time()
    plan = plan_suite(suite, out=folder / "finished")
    replan, planning = time.perf_counter() - began, time.process_time() - computing
    assert plan.ok()
    return Costs(num, 1e3 * queue / num, 1e3 * scheduler / num, 1e3 * wall / num, replan, planning)


def main() -> None:
    """Read what is asked, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scheduling")
    parser.add_argument("sizes", nargs="*", type=int, default=[100, 1000, 10000])
    parser.add_argument("--executor", default="local")
    parser.add_argument("--address")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--devices", type=int, default=1, help="of each node")
    asked = parser.parse_args()
    if asked.nodes and (asked.address or asked.executor != "local"):
        parser.error("--nodes starts a Ray cluster of its own; leave --executor and --address out")
    with nodes(asked.nodes, asked.devices) if asked.nodes else nullcontext() as cluster:
        options = {"executor": asked.executor, "address": asked.address, "workers": asked.workers}
        if cluster:
            options = {"executor": "ray", "address": cluster.address, "workers": None, "device": "auto"}
        table(asked.sizes, options)


def table(sizes: Sequence[int], options: Mapping[str, str | int | None]) -> None:
    """Print what matrices of these sizes cost, a line for each as soon as it is known."""
    sys.stdout.write("   runs  queue ms  scheduler ms  wall ms  replan s  of computing s\n")
    for num in sizes:
        with tempfile.TemporaryDirectory() as folder:
            costs = measure(num, Path(folder), **options)
        queue, scheduler, wall, replan, computing = costs[1:]
        line = f"{num:>7}  {queue:8.3f}  {scheduler:12.2f}  {wall:7.2f}  {replan:8.2f}  {computing:14.2f}\n"
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
