"""Claims about the fixed predictions: every metric meets them, and none is at an end of its range by luck."""

from __future__ import annotations

from harness.metric import FOLDER, METRICS, find
from harness.metrics.lm import WAYS
from runners.regression import metrics


def test_every_metric_is_there_once() -> None:
    names = list(metrics.names())
    homes = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert len(names) == len(set(names))
    assert {name.partition(".")[0] for name in names if "." in name} == homes
    assert set(METRICS) <= set(names)
    assert {name.partition(":")[2] for name in names if name.startswith("lm.")} == set(WAYS)
    assert all(find(name).name == name for name in names)


def test_every_score_would_move_with_the_metric() -> None:
    for name, scores in metrics.values().items():
        plain, weighted = scores  # type: ignore[misc]
        metric = find(name)
        assert plain not in (None, metric.lowest, metric.ceiling), name
        assert plain != weighted, name


def test_a_score_by_hand() -> None:
    found = metrics.values()
    assert found["accuracy"] == [4 / 6, 7 / 8]  # the second and third of six are wrong; they weigh 1 and 0 of 8
    assert found["mean.value"] == [sum((0, 1, 0.25, 0.5, 1, 0.125)) / 6, (1 + 0.5 + 3 + 0.125) / 8]
