"""A small board that several tests look at, and its pages as a reader sees them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from harness.record import Failure
from harness.spec import Budget
from tests.leaderboard.making import Made, answers, card

TASKS = {
    "glue/sst2": card("glue/sst2") | {"title": "SST-2"},
    "glue/cola": card("glue/cola", "matthews", "", chance=0.0) | {"title": "CoLA"},
}
METHODS: dict[str, dict[str, Any]] = {
    "head_only": {"method": "head_only", "trained": 0, "wrong": 40},
    "low": {"method": "random_mask", "budget": Budget(fraction=1e-4), "trained": 2271, "wrong": 20},
    "high": {"method": "random_mask", "budget": Budget(fraction=1e-2), "trained": 227_132, "wrong": 10},
}
ENVIRONMENT = {"torch": "2.13.0"}


def write_small_board(folder: Path) -> None:
    """Write 21 runs: two tasks, a line, a curve of two budgets, one single seed, and two runs without a result."""
    for seed in range(3):
        for task in TASKS:
            for facts in METHODS.values():
                values = {name: value for name, value in facts.items() if name != "wrong"}
                made = Made(**values, task=task, seed=seed, cards=TASKS, environment=ENVIRONMENT)
                made.items = {task: answers(100, facts["wrong"] + seed, seed)}
                made.state = "carved" if task == "glue/cola" else "complete"
                made.write(folder)
    Made("full", cards=TASKS, status="diverged", error=Failure(kind="Diverged", message="loss is NaN")).write(folder)
    below = Failure(kind="NotApplicable", message="smallest is 3,000")
    Made("pst", budget=Budget(count=10), cards=TASKS, status="not_applicable", error=below).write(folder)
    single = Made("lora", values={"rank": 8}, cards=TASKS, trained=9000, environment=ENVIRONMENT)
    single.items = {"glue/sst2": answers(100, 15, 9)}
    single.write(folder)


def visible(markup: str) -> str:
    """Return the text of some markup as a reader sees it, with single spaces."""
    text = re.sub(r"<(style|svg).*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).replace("\u00a0", " ").split())


def words(page: Path) -> str:
    """Return the text of a page."""
    return visible(page.read_text(encoding="utf-8"))
