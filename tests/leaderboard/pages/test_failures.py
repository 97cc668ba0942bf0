"""The page of what has no number."""

from __future__ import annotations

from pathlib import Path

from harness.record import Failure
from leaderboard.load import load_records
from leaderboard.pages.failures import pages
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import visible, write_small_board


def page(folder: Path, stale: dict[str, str] | None = None) -> str:
    (made,) = pages(Site.of(load_records([folder]), stale or {}))
    return made.to_bytes().decode()


def test_a_board_without_failures_says_so(tmp_path: Path) -> None:
    Made(items={"glue/sst2": answers(20, 3)}).write(tmp_path)
    assert "Every run here has a result" in visible(page(tmp_path))


def test_equal_reasons_are_one_line_with_a_command_and_every_run_behind_it(tmp_path: Path) -> None:
    made = [
        Made(seed=seed, status="failed", error=Failure(kind="OSError", message=f"disk {seed} is full", log_tail=("x",)))
        for seed in range(200)
    ]
    for one in made:
        one.write(tmp_path)
    markup = page(tmp_path)
    text = visible(markup)
    assert "failed 200 OSError: disk 0 is full in 200 wordings that differ in numbers" in text
    assert "paretune run small --retry failed --only method=lora,task=glue/sst2" in text
    assert all(f'href="runs/{one.run_id}.html"' in markup for one in made)
    assert text.count("with log") == 200
    assert "Failed 200 Not applicable 0 Stale 0 Unfinished attempts 0 Unreadable files 0" in text


def test_what_makes_no_sense_has_no_command(tmp_path: Path) -> None:
    below = Failure(kind="NotApplicable", message="smallest is 3,000")
    Made("pst", status="not_applicable", error=below).write(tmp_path)
    text = visible(page(tmp_path))
    assert "What went wrong" not in text
    assert "not applicable 1 smallest is 3,000" in text
    assert "paretune run" not in text


def test_stale_unreadable_and_unfinished_are_told(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    runs = load_records([tmp_path]).runs
    broken, unfinished = (tmp_path / name / "001" for name in ("0" * 16, "1" * 16))
    for folder, name in ((broken, "record.json"), (unfinished, "started.json")):
        folder.mkdir(parents=True)
        (folder / name).write_text("{")
    text = visible(page(tmp_path, {run.run_id: "tasks/glue.py has changed" for run in runs}))
    assert "tasks/glue.py has changed 21 runs" in text
    assert "1 attempt started and left no record" in text
    assert "not a record" in text
