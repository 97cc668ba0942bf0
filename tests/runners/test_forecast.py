from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environment import describe
from harness.record import Cost
from runners.forecast import FORWARD, Forecast, Speeds, device_kind, duration, forecast, job, past, wall_seconds
from tests.runners.matrices import SECONDS, a_record, specs, write
from tests.runners.test_queue import a_spec


def test_an_equal_run_is_expected_to_take_what_it_took_phase_by_phase() -> None:
    first, again = specs("lora", seeds=[0, 1])
    found = Speeds([a_record(first)]).estimate(job(again))
    assert found is not None
    assert found.basis == "cell"
    assert found.seconds == pytest.approx({"start": 4.0, "fit": 10.0, "validate": 2.0, "score": 4.0})
    assert found.total == pytest.approx(20.0)


def test_training_grows_with_rows_epochs_and_length_scoring_with_its_own_rows_and_the_start_with_nothing() -> None:
    (small,) = specs("lora")
    (large,) = specs(
        "lora",
        sizes={"train": 128, "validation": 16, "test": 96},
        training={"epochs": 3, "batch_size": 4, "max_length": 64, "lr": 0.01},
    )
    found = Speeds([a_record(small)]).estimate(job(large))
    assert found is not None
    assert found.seconds == pytest.approx({"start": 4.0, "fit": 120.0, "validate": 12.0, "score": 24.0})


@pytest.mark.parametrize(
    ("method", "changes", "basis"),
    [
        ("lora", {}, "cell"),
        ("lora", {"tasks": ["embedded/agreement"]}, "method"),
        ("bitfit", {}, "backbone"),
        ("lora", {"backbones": ["tiny:opt"]}, None),
    ],
)
def test_the_nearest_evidence_counts_and_without_any_nothing_is_said(
    method: str, changes: dict[str, Any], basis: str | None
) -> None:
    (known,), (asked,) = specs("lora"), specs(method, **changes)
    found = Speeds([a_record(known)]).estimate(job(asked))
    assert (found.basis if found else None) == basis


def test_what_is_not_ok_or_of_a_task_that_is_not_here_teaches_nothing() -> None:
    (spec,) = specs("lora")
    gone = spec.model_copy(update={"train": "plugin/gone", "score": ("plugin/gone",)})
    failed = a_record(spec, status="failed", cost=Cost(seconds={"fit": 3.0}))
    assert Speeds([failed, a_record(gone)]).estimate(job(spec)) is None


SIZES = {"train": 100, "validation": 10, "test": 30}


def test_where_nothing_ended_the_order_is_that_of_rows_epochs_and_tokens() -> None:
    length = Speeds().length
    spec = a_spec(sizes=SIZES, training={"epochs": 2, "max_length": 50})
    assert length(spec) == pytest.approx((200 + FORWARD * 20 + FORWARD * 30) * 50)
    assert length(a_spec(sizes=SIZES, training={"epochs": 4, "max_length": 50})) > length(spec)
    assert length(a_spec(sizes=SIZES, training={"epochs": 2, "max_length": 50}, purpose="trial")) < length(spec)
    assert length(a_spec(sizes={"train": 10**9})) == length(a_spec())  # the rows that the card states
    assert length(a_spec(sizes={"train": 1})) < length(a_spec())


def test_the_order_takes_seconds_from_the_nearest_runs_and_for_what_none_resembles_from_all() -> None:
    known = [a_record(a_spec(method="lora")), a_record(a_spec(method="full"), cost=Cost(seconds={"fit": 60.0}))]
    length = Speeds(known).length
    assert length(a_spec(method="lora", seed=1)) == pytest.approx(20.0)
    assert length(a_spec(method="full", seed=1)) == pytest.approx(60.0)
    assert length(a_spec(method="bitfit")) == pytest.approx(40.0)
    assert length(a_spec(backbone="tiny:llama")) == pytest.approx(40.0)  # in seconds as well, or it would go first


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6, unique=True), st.booleans())
def test_every_run_has_a_place_in_the_order_whatever_is_known(epochs: list[int], known: bool) -> None:
    asked = [a_spec(training={"epochs": one}) for one in epochs]
    length = Speeds([a_record(a_spec(backbone="tiny:llama"))] if known else ()).length
    assert sorted(asked, key=length) == sorted(asked, key=lambda spec: spec.training.epochs)


