"""lm's numbers are those of lm-eval's aggregations, weights are multiplicities, and what is not here says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lm_eval.api.registry import AGGREGATION_REGISTRY  # type: ignore[import-untyped]
from lm_eval.tasks.super_glue.cb.aggregate import cb_multi_fi  # type: ignore[import-untyped]

from harness.errors import MissingPrerequisite
from harness.metric import find
from harness.metrics import lm

WORDS = ("a", "cat", "sat", "on", "the", "mat", "again", "today", "dog", "ran")


def values(name: str, count: int = 40) -> list[Any]:
    drawn = np.random.default_rng(5)
    if name in ("f1", "mcc", "macro"):
        top = 3 if name == "macro" else 2
        return [(int(a), int(b)) for a, b in drawn.integers(0, top, (count, 2))]
    if name == "perplexity":
        return (-drawn.gamma(2.0, 1.0, count)).tolist()
    if name == "brier_score":
        return [(int(drawn.integers(3)), drawn.dirichlet([1.0, 2.0, 0.5])) for _ in range(count)]
    if name in ("bleu", "chrf", "chrf++", "ter"):
        texts = [" ".join(drawn.choice(WORDS, drawn.integers(1, 9))) for _ in range(2 * count)]
        return [(texts[row], texts[row] if row % 3 else texts[count + row]) for row in range(count)]
    return list(zip((-drawn.gamma(9.0, 2.0, count)).tolist(), drawn.integers(2, 30, count).tolist(), strict=True))


NAMES = sorted(lm.USUAL)


def score(name: str, key: str, items: list[Any], weights: list[int] | None = None) -> float:
    metric = find(name)
    rows = metric.rows([{key: item, "other": 1} for item in items], [None] * len(items))
    assert set(rows) == set(metric.statistics)
    return metric.score(rows, None if weights is None else np.array(weights, dtype=np.float64))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_lm_evals_number(name: str) -> None:
    theirs = AGGREGATION_REGISTRY[lm.USUAL[name]](values(name))
    assert score(f"lm.{name}", name, values(name)) == pytest.approx(float(theirs), abs=1e-12, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_is_how_often_an_item_counts(name: str) -> None:
    items = values(name, 12)
    weights = [0, 2, 1, 3, 1, 0, 1, 1, 2, 1, 0, 1]
    repeated = [item for item, weight in zip(items, weights, strict=True) for _ in range(weight)]
    theirs = AGGREGATION_REGISTRY[lm.USUAL[name]](repeated)
    assert score(f"lm.{name}", name, items, weights) == pytest.approx(float(theirs), abs=1e-12, rel=1e-12)


def test_cb_is_put_together_as_its_own_code_does() -> None:
    items = values("macro")
    assert score("lm.f1:macro_f1", "f1", items) == pytest.approx(float(cb_multi_fi(items)), abs=1e-12)


def test_what_cannot_be_put_together_says_by_what() -> None:
    assert not lm.is_known("pass:median")
    with pytest.raises(MissingPrerequisite, match="'pass' of the items together by median, which needs more"):
        score("lm.pass:median", "pass", [1.0, 2.0])
    with pytest.raises(ValueError, match="2 predictions do not say mcc"):
        score("lm.mcc", "f1", [(0, 1), (1, 1)])
