"""A mean of any name is the mean of the numbers that came."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import UnknownName
from harness.metric import find


def test_any_name_is_a_mean_of_its_own_statistic() -> None:
    metric = find("mean.acc_norm")
    rows = metric.rows([1.0, 0.0, 0.25], [None, None, None])
    assert list(rows) == ["acc_norm"]
    assert metric.score(rows) == pytest.approx(1.25 / 3)
    assert metric.score(rows, np.array([2.0, 0.0, 4.0])) == pytest.approx(0.5)


def test_it_reads_its_own_name_of_a_mapping() -> None:
    rows = find("mean.acc").rows([{"acc": 1.0, "f1": (0, 1)}, {"acc": np.float64(0.0)}, {"acc": True}], [None] * 3)
    assert rows["acc"].tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="mean.em: the predictions have acc, f1, no em"):
        find("mean.em").rows([{"acc": 1.0, "f1": 0.0}], [None])
    with pytest.raises(ValueError, match="f1 is tuple for an item and no number"):
        find("mean.f1").rows([{"f1": (0, 1)}], [None])


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown metric 'mean.a b'"):
        find("mean.a b")