def test_trials_say_nothing_of_how_long_scoring_takes() -> None:
    (final,) = specs("lora")
    trial = final.model_copy(update={"purpose": "trial"})
    speeds = Speeds([a_record(trial, cost=Cost(seconds={"fit": 10.0}))])
    assert speeds.estimate(job(final)) is None
    assert speeds.estimate(job(trial)) is not None


def test_a_clock_that_was_set_back_leaves_the_sum_of_the_phases() -> None:
    (spec,) = specs("lora")
    assert wall_seconds(a_record(spec)) == 20.0
    back = a_record(spec, ended="2025-12-31T23:00:00.000+00:00")
    assert wall_seconds(back) == pytest.approx(sum(SECONDS.values()))


def test_a_forecast_adds_up_and_says_how_much_of_it_is_guessed_or_unknown() -> None:
    known, *_ = specs("lora")
    asked = [*specs("lora", seeds=[0, 1]), *specs("bitfit"), *specs("lora", backbones=["tiny:opt"])]
    found = forecast(map(job, asked), Speeds([a_record(known)]), "cpu x, 1 thread", 2)
    assert found.runs == {"measured": 2, "guessed": 1, "unknown": 1}
    assert (found.seconds, found.guessed_seconds, found.wall) == pytest.approx((60.0, 20.0, 30.0))
    assert found.phases == pytest.approx({"start": 12.0, "fit": 30.0, "validate": 6.0, "score": 12.0})
    assert str(found) == (
        "forecast: 30 s (60 s of work on 2 workers) on cpu x, 1 thread: 2 runs measured before, 1 guessed from other "
        "methods or tasks (33% of the time), 1 unknown: no record of their backbone on this device, not in this time"
    )
    assert found.as_json()["seconds"] == 30.0


def test_one_long_run_cannot_be_shared_by_workers() -> None:
    (spec,) = specs("lora")
    assert forecast([job(spec)], Speeds([a_record(spec)]), "cpu", 8).wall == pytest.approx(20.0)


def test_where_nothing_is_known_no_number_is_made_up() -> None:
    found = forecast(map(job, specs("lora")), Speeds(), "cpu x", 1)
    assert found.wall is None
    assert found.as_json()["seconds"] is None
    assert str(found) == "forecast: none, 1 unknown: no record of their backbone on this device (cpu x)"
    assert forecast((), Speeds(), "cpu x", 1) == Forecast(
        "cpu x", 1, 0.0, dict.fromkeys(SECONDS_KEYS, 0.0), 0.0, 0.0, NONE
    )


SECONDS_KEYS = ("start", "fit", "validate", "score")
NONE = {"measured": 0, "guessed": 0, "unknown": 0}


def test_only_records_of_the_same_kind_of_device_and_threads_count(tmp_path: Path) -> None:
    spec, other, third, fourth = specs("lora", seeds=[0, 1, 2, 3])
    here = describe("cpu", 1)
    write(a_record(spec, environment=here, cost=Cost(seconds={"fit": 100.0})), tmp_path)
    write(a_record(other, environment=here | {"processor": "another"}), tmp_path)
    write(a_record(third, environment=here | {"threads": 4}), tmp_path)
    write(a_record(fourth, environment=here | {"device": "cuda:0", "gpu": "H100"}), tmp_path)
    kind, speeds = past(tmp_path, "cpu", 1)
    found = speeds.estimate(job(spec))
    assert kind == f"cpu {here['processor']}, 1 thread"
    assert found is not None
    assert found.seconds["fit"] == pytest.approx(100.0)


def test_a_gpu_is_known_by_its_name_whatever_its_number() -> None:
    here = describe("cpu", 1) | {"gpu": "H100"}
    assert device_kind(here | {"device": "cuda:3"}) == device_kind(here | {"device": "cuda", "threads": 9}) == "H100"


def test_published_records_forecast_a_shipped_suite(tmp_path: Path) -> None:
    """A folder that is not there yet leaves the published records."""
    from runners.found import PUBLISHED, contents

    records = [found.record for attempts in contents([PUBLISHED]).runs.values() for found in attempts]
    one = next(record for record in records if record.status == "ok")
    kind, speeds = past(tmp_path / "new", "cpu", 1)
    expected = speeds.estimate(job(one.spec))
    assert (expected is not None) == (device_kind(one.environment) == kind)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0 s"), (99, "99 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_duration_is_as_exact_as_it_deserves(seconds: float, words: str) -> None:
    assert duration(seconds) == words
