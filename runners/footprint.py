"""Footprint: the highest memory of a row's steps beyond the weights, measured in a fresh process.

On a CPU that is the growth of the resident set over what it was once the backbone was loaded, on a GPU what torch's
allocator held. So that nothing but tensors grows, the process first rehearses the row on a tiny backbone, which loads
the libraries it needs, and takes larger blocks of memory straight from the system, so that a freed one is gone.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from harness import registry
from harness.backbone import Backbone
from harness.errors import NotApplicable
from harness.registry import ROOT
from harness.spec import Budget, Values
from harness.tiny import ARCHITECTURES
from runners import specimen
from runners.bench_row import Row, Setting, begin, conditions

STEPS = 2
"""The optimiser's state, which the first step makes, is there throughout the second."""
BLOCK_BYTES = 1 << 16
"""From this size on memory comes straight from the system, which glibc otherwise decides as it goes."""


class Peaks(NamedTuple):
    """Highest memory beyond the weights, in bytes."""

    start: int
    """While the method was attached and calibrated."""
    steps: int
    """During whole steps."""


class Job(Values):
    """What the fresh process is told."""

    row: Row
    setting: Setting


class MeasuringFailed(RuntimeError):
    """The process that measures ended without a result."""


def measure(row: Row, setting: Setting) -> Peaks | None:
    """Return a row's peaks from a fresh process, null where this system does not tell them.

    Raises:
        MeasuringFailed: with the process's last words.
    """
    places = [str(ROOT), *(place or os.getcwd() for place in sys.path)]
    variables = {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        "PYTHONSAFEPATH": "1",  # else a folder of the user's, named like one of ours, would shadow it
        "OMP_NUM_THREADS": str(setting.threads),
        "MALLOC_MMAP_THRESHOLD_": str(BLOCK_BYTES),
    }
    done = subprocess.run(
        [sys.executable, "-m", "runners.footprint", Job(row=row, setting=setting).model_dump_json()],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or ["it wrote nothing"]
        raise MeasuringFailed(f"the process that measures memory ended with {done.returncode}: {words[0]}")
    peaks = json.loads(done.stdout.splitlines()[-1])
    return None if peaks is None else Peaks(*peaks)


def footprint(row: Row, setting: Setting) -> Peaks | None:
    """Return a row's peaks in this process, which has to be a fresh one; null where the system does not tell them."""
    with conditions(setting):
        backbone = setting.load()
        _rehearse(row, backbone, setting)
        weights = _forget(setting.device)
        _, step = begin(row, backbone, setting)
        at_start = _highest(setting.device)
        _forget(setting.device)
        for _ in range(STEPS):
            step()
        in_steps = _highest(setting.device)
    if weights is None or at_start is None or in_steps is None:
        return None
    return Peaks(at_start - weights, in_steps - weights)


def main() -> None:
    """Measure what the argument says and write the result to standard output."""
    job = Job.model_validate_json(sys.argv[1])
    sys.stdout.write(f"\n{json.dumps(footprint(job.row, job.setting))}\n")


def _rehearse(row: Row, backbone: Backbone, setting: Setting) -> None:
    kind = backbone.files.model_type
    alike = kind if kind in ARCHITECTURES else "bert" if backbone.tokenizer else "vit"
    small = setting.model_copy(update={"reference": f"tiny:{alike}", "batch": 2, "length": 8})
    refusals = []
    for size in _sizes(row, backbone, small):
        try:
            _, step = begin(row.model_copy(update={"budget": size}), small.load(), small)
        except NotApplicable as refusal:
            refusals.append(f"{size or 'its own size'}: {refusal}")
            continue
        for _ in range(STEPS):
            step()
        return
    raise MeasuringFailed(f"{row} cannot be rehearsed on {small.reference} ({'; '.join(refusals)})")


def _sizes(row: Row, backbone: Backbone, small: Setting) -> Iterator[Budget | None]:
    """Yield the size of a row, then what may fit a tiny backbone where that does not.

    For a row of some budget that is the method's own size, where it has one; then the same share of the targeted
    weights, doubled until it reaches a floor that a small backbone has too, such as a whole row of a matrix.
    """
    yield row.budget
    kind = registry.load_method(row.method)
    planned, tiny = specimen.plan(backbone, row.targets), specimen.plan(small.load(), row.targets)
    try:
        own: int | None = kind(kind.Config()).count(backbone.model, planned)
    except (NotApplicable, ValueError):  # ValueError: it has no size of its own
        own = None
    if row.budget and own is not None:
        yield None
    scalars = row.budget.scalars(backbone.num_parameters) if row.budget else own
    here, there = (sum(one.numel() for one in each.targets.tensors.values()) for each in (tiny, planned))
    count = max(1, (scalars or 1) * here // max(1, there))
    while count <= here:
        yield Budget(count=count)
        count *= 2


def _forget(device: str) -> int | None:
    """Forget the highest memory so far; return what is held now."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux
    except OSError:
        return None
    return _status("VmRSS")


def _highest(device: str) -> int | None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM")


def _status(field: str) -> int | None:
    """Return a figure of this process in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")]
    return found[0] if found else None


if __name__ == "__main__":
    main()
