"""The local executor: warm worker processes on this machine, spread over its devices."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import psutil

from harness.backbone import BackboneFiles, locate
from harness.spec import Spec
from harness.suite import BadSuite
from runners.executor import Executor
from runners.process import Options, WorkerProcess
from runners.seat import LocalSeat, Seat
from runners.spares import Spares

WORKER_BYTES = 400 << 20
"""What a worker takes before it loads weights: 300 MB of libraries, and a task's encoded rows."""
COPIES = 5
"""How often a backbone's weights lie in memory at worst: pristine, in training, gradients and the optimiser's two."""
WEIGHTS = (".safetensors", ".gguf", ".bin")
VISIBLE = "CUDA_VISIBLE_DEVICES"


class LocalExecutor(Executor):
    """Runs jobs on worker processes of this machine."""

    @classmethod
    def missing(cls, address: str | None) -> str | None:
        """Return that this machine has no address: its workers would be run here, and not where it says."""
        if address is None:
            return None
        return (
            f"--address is of a cluster, and {address!r} came; add --executor ray, or leave it out to use this machine"
        )

    def seat(self, lane: int) -> Seat:
        """Return a seat on the device whose turn it is."""
        return LocalSeat(self.options, _variables(self.options, lane), self.spares.take(lane))

    def doubts(self, specs: Sequence[Spec]) -> list[str]:
        """Return the arithmetic where the memory of this machine does not serve so many workers."""
        files = [locate(reference) for reference in dict.fromkeys(spec.backbone for spec in specs)]
        workers, available = min(self.num_seats(), len(specs)), psutil.virtual_memory().available
        workers *= self.options.resources.ranks
        copies = COPIES if self.options.device == "cpu" else 1
        return list(too_many(workers, max(map(weight_bytes, files), default=0), available, copies))


def start_early(options: Options, num_runs: int) -> Spares:
    """Start the workers of so many runs before it is known what these are: loading libraries takes seconds."""
    lanes = range(min(options.workers or 1, num_runs))
    return Spares([WorkerProcess(options, options.threads, _variables(options, lane)) for lane in lanes])


def default_workers(threads: int, device: str = "cpu", runs_per_device: int = 1, ranks: int = 1) -> int:
    """Return how many workers the cores that this process may use serve, or its devices."""
    if device.startswith("cuda"):
        return max(1, num_devices(device) * runs_per_device // ranks)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // (threads * ranks))


def num_devices(device: str) -> int:
    """Return over how many devices a name spreads workers: ``cuda`` means all that are visible, ``cuda:N`` one."""
    if device != "cuda":
        return 1
    import torch

    return torch.cuda.device_count()


def check_ranks(device: str, count: int, ranks: int) -> None:
    """Refuse more ranks than a name stands for devices: each trains on one of its own.

    Raises:
        BadSuite: with what to do.
    """
    if ranks > count:
        raise BadSuite(
            f"resources.ranks is {ranks}, and each rank trains on a device of its own; {device} has {count}, so take "
            f"fewer ranks, or --device cpu, or a cluster"
        )


def too_many(workers: int, weights: int, available: int, copies: int = COPIES) -> Iterable[str]:
    """Yield a warning if so many workers on a backbone of so many bytes may not fit into the available bytes."""
    each = WORKER_BYTES + copies * weights
    if workers * each > available:
        yield (
            f"{workers} workers may take {_gb(workers * each)} ({_gb(WORKER_BYTES)} each, and {copies} times the "
            f"{_gb(weights)} of the largest backbone), but {_gb(available)} are free; "
            f"--workers {max(1, available // each)} would fit"
        )


def weight_bytes(files: BackboneFiles) -> int:
    """Return the bytes of a backbone's weight files; none for one that is made and not read."""
    found = files.folder.iterdir() if files.folder else ()
    return sum(path.stat().st_size for path in found if path.suffix in WEIGHTS)


def visible_to(index: int, visible: str | None) -> str:
    """Return what a worker may see of the devices so that the ``index``-th of those visible here is its only one."""
    names = visible.split(",") if visible else []
    return names[index].strip() if names else str(index)


def _variables(options: Options, lane: int) -> Mapping[str, str]:
    count, ranks = num_devices(options.device), options.resources.ranks
    own = [(lane * ranks + rank) % count for rank in range(ranks)] if count > 1 else []
    # A worker that sees one device calls it cuda: its records then differ in nothing from those of another's.
    return {VISIBLE: ",".join(visible_to(index, os.environ.get(VISIBLE)) for index in own)} if own else {}


def _gb(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"


EXECUTOR = LocalExecutor
