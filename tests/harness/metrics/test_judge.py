"""The mean rating counts what was rated, and is not there without a judge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.errors import MissingPrerequisite
from harness.metric import find


def test_answers_without_a_readable_rating_do_not_count() -> None:
    metric = find("judge.rating")
    rows = metric.rows([{"rating": 8.0}, {"rating": math.nan}, {"rating": 5.0}], [None] * 3)
    assert metric.score(rows) == 6.5
    assert metric.score(rows, np.array([1.0, 5.0, 2.0])) == 6.0
    assert math.isnan(metric.score(rows, np.array([0.0, 1.0, 0.0])))


def test_without_a_judge_there_is_no_number() -> None:
    with pytest.raises(MissingPrerequisite, match="not_applicable: no judge"):
        find("judge.rating").rows([{"text": "Hello."}], [None])
