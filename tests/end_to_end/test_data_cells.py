"""Every task whose rows are in the mirror runs a small cell through each of its protocols, from spec to record."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.data import DataSource
from harness.protocol import protocol_class
from harness.spec import Spec
from runners.check_task import TINY
from runners.warm import Warm
from runners.worker import run_one
from tests.runners.faulty import printing_as_a_worker

SIZES = {"train": 12, "validation": 6, "test": 12}
QUICK: dict[str, dict[str, Any]] = {"generate": {"num_beams": 2, "max_new_tokens": 8}}
"""Protocol to values that keep a cell small."""


def _cells() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return trained task, protocol and all tasks that the trained model is scored on."""
    together: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, entry in registry.tasks().items():
        card = registry.load_task(entry.name).card
        if card.hidden_labels or not card.source.hub:
            continue
        for protocol in card.protocols:
            together[card.score_only_with or name, protocol].append(name)
    return [(train, protocol, tuple(score)) for (train, protocol), score in sorted(together.items())]


CELLS = _cells()


@cache
def _warm() -> Warm:
    return Warm(DataSource.of(), "cpu")


@pytest.mark.data
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("train", "protocol", "score"), CELLS, ids=[f"{train}-{how}" for train, how, _ in CELLS])
def test_a_small_cell_runs_from_spec_to_record(
    tmp_path: Path, train: str, protocol: str, score: tuple[str, ...]
) -> None:
    source = DataSource.of()
    here = tuple(name for name in score if source.reach(registry.load_task(name)) != "missing")
    if source.reach(registry.load_task(train)) == "missing" or not here:
        pytest.skip(f"data: {train} is not in the mirror")
    official = "validation" in registry.load_task(train).card.source.splits
    asked = Spec(
        backbone=TINY[protocol_class(protocol).KINDS[0]],
        method="random_mask",
        budget={"fraction": 0.1},  # type: ignore[arg-type]  # pydantic makes a budget of it
        train=train,
        score=here,
        protocol=protocol,
        options=QUICK.get(protocol, {}),
        policy="final_on_all" if official and protocol == "image" else "held_out",
        sizes=SIZES,  # type: ignore[arg-type]
        training={"epochs": 1, "batch_size": 4, "max_length": 400, "lr": 1e-2},  # type: ignore[arg-type]
    )
    with printing_as_a_worker():
        record, folder, healthy = run_one(asked, tmp_path, _warm(), None, "final", lambda event: None)
    assert record.status == "ok", record.error
    assert healthy, "the backbone came back bit by bit"
    assert [block.task for block in record.scores] == list(here)
    for block in record.scores:
        assert block.num_items > 0
        assert block.headline in block.metrics
    assert (folder / "items.parquet").stat().st_size > 0
    # A record is small, except where one model is scored on very many tasks (all subjects of MMLU), each with its card.
    assert (folder / "record.json").stat().st_size < max(50_000, 2_500 * len(here))
