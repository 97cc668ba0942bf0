from __future__ import annotations

from harness.record import Cost, Record
from harness.spec import Spec
from runners.estimate import FORWARD, Speeds, work
from tests.runners.test_queue import a_record, a_spec


def timed(spec: Spec, seconds: float, device: str = "cpu") -> Record:
    changes = {"cost": Cost(seconds={"fit": seconds}), "environment": {"device": device}}
    return a_record(spec).model_copy(update=changes)


def test_work_grows_with_rows_epochs_and_tokens() -> None:
    sizes = {"train": 100, "validation": 10, "test": 30}
    spec = a_spec(sizes=sizes, training={"epochs": 2, "max_length": 50})
    assert work(spec) == (200 + FORWARD * 20 + FORWARD * 30) * 50
    assert work(a_spec(sizes=sizes, training={"epochs": 4, "max_length": 50})) > work(spec)
    assert work(a_spec(sizes=sizes, training={"epochs": 2, "max_length": 50}, purpose="trial")) < work(spec)


def test_rows_are_those_of_the_card_where_the_suite_takes_all() -> None:
    assert work(a_spec(sizes={"train": 10**9})) == work(a_spec())
    assert work(a_spec(sizes={"train": 1})) < work(a_spec())


def test_seconds_come_from_the_nearest_runs_of_the_same_device() -> None:
    spec, other = a_spec(method="lora", seed=1), a_spec(method="lora", seed=1, backbone="tiny:llama")
    known = [
        timed(a_spec(method="lora"), 10),
        timed(a_spec(method="full"), 40),
        timed(a_spec(method="full", seed=2), 40),
        timed(a_spec(method="lora"), 999, "cuda"),
    ]
    speeds = Speeds(known, "cpu")
    assert round(speeds(spec), 6) == 10
    assert round(speeds(a_spec(method="bitfit")), 6) == 40  # the median of the backbone's
    assert round(speeds(other), 6) == 40
    assert Speeds(known, "mps")(spec) == work(spec)


def test_failed_runs_say_nothing_of_speed() -> None:
    failed = timed(a_spec(), 1).model_copy(update={"status": "failed"})
    assert Speeds([failed], "cpu")(a_spec()) == work(a_spec())
