from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.record import Cost
from runners.plan import Planned
from tests.runners.matrices import a_plan, a_record, ended, specs, started, step, watch, write


def test_states_follow_the_events() -> None:
    (done, first, second) = specs("base", "lora", "full")
    watched = watch(a_plan([first, second], [a_record(done, status="failed")]))
    assert list(watched.states.values()) == ["failed", "todo", "todo"]
    watched(first, started(first))
    watched(first, step(8))
    assert watched.states[first.run_id] == "running"
    assert watched.running[first.run_id].step == step(8)
    watched(first, ended("diverged", "loss became nan"))
    assert watched.states[first.run_id] == "diverged"
    assert not watched.running
    assert (watched.num_ended, watched.total) == (1, 2)
    assert [(one.status, one.message, one.again) for one in watched.problems] == [
        ("diverged", "loss became nan", False)
    ]


def test_a_run_that_is_started_again_waits_again_and_is_counted_once() -> None:
    (spec,) = specs("base")
    watched = watch(a_plan([spec]))
    watched(spec, started(spec))
    watched(spec, ended("lost", "code -9", again=True))
    assert (watched.states[spec.run_id], watched.num_ended, watched.total) == ("todo", 0, 1)
    watched(spec, started(spec))
    watched(spec, ended())
    assert (watched.states[spec.run_id], watched.num_ended, watched.total) == ("ok", 1, 1)


def test_a_run_that_nobody_planned_is_counted_from_its_first_event() -> None:
    first, final = specs("base", "full")
    watched = watch(a_plan([first]))
    watched(first, ended())
    watched(final, started(final))
    assert (watched.num_ended, watched.total) == (1, 2)
    watched(final, ended())
    assert (watched.num_ended, watched.total, watched.states[final.run_id]) == (2, 2, "ok")


def test_runs_that_are_announced_are_counted_once() -> None:
    first, final = specs("base", "full")
    watched = watch(a_plan([first]))
    watched(None, {"type": "added", "runs": 1})
    assert watched.total == 2
    watched(final, started(final))
    watched(final, ended())
    watched(first, ended())
    assert (watched.num_ended, watched.total) == (2, 2)


def test_runs_that_wait_for_the_values_of_a_search_are_counted_and_forecast() -> None:
    trial, first, second = specs("lora", seeds=[0, 1, 2])
    waiting = tuple(Planned(spec, "todo", "after 1 trial", waits=True) for spec in (first, second))
    watched = watch(replace(a_plan([trial]), waiting=waiting), past=[a_record(trial)])
    assert (watched.total, watched.forecast.runs["measured"]) == (3, 3)
    assert watched.seconds_left() == pytest.approx(60.0)
    watched(trial, ended())
    watched(None, {"type": "added", "runs": 2})
    assert (watched.num_ended, watched.total) == (1, 3)
    for spec in (first, second):
        chosen = spec.model_copy(update={"values": {"rank": 2}})
        watched(chosen, started(chosen))
        watched(chosen, ended())
    assert (watched.num_ended, watched.total) == (3, 3)


@pytest.mark.parametrize("planned", [False, True])
def test_finals_that_a_search_leaves_without_values_end_the_count(planned: bool) -> None:
    """They end without having begun, and have the values that the suite states."""
    trial, first, second = specs("lora", seeds=[0, 1, 2])
    finals = (
        Planned(spec, "done" if planned else "todo", "no trial gave values", waits=not planned)
        for spec in (first, second)
    )
    plan = a_plan([trial])
    plan = replace(plan, runs=(*plan.runs, *finals)) if planned else replace(plan, waiting=tuple(finals))
    watched = watch(plan)
    assert watched.total == (1 if planned else 3)
    watched(trial, started(trial))
    watched(trial, ended("diverged"))
    for spec in (first, second):
        watched(spec, ended("cancelled", "no trial gave values"))
    assert (watched.num_ended, watched.total) == (3, 3)
    assert {watched.states[spec.run_id] for spec in (first, second)} == {"cancelled"}
    assert watched.seconds_left() == pytest.approx(0.0)


