"""Small specs for the tests of runners, and running them in this process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from harness import registry
from harness.data import DataSource
from harness.spec import Spec
from runners.execute import Outcome, execute
from runners.warm import Warm
from tests.methods.attaching import targets_of

TASK = "embedded/agreement"
METHODS = sorted(name for name, entry in registry.methods().items() if not entry.family)


@pytest.fixture(autouse=True, scope="module")
def generated_once() -> Iterator[None]:
    """Generate the task's rows once: that is most of the time of a tiny run, and they are always the same."""
    with pytest.MonkeyPatch.context() as patch:
        task = registry.load_task(TASK)
        patch.setattr(task, "table", cache(task.table))
        yield


def spec(method: str, backbone: str = "tiny:bert", **values: Any) -> Spec:
    training = {"epochs": 1, "batch_size": 16, "max_length": 64, "lr": 1e-2, **values.pop("training", {})}
    asked: dict[str, Any] = {
        "backbone": backbone,
        "method": method,
        "budget": {"fraction": 0.1} if "budget" in registry.methods()[method].card else None,
        "targets": targets_of(method),
        "train": TASK,
        "score": (TASK,),
        "protocol": "classify",
        "sizes": {"train": 48, "validation": 24, "test": 40},
    }
    return Spec.model_validate({**asked, **values, "training": training})


def fresh() -> Warm:
    return Warm(DataSource(), "cpu")


def run(asked: Spec, warm: Warm | None = None, keep: str = "all") -> Outcome:
    outcome = Outcome()
    execute(asked, warm or fresh(), outcome, keep)
    return outcome
