"""Synthetic records: boards of any size, as large per record as real ones, for tests and benchmarks.

Usage: python -m tests.leaderboard.synthetic FOLDER [--entries N] [--tasks N] [--seeds N] [--items N] [--score-only]
Scores follow a model: an entry's skill rises with its size, a task has its own level, seeds differ a little, and items
are easy or hard for everybody. Every thirtieth run has no result. Equal arguments give equal bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.record import ITEMS_FILE, RECORD_FILE
from harness.registry import ROOT
from harness.spec import Budget, Spec, Training
from tests.leaderboard.making import card

METHODS = (
    "lora",
    "random_mask",
    "fish",
    "pst",
    "goft",
    "qgoft",
    "bitfit",
    "adapter",
    "gradient_mask",
    "magnitude_mask",
)
TOTAL = 22_713_216


class Size(NamedTuple):
    """How large a board is."""

    entries: int = 166
    tasks: int = 20
    seeds: int = 3
    items: int = 400
    scored_together: bool = False
    """Whether each run scores every task, instead of one run for each."""


def write(folder: Path, size: Size) -> int:
    """Write the records of a board; return how many."""
    num = 0
    for spec, trained in _specs(size):
        _write_run(folder, spec, trained, size, failed=num % 30 == 29)
        num += 1
    return num


def _specs(size: Size) -> Iterator[tuple[Spec, int]]:
    names = [f"synthetic/task{number:02d}" for number in range(size.tasks)]
    for entry in range(size.entries):
        trained = int(10 ** (3 + 4 * entry / max(1, size.entries - 1)))
        for seed in range(size.seeds):
            for scored in [tuple(names)] if size.scored_together else [(name,) for name in names]:
                yield _spec(entry, trained, scored, seed), trained


def _spec(entry: int, trained: int, scored: tuple[str, ...], seed: int) -> Spec:
    return Spec(
        backbone="package:synthetic/model",
        method=METHODS[entry % len(METHODS)],
        values={"variant": entry // len(METHODS)},
        budget=Budget(count=trained),
        targets="linear",
        train=scored[0],
        score=scored,
        protocol="classify",
        seed=seed,
        training=Training(lr=10.0 ** (-4 + entry % 4)),
    )


def _write_run(folder: Path, spec: Spec, trained: int, size: Size, failed: bool) -> None:
    place = folder / spec.run_id / "001"
    place.mkdir(parents=True)
    cards = {task: card(task) for task in spec.score}
    facts: dict[str, Any] = {
        "run_id": spec.run_id, "attempt": 1, "suite": "synthetic", "spec": spec.model_dump(mode="json"),
        "task_cards": cards, "method_card": _template()["method_card"] | {"name": spec.method}, "error": None,
    }  # fmt: skip
    counts = {"trained": trained, "total": TOTAL, "stored_bits": 32 * trained}
    facts["counts"] = _template()["counts"] | counts
    facts["digests"] = _template()["digests"] | {"items": None, "data_state": dict.fromkeys(spec.score, "complete")}
    if failed:
        facts |= {"status": "failed", "scores": [], "counts": None}
        facts["error"] = {"kind": "RuntimeError", "message": "no luck", "log_tail": ["step 1", "step 2"]}
    else:
        tables = [_items(spec, trained, number, task, size.items) for number, task in enumerate(spec.score)]
        pq.write_table(pa.concat_tables(tables), place / ITEMS_FILE)
        facts["digests"]["items"] = hashlib.sha256((place / ITEMS_FILE).read_bytes()).hexdigest()
        facts |= {
            "status": "ok",
            "scores": [_score(task, table) for task, table in zip(spec.score, tables, strict=True)],
        }
    text = json.dumps(_template() | facts, indent=1, sort_keys=True)
    (place / RECORD_FILE).write_text(text + "\n", encoding="utf-8")


def _items(spec: Spec, trained: int, number: int, task: str, num_items: int) -> pa.Table:
    """Return one task's scored items, right or wrong by skill, task, seed and item."""
    hard = _draw("items", number).normal(size=num_items)
    noise = _draw(spec.run_id, number)
    skill = 0.4 * (np.log10(trained) - 3) + 0.5 * (number % 5) + 0.1 * noise.normal()
    right = noise.random(num_items) < 1 / (1 + np.exp(-(skill - hard)))
    ids = _ids(task, num_items)
    correct: NDArray[np.float64] = right.astype(np.float64)
    words = {"task": [task] * num_items, "item_id": ids, "cluster_id": ids}
    return pa.table({**words, "prediction": ["1" if one else "0" for one in right], "correct": correct})


def _draw(*key: object) -> np.random.Generator:
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))


@cache
def _ids(task: str, num_items: int) -> list[str]:
    return [f"{task}:{number}" for number in range(num_items)]


def _score(task: str, table: pa.Table) -> dict[str, Any]:
    correct = table["correct"].to_numpy()
    return {
        "task": task, "split": "evaluation", "num_items": len(correct), "metrics": {"accuracy": float(correct.mean())},
        "headline": "accuracy", "truncated": 0, "items_digest": task,
    }  # fmt: skip


@cache
def _template() -> dict[str, Any]:
    """Return a published record, so that synthetic ones are as large."""
    found = sorted((ROOT / "leaderboard" / "records" / "glue_minilm").rglob(RECORD_FILE))
    records = (json.loads(path.read_text(encoding="utf-8")) for path in found)
    template: dict[str, Any] = next(record for record in records if record["status"] == "ok" and record["counts"])
    return template


def main() -> None:
    """Write a board's records."""
    parser = argparse.ArgumentParser(prog="python -m tests.leaderboard.synthetic", description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, default in zip(("entries", "tasks", "seeds", "items"), Size(), strict=False):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--score-only", action="store_true", dest="scored_together")
    options = vars(parser.parse_args())
    write(options.pop("folder"), Size(**options))


if __name__ == "__main__":
    main()
