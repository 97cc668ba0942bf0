"""Methods of a third party that go wrong in every way, installed as pip would, and small suites to run them in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from harness import provenance
from harness.backbone import locate
from harness.data import DataSource
from harness.matrix import expand
from harness.record import Digests, Record
from harness.spec import Spec
from harness.suite import Suite, parse
from runners.attempt import close_without_worker, open_attempt
from runners.plan import Plan
from tests.harness.plugins import forget, write_distribution

GATE = "PARETUNE_TEST_GATE"
"""Names a file; the methods ``waiting`` and ``waiting_late`` (which has told of a step) go on when it is removed."""
SECRET = "Kq7vXw2LmZ94Tt0B"
"""The value of a variable whose name says that it is a token."""
HEAD = """
import os, resource, subprocess, sys, time

import torch

from harness.errors import MissingPrerequisite, NotApplicable
from harness.method import Method

CARD = {{
    "name": "{name}", "title": "A method that misbehaves", "paper": "none", "url": "", "year": 2025, "code": None,
    "version": 1, "count": "0", "starts_at_identity": True, "differs": [], "tuned": {{}}, "targets": "none",
}}


class Faulty(Method):
{body}


METHOD = Faulty
"""
BODIES = {
    "waiting": """
    def after_step(self, step):
        print(f"reached step {step}")
        while os.path.exists(os.environ["PARETUNE_TEST_GATE"]):
            time.sleep(0.02)
""",
    "waiting_late": """
    def after_step(self, step):
        print(f"stands after step {step}")
        while step > 8 and os.path.exists(os.environ["PARETUNE_TEST_GATE"]):
            time.sleep(0.02)
""",
    "in_attach": """
    def attach(self, model, plan, streams):
        raise RuntimeError("attach went wrong")
""",
    "in_hook": """
    def after_backward(self):
        raise KeyError("a hook went wrong")
""",
    "in_finalize": """
    def finalize(self, model):
        raise ZeroDivisionError("finalize went wrong")
""",
    "in_merge": """
    def merge(self, model):
        raise RuntimeError("merge went wrong")
""",
    "exhausts": """
    def attach(self, model, plan, streams):
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), limits[1]))
        try:
            self.much = [bytearray(8 << 20) for _ in range(1000)]
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
""",
    "in_count": """
    def count(self, model, plan):
        raise TypeError("count went wrong")
""",
    "leaves": """
    def after_step(self, step):
        sys.exit("enough")
""",
    "interrupted": """
    def after_step(self, step):
        raise KeyboardInterrupt
""",
    "starved": """
    def attach(self, model, plan, streams):
        raise MemoryError