def test_the_time_left_is_what_past_records_say_shared_by_the_workers() -> None:
    asked = specs("lora", seeds=[0, 1, 2, 3])
    plan, past = a_plan(asked), [a_record(asked[0])]
    assert watch(plan, workers=1, past=past).seconds_left() == pytest.approx(80.0)
    assert watch(plan, workers=2, past=past).seconds_left() == pytest.approx(40.0)
    assert watch(plan, workers=9, past=past).seconds_left() == pytest.approx(20.0)
    assert watch(plan).seconds_left() is None


def test_what_a_run_has_done_is_not_left() -> None:
    first, second = specs("lora", seeds=[0, 1])
    watched = watch(a_plan([first, second]), past=[a_record(first)])
    watched(first, started(first))
    watched.running[first.run_id].began -= 15.0
    assert watched.seconds_left() == pytest.approx(25.0, abs=0.5)
    watched.running[first.run_id].began -= 500.0
    time.sleep(0.05)  # a sum is used again for a moment
    assert watched.seconds_left() == pytest.approx(20.0, abs=0.5)


def test_runs_that_ended_here_say_more_than_past_ones(tmp_path: Path) -> None:
    first, second, third = specs("lora", seeds=[0, 1, 2])
    watched = watch(a_plan([first, second, third]), past=[a_record(first)])
    slow = a_record(first, ended="2026-01-01T00:01:00.000+00:00", cost=Cost(seconds={"fit": 50.0}))
    watched(first, started(first))
    watched(first, ended() | {"folder": str(write(slow, tmp_path))})
    assert watched.seconds_left() == pytest.approx(120.0)


def test_what_is_known_of_the_past_is_as_much_slower_as_today_is(tmp_path: Path) -> None:
    lora, bitfit = specs("lora", "bitfit")
    watched = watch(a_plan([lora, bitfit]), past=[a_record(lora), a_record(bitfit)])
    slow = a_record(lora, ended="2026-01-01T00:01:00.000+00:00", cost=Cost(seconds={"fit": 50.0}))
    watched(lora, started(lora))
    watched(lora, ended() | {"folder": str(write(slow, tmp_path))})
    assert watched.seconds_left() == pytest.approx(60.0), "three times as slow as in the past"


def test_of_what_resembles_nothing_the_mean_of_those_that_ended_is_left() -> None:
    (first,), others = specs("lora"), specs("lora", "bitfit", backbones=["tiny:opt"])
    watched = watch(a_plan([first, *others]))
    watched(first, started(first))
    watched.running[first.run_id].began -= 7.0
    watched(first, ended("failed"))
    assert watched.seconds_left() == pytest.approx(14.0, abs=0.5)


def test_after_an_interrupt_only_what_runs_is_left() -> None:
    first, second = specs("lora", seeds=[0, 1])
    watched = watch(a_plan([first, second]), past=[a_record(first)])
    watched(first, started(first))
    watched(None, {"type": "draining"})
    assert watched.draining
    assert watched.seconds_left() == pytest.approx(20.0, abs=0.5)


def test_the_audience_is_told_after_the_state_is_true() -> None:
    (spec,) = specs("base")
    watched = watch(a_plan([spec]))
    seen = []
    watched.audience.append(lambda spec, event: seen.append((event["type"], dict(watched.states))))
    watched(spec, started(spec))
    watched(spec, ended())
    assert seen == [("started", {spec.run_id: "running"}), ("ended", {spec.run_id: "ok"})]


def test_ten_thousand_runs_are_watched_in_a_fraction_of_a_millisecond_each() -> None:
    (spec,) = specs("base")
    asked = [spec.model_copy(update={"seed": seed}) for seed in range(10_000)]
    watched = watch(a_plan(asked), past=[a_record(spec)])
    began = time.process_time()
    for one in asked[:1000]:
        watched(one, started(one))
        watched(one, ended())
        watched.seconds_left()
    assert time.process_time() - began < 5.0, "the scheduler has 10 ms for each run, whatever is shown"
