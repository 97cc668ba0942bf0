"""Our ``evaluate`` modules give the numbers of ``harness.metric``, and need no network and no folder."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import MissingPrerequisite, UnknownName
from harness.metric import METRICS, find
from tasks.metrics.module import FEATURES, load
from tests.harness.metrics.samples import all_names, items, quick_names

ROOT = Path(__file__).parents[2]

# A process of its own: nothing is imported yet, every socket fails, and the home directory is new and empty.
WITHOUT_NETWORK = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise OSError("the network was asked for")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from tasks.metrics.module import load
early = sorted({"evaluate", "torch", "datasets"} & sys.modules.keys())
value = load("accuracy_and_f1").compute(predictions=[1, 0, 1], references=[1, 0, 0])
print(json.dumps({"early": early, "value": value}))
"""


def answers(count: int, classes: int) -> tuple[list[int], list[int]]:
    generator = np.random.default_rng(0)
    predicted, actual = generator.integers(0, classes, (2, count)).tolist()
    return predicted, actual


def direct(name: str, predicted: list[int], actual: list[int]) -> float:
    return METRICS[name].score(METRICS[name].rows(predicted, actual))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("count", "classes"), [(1, 1), (7, 2), (1000, 3)])
def test_compute_gives_the_number_of_the_metric(name: str, count: int, classes: int) -> None:
    predicted, actual = answers(count, classes)
    expected = pytest.approx(direct(name, predicted, actual), nan_ok=True)
    assert load(name).compute(predictions=predicted, references=actual) == {name: expected}
    assert load(name).compute(predictions=np.array(predicted), references=np.array(actual)) == {name: expected}


@pytest.mark.parametrize("name", METRICS)
def test_rows_added_in_batches_are_scored_as_one(name: str) -> None:
    predicted, actual = answers(60, 3)
    module = load(name)
    for start in range(0, 60, 20):
        module.add_batch(predictions=predicted[start : start + 20], references=actual[start : start + 20])
    module.add(prediction=1, reference=2)
    assert module.compute() == {name: pytest.approx(direct(name, [*predicted, 1], [*actual, 2]))}


def test_a_module_forgets_its_rows_after_compute() -> None:
    module = load("accuracy")
    assert module.compute(predictions=[1, 1], references=[0, 0]) == {"accuracy": 0.0}
    assert module.compute(predictions=[1], references=[1]) == {"accuracy": 1.0}


@pytest.mark.parametrize("name", METRICS)
def test_modules_are_metrics_of_the_library_and_carry_their_name(name: str) -> None:
    import evaluate

    module = load(name)
    assert isinstance(module, evaluate.Metric)
    assert module.name == name


@pytest.mark.parametrize("name", quick_names())
@settings(max_examples=10)
@given(data=st.data())
def test_compute_gives_the_number_and_the_rows_of_every_family_s_metric(name: str, data: st.DataObject) -> None:
    metric = find(name)
    predictions, references = data.draw(items(metric))
    rows = metric.rows(predictions, references)
    module = load(name)
    assert module.compute(predictions=predictions, references=references) == {name: metric.score(rows)}
    assert module.rows.keys() == rows.keys()
    assert all(np.array_equal(module.rows[key], rows[key]) for key in rows)


def test_every_kind_of_input_is_known_to_the_library() -> None:
    assert {find(name).takes for name in (*METRICS, *all_names(), "lm.f1")} == FEATURES.keys()


@pytest.mark.parametrize("name", [*all_names(), "lm.chrf++", "lm.f1:macro_f1"])
def test_a_family_s_module_has_a_name_that_the_library_can_have(name: str) -> None:
    module = load(name)
    assert re.fullmatch(r"[a-z0-9_]+", module.name)
    assert module.name.startswith(name.partition(".")[0])


def test_values_of_lm_eval_pass_unchanged() -> None:
    predictions = [{"f1": (np.int64(1), 1), "acc": np.float64(0.1)}, {"f1": (0, 1), "acc": 1.0}]
    for name in ("lm.f1", "mean.acc"):
        metric = find(name)
        expected = metric.score(metric.rows(predictions, [None, None]))
        assert load(name).compute(predictions=predictions, references=[None, {"any": "thing"}]) == {name: expected}


@pytest.mark.parametrize(
    ("name", "prediction", "reference"),
    [
        ("squad.f1", 3, ["3"]),
        ("squad.f1", "3", "3"),
        ("record.em", None, ["3"]),
        ("e2e.bleu", "a", []),
        ("drop.f1", 3, ["3"]),
        ("drop.f1", "3", ["3", 3]),
    ],
)
def test_what_the_metric_refuses_the_module_refuses(name: str, prediction: object, reference: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        find(name).rows([prediction], [reference])
    with pytest.raises(ValueError, match=f"^{name}: "):
        load(name).compute(predictions=[prediction], references=[reference])


def test_a_prerequisite_that_is_missing_is_named_through_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPrerequisite, match="METEOR needs Java"):
        load("e2e.meteor").compute(predictions=["a"], references=[["a"]])


def test_modules_combine() -> None:
    import evaluate

    both = evaluate.combine([load("accuracy"), load("f1")])
    assert both.compute(predictions=[1, 0, 1, 1], references=[1, 0, 0, 1]) == {
        "accuracy": 0.75,
        "f1": pytest.approx(0.8),
    }


def test_compute_is_quick() -> None:
    predicted, actual = answers(1000, 3)
    module = load("accuracy_and_f1")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        module.compute(predictions=predicted, references=actual)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1


def test_computing_leaves_numpy_s_global_generator_alone() -> None:
    before = np.random.get_state()
    load("accuracy").compute(predictions=[1], references=[1])
    after = np.random.get_state()
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown metric 'acuracy'; did you mean accuracy"):
        load("acuracy")


@pytest.mark.parametrize(
    ("predicted", "actual", "message"),
    [
        ([1, 0], [1], "Mismatch in the number of predictions"),
        ([], [], "accuracy: there are no items to score"),
        ([math.nan], [1], "accuracy: predictions and references must be finite"),
    ],
)
def test_bad_rows_are_refused(predicted: list[float], actual: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("accuracy").compute(predictions=predicted, references=actual)


def test_a_fresh_process_needs_no_network_and_writes_nothing_at_home(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK],
        env={**kept, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"early": [], "value": {"accuracy_and_f1": pytest.approx(2 / 3)}}
    assert list(tmp_path.rglob("*")) == []