""",
    "starved_on_device": """
    def after_backward(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
""",
    "greedy": """
    def attach(self, model, plan, streams):
        self.much = torch.empty(1 << 58, dtype=torch.uint8)
""",
    "refuses": """
    def attach(self, model, plan, streams):
        raise NotApplicable("smallest is 7")
""",
    "lacks": """
    def attach(self, model, plan, streams):
        raise MissingPrerequisite("the library is not here; install it")
""",
    "leaky": """
    def attach(self, model, plan, streams):
        secret = os.environ["MY_API_TOKEN"]
        print("python says", secret)
        print("no line end", secret, end="")
        for descriptor in (1, 2):
            os.write(descriptor, f"C says {secret}\\n".encode())
        subprocess.run(["sh", "-c", "echo a child says $MY_API_TOKEN"], check=True)
        raise RuntimeError(f"could not log in with {secret} from {__file__}")
""",
    "wordy": """
    def attach(self, model, plan, streams):
        print("x" * 100_000)
        raise RuntimeError("y" * 100_000 + chr(0xDC80))
""",
    "forks_and_dies": """
    def after_step(self, step):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        os.kill(os.getpid(), 9)
""",
    "asks": """
    def attach(self, model, plan, streams):
        print("read", repr(sys.stdin.read()))
""",
    "infinite": """
    def zeros(self):
        return (float("inf"), 1)
""",
    "fills_disk": """
    def attach(self, model, plan, streams):
        self.train_dense({name: p for name, p in model.named_parameters() if name not in plan.head})

    def count(self, model, plan):
        return plan.total

    def finalize(self, model):
        limit = int(os.environ.get("PARETUNE_TEST_LIMIT", 400))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
""",
    "scaled": """
    def extra_loss(self):
        return 1.0 * sum((p ** 2).sum() for p in self.updated().values())
""",
}


def source(name: str) -> str:
    """Return the file of one method."""
    return HEAD.format(name=name, body=BODIES[name])


def install(folder: Path, names: tuple[str, ...] = tuple(BODIES)) -> Path:
    """Write one distribution per method; return the folder, which belongs on the import path."""
    for name in names:
        module = f"faulty_{name}"
        write_distribution(
            folder, {f"{module}.py": source(name)}, {"paretune.methods": module}, name=module.replace("_", "-")
        )
    return folder


@contextmanager
def installed(folder: Path) -> Iterator[Path]:
    """Put a folder on the import path for a while."""
    sys.path.append(str(folder))
    forget()
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        forget()


def content(methods: list[Any], **changes: Any) -> dict[str, Any]:
    """Return a suite as YAML holds it: one tiny backbone, one generated task, sizes that run in well under a second."""
    return {
        "name": "faults",
        "backbones": ["tiny:bert"],
        "methods": methods,
        "tasks": ["embedded/polarity"],
        "sizes": {"train": 64, "validation": 16, "test": 32},
        "seeds": [0],
        "training": {"epochs": 1, "batch_size": 4, "max_length": 32, "lr": 0.01},
        **changes,
    }


def suite(methods: list[Any], **changes: Any) -> Suite:
    """Return that suite, read."""
    return parse(content(methods, **changes))


def write_suite(path: Path, methods: list[Any], **changes: Any) -> Path:
    """Write that suite to a file."""
    path.write_text(yaml.safe_dump(content(methods, **changes)), encoding="utf-8")
    return path


def run_here(
    out: Path, method: Any, keep: str = "final", warm: Any = None, **changes: Any
) -> tuple[Record, Path, bool]:
    """Run one method in this process as a worker does."""
    from runners.warm import Warm
    from runners.worker import run_one

    (spec,) = expand(suite([method], **changes)).specs
    out.mkdir(exist_ok=True)
    with printing_as_a_worker():
        return run_one(spec, out, warm or Warm(DataSource(), "cpu"), "faults", keep, lambda event: None)


@contextmanager
def printing_as_a_worker() -> Iterator[None]:
    """Let what Python prints go to the descriptors of this process, and not to pytest's own streams."""
    with (
        open(1, "w", buffering=1, closefd=False) as out,
        open(2, "w", buffering=1, closefd=False) as errors,
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        yield


def answer(record: Record) -> Mapping[str, Any]:
    """Return what two runs of one spec must have in common to the last bit."""
    known = record.model_dump(
        mode="json",
        include={"run_id", "status", "validation", "best_epoch", "scores", "counts", "method_config", "sparsity"},
    )
    return known | {"items": record.digests.items}


def contents(out: Path) -> dict[str, bytes]:
    """Return every file below a folder but the schedulers' own, by its path there."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent != out
    }


def states(plan: Plan) -> list[str]:
    """Return the state of each run."""
    return [run.state for run in plan.runs]


def history(out: Path, spec: Spec, attempts: Sequence[tuple[Any, bool]]) -> None:
    """Write one attempt per status; the flag says whether it is of today's code."""
    today = provenance.Today(DataSource(), {spec.backbone: locate(spec.backbone)})
    expected = today.digest(spec)
    for status, current in attempts:
        digests = Digests(provenance=expected if current else "another")
        close_without_worker(open_attempt(out, spec, "faults"), status, "X", "because", digests)
