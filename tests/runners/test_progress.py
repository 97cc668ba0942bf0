from __future__ import annotations

import io
import threading

from rich.console import Console

from runners.progress import Progress
from runners.watched import Watched
from tests.runners.matrices import a_plan, ended, specs, started, step, watch


def a_console(terminal: bool = False, width: int = 200, height: int = 30) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, height=height, highlight=False, color_system=None
    )


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def told(console: Console, watched: Watched) -> Progress:
    """Return a view that is told what its matrix is told."""
    progress = Progress(console, watched)
    watched.audience.append(progress)
    return progress


def test_each_ended_run_is_a_line_with_its_reason_on_one_line() -> None:
    console, (first, second) = a_console(), specs("base", {"lora": {"rank": 2}})
    watched = watch(a_plan([first, second]))
    with told(console, watched):
        watched(first, started(first))
        watched(first, ended())
        watched(second, ended("failed", "first line [red]\nsecond line"))
    lines = shown(console).splitlines()
    assert lines[0].startswith("[1/2] ok")
    assert lines[1].startswith("[2/2] failed")
    assert lines[1].endswith("first line [red]")
    assert len(lines) == 2


def test_a_lost_run_that_is_tried_again_is_counted_once() -> None:
    console, (spec,) = a_console(), specs("base")
    watched = watch(a_plan([spec]))
    with told(console, watched):
        watched(spec, ended("lost", "code -9", again=True))
        watched(spec, ended())
    assert [line.split()[0] for line in shown(console).splitlines()] == ["[again]", "[1/1]"]


def test_runs_that_end_at_once_are_all_counted() -> None:
    console, asked = a_console(), specs("base", seeds=list(range(200)))
    watched = watch(a_plan(asked))
    told(console, watched)
    threads = [
        threading.Thread(target=lambda part=part: [watched(spec, ended()) for spec in asked[part::4]])
        for part in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [line.partition("]")[0][1:] for line in shown(console).splitlines()]
    assert numbers == [f"{number}/200" for number in range(1, 201)]


def test_a_terminal_shows_the_grid_what_runs_what_went_wrong_and_the_time_left() -> None:
    console, (first, second, third) = a_console(terminal=True), specs("base", "head_only", "full")
    watched = watch(a_plan([first, second, third]))
    with told(console, watched):
        watched(first, started(first))
        watched(first, ended())
        watched(second, ended("failed", "no luck"))
        watched(third, started(third))
        watched(third, step(8))
    text = shown(console)
    assert "full embedded/polarity seed 0  step 8/16  loss 0.693" in text
    assert "failed: head_only embedded/polarity seed 0: no luck" in text
    assert "▸ 1 running  ✗ 1 failed  ● 1 ok" in text
    assert "2 of 3 runs ended, 0 s, about 0 s left" in text
    assert "base      ●" in text


def test_a_console_without_unicode_gets_plain_signs() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=stream, force_terminal=True, width=80, height=24, color_system=None)
    (spec,) = specs("base")
    watched = watch(a_plan([spec]))
    with told(console, watched):
        watched(spec, started(spec))
        watched(spec, ended())
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    assert b"o 1 ok" in stream.buffer.getvalue()


def test_the_picture_fits_a_small_terminal_and_counts_what_it_leaves_out() -> None:
    asked = specs("base", "head_only", "full", {"random_mask": {"budget": ["1%", "2%", "3%"]}}, seeds=list(range(6)))
    for width, height in ((40, 12), (30, 8), (20, 4), (200, 80)):
        console = a_console(terminal=True, width=width, height=height)
        watched = watch(a_plan(asked))
        progress = told(console, watched)
        for spec in asked[:20]:
            watched(spec, started(spec))
        console.print(progress._view())
        lines = shown(console).splitlines()
        assert len(lines) < height
        assert max(map(len, lines)) <= width
        assert "▸ 20 running" in lines[-2]
        assert ("more running" in shown(console)) == (height < 80)


def test_an_interrupt_and_a_warning_are_a_line_each() -> None:
    console = a_console(width=40)
    watched = watch(a_plan(specs("base")))
    told(console, watched)
    for event in (
        {"type": "draining"},
        {"type": "added", "runs": 3},
        {"type": "warning", "message": "too many [workers]"},
    ):
        watched(None, event)
    first, second = shown(console).splitlines()
    assert "again to stop now" in first
    assert second == "warning: too many [workers]"
