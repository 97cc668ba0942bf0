from __future__ import annotations

import io
import threading
from typing import Any

from rich.console import Console

from harness.matrix import expand
from harness.record import Counts, Record, Status, TaskScore
from harness.spec import Spec
from runners.progress import Progress, describe, summary, tally
from tests.runners.faulty import suite


def a_console(terminal: bool = False, width: int = 200) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def specs(*methods: Any, **changes: Any) -> tuple[Spec, ...]:
    return expand(suite(list(methods), **changes)).specs


def a_record(spec: Spec, number: float | None, status: Status = "ok") -> Record:
    score = TaskScore(
        task=spec.train,
        split="evaluation",
        num_items=10,
        metrics={"accuracy": number},
        headline="accuracy",
        items_digest="x",
    )
    counts = Counts(trained=1234, head=66, head_trained=True, total=9, stored_bits=1, extra_at_inference=0)
    return Record(
        run_id=spec.run_id,
        attempt=1,
        spec=spec,
        status=status,
        started="",
        ended="",
        scores=(score,) if status == "ok" else (),
        counts=counts if status == "ok" else None,
    )


def shown(found: list[Record]) -> list[list[str]]:
    console = a_console()
    console.print(summary(tally(found)))
    lines = [line.split("│") for line in text(console).splitlines() if "│" in line]
    return [[cell.strip() for cell in line[1:-1]] for line in lines]


def test_a_run_is_described_by_method_values_budget_task_and_seed() -> None:
    (spec,) = specs({"random_mask": {"budget": "1%"}}, seeds=[3])
    assert describe(spec) == "random_mask 1 % embedded/polarity seed 3"


def test_each_ended_run_is_a_line_with_its_reason_on_one_line() -> None:
    console, (first, second) = a_console(), specs("base", {"lora": {"rank": 2}})
    with Progress(console, 2) as progress:
        progress(first, {"type": "started", "run_id": first.run_id, "attempt": 1})
        progress(first, {"type": "ended", "status": "ok", "folder": "x"})
        progress(second, {"type": "ended", "status": "failed", "message": "first line [red]\nsecond line"})
    lines = text(console).splitlines()
    assert lines[0].startswith("[1/2] ok")
    assert lines[1].startswith("[2/2] failed")
    assert lines[1].endswith("first line [red]")
    assert len(lines) == 2


def test_a_lost_run_that_is_tried_again_is_counted_once() -> None:
    console, (spec,) = a_console(), specs("base")
    with Progress(console, 1) as progress:
        progress(spec, {"type": "ended", "status": "lost", "message": "code -9", "again": True})
        progress(spec, {"type": "ended", "status": "ok"})
    assert [line.split()[0] for line in text(console).splitlines()] == ["[again]", "[1/1]"]


def test_runs_that_end_at_once_are_all_counted() -> None:
    console, (spec,) = a_console(), specs("base")
    progress = Progress(console, 400)
    ended = {"type": "ended", "status": "ok"}
    threads = [threading.Thread(target=lambda: [progress(spec, ended) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(line[1:].partition("/")[0]) for line in text(console).splitlines()) == list(range(1, 401))


def test_a_terminal_shows_what_runs_and_how_far_the_matrix_is() -> None:
    console, (first, second) = a_console(terminal=True), specs("base", "full")
    with Progress(console, 2) as progress:
        progress(first, {"type": "ended", "status": "ok"})
        progress(second, {"type": "started", "run_id": second.run_id, "attempt": 1})
        progress(second, {"type": "step", "step": 8, "steps": 16, "loss": 0.6931})
    assert "full embedded/polarity seed 0  step 8/16  loss 0.693" in text(console)
    assert "1 of 2 runs ended (1 ok)" in text(console)


def test_an_interrupt_is_told_in_one_line() -> None:
    console = a_console(width=40)
    Progress(console, 2)(None, {"type": "draining"})
    (line,) = text(console).splitlines()
    assert "again to stop now" in line


def test_the_summary_is_the_mean_over_seeds_and_counts_what_is_not_ok() -> None:
    runs = specs("head_only", seeds=[0, 1, 2])
    found = [a_record(runs[0], 0.5), a_record(runs[1], 0.75), a_record(runs[2], None, "diverged")]
    assert shown(found) == [["head_only", "embedded/polarity", "1,234", "62.5", "2", "1 diverged"]]


def test_the_summary_never_mixes_backbones_or_budgets() -> None:
    runs = specs("base", {"random_mask": {"budget": ["1%", "2%"]}}, backbones=["tiny:bert", "tiny:opt"])
    found = shown([a_record(spec, number / 10) for number, spec in enumerate(runs)])
    assert len(found) == len(runs) == 6
    assert [row[4] for row in found] == ["0.0", "10.0", "20.0", "30.0", "40.0", "50.0"]
    assert {row[0] for row in found} == {"tiny:bert", "tiny:opt"}


def test_the_summary_of_undefined_scores_has_no_number() -> None:
    (spec,) = specs("base")
    assert shown([a_record(spec, None)]) == [["base", "embedded/polarity", "1,234", "-", "0", ""]]
