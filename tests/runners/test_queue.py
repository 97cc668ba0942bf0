from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.record import Failure, Record, Status
from harness.spec import Spec
from runners.attempt import DISK_FULL
from runners.queue import EQUAL_ERRORS, LOST_RETRIES, MOVES, Job, Queue, plain


def a_spec(task: str = "embedded/polarity", **values: Any) -> Spec:
    base = {"backbone": "tiny:bert", "method": "base", "train": task, "score": (task,), "protocol": "classify"}
    return Spec.model_validate({**base, **values})


def a_record(spec: Spec, status: Status = "ok", kind: str = "ValueError", message: str = "wrong") -> Record:
    error = None if status == "ok" else Failure(kind=kind, message=message)
    return Record(run_id=spec.run_id, attempt=1, spec=spec, status=status, error=error, started="then", ended="now")


def drawn(queue: Queue) -> list[Spec]:
    """Take and end everything as one lane does."""
    taken: list[Spec] = []
    while job := queue.take(taken[-1] if taken else None):
        taken.append(job.spec)
        queue.ended(job, a_record(job.spec))
    return taken


def test_a_job_is_one_line_of_json_and_back() -> None:
    job = Job(a_spec(values={"rank": 2}), {"trials": [1, 2]}, tries=1)
    assert "\n" not in job.line()
    assert Job.parse(job.line()) == Job(job.spec, job.search)


def test_runs_of_one_backbone_follow_each_other_then_those_of_one_task_and_the_longest_of_them_comes_first() -> None:
    specs = [
        a_spec(task, backbone=backbone, training={"epochs": epochs})
        for epochs in (1, 3, 2)
        for task in ("embedded/polarity", "embedded/agreement")
        for backbone in ("tiny:bert", "tiny:llama")
    ]
    taken = drawn(Queue(specs))
    assert len(taken) == len(specs)
    keys = [(spec.backbone, spec.train) for spec in taken]
    assert [key for key, before in zip(keys, [None, *keys], strict=False) if key != before] == list(dict.fromkeys(keys))
    backbones = [backbone for backbone, _ in dict.fromkeys(keys)]
    assert backbones in (["tiny:bert"] * 2 + ["tiny:llama"] * 2, ["tiny:llama"] * 2 + ["tiny:bert"] * 2)
    assert [spec.training.epochs for spec in taken] == [3, 2, 1] * 4


def test_a_second_lane_starts_where_no_lane_is_and_helps_only_when_its_own_is_done() -> None:
    first, second = ([a_spec(task, seed=seed) for seed in range(3)] for task in ("embedded/polarity", "embedded/span"))
    queue = Queue([*first, *second])
    one, two = queue.take(), queue.take()
    assert one is not None
    assert two is not None
    assert one.spec.train != two.spec.train
    left = [queue.take(two.spec) for _ in range(4)]
    assert [job.spec.train for job in left if job] == [two.spec.train] * 2 + [one.spec.train] * 2
    assert queue.take(one.spec) is None


def test_a_lane_keeps_its_threads_before_anything_else() -> None:
    queue = Queue([a_spec("embedded/span", threads=2), a_spec(seed=1), a_spec("embedded/span", threads=1)])
    job = queue.take(a_spec("embedded/shapes", threads=1, backbone="tiny:llama"))
    assert job is not None
    assert job.spec.threads == 1


def test_only_what_was_lost_is_tried_again_after_first_tries_and_with_a_bound() -> None:
    lost, other = a_spec(seed=0, training={"epochs": 9}), a_spec(seed=1)
    queue = Queue([lost, other])
    tried: list[tuple[int, int]] = []
    while job := queue.take():
        tried.append((job.spec.seed, job.tries))
        ended = queue.ended(job, a_record(job.spec, "lost" if job.spec == lost else "failed"))
        assert ended.again == (job.spec == lost and job.tries < LOST_RETRIES)
    assert tried == [(0, 0), (1, 0), (0, 1)]


def test_a_run_that_lost_its_machine_is_not_blamed_but_not_moved_for_ever(tmp_path: Path) -> None:
    queue, num = Queue([a_spec()]), 0
    while job := queue.take():
        num += 1
        queue.ended(job, a_record(job.spec, "lost"), seat_lost=True)
    assert num == 1 + MOVES > 1 + LOST_RETRIES


class Search:
    """Asks for one more run after each of the first ones."""

    def __init__(self) -> None:
        self.told: list[Record] = []

    def after(self, record: Record) -> Sequence[Spec]:
        self.told.append(record)
        return [a_spec(seed=record.spec.seed + 100)] if record.spec.seed < 100 else []

    def bill(self, spec: Spec) -> dict[str, Any] | None:
        return {"trials": 2} if spec.seed >= 100 else None


