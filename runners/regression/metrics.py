"""Metrics: what every metric makes of a few fixed predictions, counted once each and with unequal weights."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from harness.metric import FOLDER, METRICS, Column, Metric, find
from harness.metrics.lm import WAYS
from harness.metrics.parts.meteor import METEOR

ABOUT = "Metric to its score on fixed predictions, each counted once, and counted 2, 1, 0, 1, 3, 1 times."
NEEDS: tuple[str, ...] = ()
WEIGHTS = (2.0, 1.0, 0.0, 1.0, 3.0, 1.0)
Items = tuple[Sequence[Any], Sequence[Any]]
"""Predictions and references (Any: as the metric takes them)."""

SAID = (
    "the old pub near the river serves cheap fish",
    "a cheap pub by the river",
    "Aromi is a coffee shop, rated 3 out of 5",
    "",
    "it serves Italian food for less than 20 pounds in the city centre",
    "the The cat's U.S. office",
)
MEANT = (
    ["the old pub near the river serves fish", "an old pub serves cheap fish near the river"],
    ["a cheap riverside pub"],
    ["Aromi is a coffee shop rated 5 out of 5", "rated 3 of 5, Aromi serves coffee"],
    ["there is nothing to say of it here"],
    ["it serves Italian food for less than 20 pounds in the city centre"],
    ["cat's US office", "office of the U.S."],
)
LABELS: Items = ((1, 0, 1, 1, 2, 0), (1, 1, 0, 1, 2, 0))
BINARY = LABELS[0][0:4] + (0, 1)  # type: ignore[operator]  # a tuple of numbers
RIGHT = (1, 1, 0, 1, 0, 1)

BY_KIND: dict[str, Items] = {
    "numbers": LABELS,
    "text": (SAID, MEANT),
    "answer": (
        [
            {"text": text, "no_answer_probability": chance}
            for text, chance in zip(SAID, (0.0, 0.2, 0.9, 1.0, 0.0, 0.5), strict=True)
        ],
        [*MEANT[:3], [], *MEANT[4:]],
    ),
    "spans": ([[text] for text in SAID], [[one] for one in MEANT]),
    "label of a question": (
        BINARY,
        [{"label": label, "question": f"{i // 2}"} for i, label in enumerate(RIGHT)],
    ),
    "label of a pair": (BINARY, [{"label": label, "pair": f"{i // 2}"} for i, label in enumerate(RIGHT)]),
}
TEXTS = [(meant[0], said) for meant, said in zip(MEANT, SAID, strict=True)]
BY_WAY: dict[str, Sequence[Any]] = {
    **dict.fromkeys(("f1", "macro_f1", "matthews_corrcoef"), tuple(zip(*reversed(LABELS), strict=True))),
    "brier_score": [(right, (0.5, 0.2, 0.3)) for right in LABELS[1]],
    "perplexity": (-1.5, -0.25, -3.0, -0.5, -2.0, -1.0),
    **dict.fromkeys(("weighted_perplexity", "bits_per_byte"), [(-3.0 * n, n + 1) for n in range(1, 7)]),
    **dict.fromkeys(("bleu", "chrf", "chrf++", "ter"), TEXTS),
}
"""Way in which lm-eval puts items together to what it says of them: right class and said one, likelihoods, texts."""
VALUE = "value"
GIVEN = [{VALUE: number} for number in (0.0, 1.0, 0.25, 0.5, 1.0, 0.125)]
RATED = [{"rating": number} for number in (1.0, 10.0, 4.5, 7.0, 2.0, 9.0)]
COUNTED = ((9, 8, 6, 5.5, 6, 3), (5, 4, 3, 3, 3, 1), (9, 8, 6, 6, 7, 2), (0, 8, 0, 0, 0, 0))
"""Statistics of METEOR in place of texts: a program counts them that need not be here, but the score is ours."""


def values() -> dict[str, JsonValue]:
    """Return every metric's two scores."""
    found: dict[str, JsonValue] = {}
    for name in names():
        metric = find(name)
        rows = _rows(metric, name)
        weights = np.array(WEIGHTS[: len(next(iter(rows.values())))])
        found[name] = [_number(metric.score(rows)), _number(metric.score(rows, weights))]
    return found


def names() -> Iterator[str]:
    """Yield the name of every metric; of a home that takes any name, one for each of its ways."""
    yield from METRICS
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem == "__init__":
            continue
        known = importlib.import_module(f"harness.metrics.{path.stem}").METRICS
        yield from (f"{path.stem}.{name}" for name in known)
        if not known:
            yield from (f"{path.stem}.{name}" for name in _any_name(path.stem))


def _any_name(home: str) -> list[str]:
    ways = [f"{VALUE}:{way}" for way in WAYS]
    return ways if home == find(f"lm.{ways[0]}").name.partition(".")[0] else [VALUE]


def _rows(metric: Metric, name: str) -> dict[str, Column]:
    if metric.statistics[0].endswith(METEOR[0]):
        return dict(zip(metric.statistics, np.array(COUNTED, dtype=np.float64).T, strict=True))
    return metric.rows(*_items(metric, name))


def _items(metric: Metric, name: str) -> Items:
    if metric.takes in BY_KIND:
        return BY_KIND[metric.takes]
    _, _, way = name.partition(":")
    said = [{VALUE: value} for value in BY_WAY[way]] if way else [a | b for a, b in zip(GIVEN, RATED, strict=True)]
    return said, [None] * len(said)


def _number(score: float) -> float | None:
    return None if np.isnan(score) else score