def test_a_lane_waits_for_runs_that_a_search_may_add_and_gets_them_with_their_bill() -> None:
    search = Search()
    queue = Queue([a_spec(seed=1)], follow=search)
    job = queue.take()
    assert job is not None
    waited: list[Job | None] = []
    lane = threading.Thread(target=lambda: waited.extend([queue.take(), queue.take()]))
    lane.start()
    time.sleep(0.2)
    assert lane.is_alive()
    assert not queue.is_over()
    assert queue.ended(job, a_record(job.spec, "failed")).num_added == 1
    lane.join(1)
    assert lane.is_alive()  # with the added one; now it waits for what that may bring
    added = Job(a_spec(seed=101), {"trials": 2})
    assert queue.ended(added, a_record(added.spec)).num_added == 0
    lane.join(5)
    assert waited == [added, None]
    assert [record.spec.seed for record in search.told] == [1, 101]
    assert queue.is_over()


def test_what_is_tried_again_is_told_to_a_search_once() -> None:
    search = Search()
    queue = Queue([a_spec(seed=1)], follow=search)
    statuses: list[Status] = ["lost", "lost"]
    for status in statuses:
        job = queue.take()
        assert job is not None
        queue.ended(job, a_record(job.spec, status))
    assert [record.status for record in search.told] == ["lost"]


def test_after_a_drain_nothing_is_given_out_and_nobody_waits() -> None:
    queue = Queue([a_spec(seed=1)], follow=Search())
    job = queue.take()
    assert job is not None
    waited: list[Job | None] = []
    lane = threading.Thread(target=lambda: waited.append(queue.take()))
    lane.start()
    queue.drain()
    lane.join(5)
    assert waited == [None]
    assert not queue.ended(job, a_record(job.spec, "lost")).again


def test_equal_errors_of_one_method_break_it_and_no_other() -> None:
    specs = [a_spec(method=method, seed=seed) for method in ("lora", "full") for seed in range(9)]
    queue, ran = Queue(specs), []
    cancelled: list[tuple[Job, str]] = []
    while job := queue.take():
        ran.append(job.spec.method)
        status: Status = "failed" if job.spec.method == "lora" else "ok"
        queue.ended(job, a_record(job.spec, status, "RuntimeError", f"file /tmp/x{job.spec.seed}/y: {job.spec.seed}.5"))
        cancelled += queue.take_broken()
    assert (ran.count("lora"), ran.count("full"), len(cancelled)) == (EQUAL_ERRORS, 9, 4)
    assert {job.spec.method for job, _ in cancelled} == {"lora"}
    assert not queue.is_over()  # they still have to be closed
    for job, why in cancelled:
        assert "5 runs of lora ended with the same error (RuntimeError: file /tmp/x" in why
        queue.ended(job, a_record(job.spec, "cancelled"))
    assert queue.is_over()


@pytest.mark.parametrize("status", ["diverged", "out_of_memory", "timed_out", "not_applicable"])
def test_what_speaks_against_values_or_size_breaks_no_method(status: Status) -> None:
    queue = Queue([a_spec(seed=seed) for seed in range(9)])
    while job := queue.take():
        queue.ended(job, a_record(job.spec, status))
        assert not queue.take_broken()


def test_different_errors_do_not_add_up() -> None:
    queue = Queue([a_spec(seed=seed) for seed in range(8)])
    while job := queue.take():
        queue.ended(job, a_record(job.spec, "failed", message="an even one" if job.spec.seed % 2 else "another"))
        assert not queue.take_broken()


def test_runs_that_a_search_adds_to_a_broken_method_are_taken_out_too() -> None:
    queue = Queue([a_spec(seed=seed) for seed in range(EQUAL_ERRORS)], follow=Search())
    for _ in range(EQUAL_ERRORS):
        job = queue.take(a_spec("embedded/span"))
        assert job is not None
        queue.ended(job, a_record(job.spec, "failed"))
    assert len(queue.take_broken()) == EQUAL_ERRORS
    assert not len(queue)


def test_a_full_disk_speaks_against_no_method() -> None:
    queue, cancelled = Queue([a_spec(seed=seed) for seed in range(9)]), list[tuple[Job, str]]()
    while job := queue.take():
        queue.ended(replace(job, tries=LOST_RETRIES), a_record(job.spec, "lost", DISK_FULL, "there is no room"))
        cancelled += queue.take_broken()
    assert cancelled == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("step 3 of 40", "step 11 of 7"),
        ("at 0x7f3a00", "at 0x12"),
        ("~/a/b.py: no", "/home/me/c.py: no"),
        ("lr 1e-05", "lr 0.25"),
        ("run 9f86d081884c7d65", "run e3b0c44298fc1c14"),
    ],
)
def test_equal_errors_differ_in_numbers_and_paths_only(one: str, other: str) -> None:
    assert plain(one) == plain(other)
    assert plain(f"{one}!") != plain(one)


def test_ten_thousand_jobs_cost_little_each(tmp_path: Path) -> None:
    specs = [a_spec(task, seed=seed) for task in ("embedded/polarity", "embedded/span") for seed in range(5000)]
    began = time.process_time()
    assert len(drawn(Queue(specs))) == 10_000
    assert time.process_time() - began < 20  # 2 ms each on a busy machine; far less on a free one
