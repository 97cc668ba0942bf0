"""Wide inputs for every kind of prediction and reference that a metric takes, and the predictions that are perfect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from harness.metric import FOLDER, Metric, find

WORDS = (
    "the",
    "The",
    "a",
    "An",
    "cat",
    "cat's",
    "U.S.",
    "1.5",
    "1,500",
    "3",
    "x-ray",
    "of",
    "Paris",
    "“q”",
    "don't",
    "É",
)
Items = tuple[list[Any], list[Any]]
"""Predictions and references (Any: of the metric's kind)."""


def texts(most: int = 5) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(WORDS), max_size=most).map(" ".join)


def answers(most: int = 5) -> st.SearchStrategy[str]:
    """Return texts that hold more than articles and punctuation, as references do."""
    return st.tuples(texts(most - 1), st.sampled_from(("cat", "Paris", "1,500"))).map(" ".join).map(str.strip)


class Kind(NamedTuple):
    prediction: st.SearchStrategy[Any]
    reference: st.SearchStrategy[Any]
    perfect: Callable[[Any], Any]
    """Reference to the prediction that is right."""


KINDS: dict[str, Kind] = {
    "numbers": Kind(st.integers(0, 3), st.integers(0, 3), lambda label: label),
    "given": Kind(st.floats(0, 1), st.none(), lambda _: 1.0),
    "label of a question": Kind(
        st.integers(0, 1),
        st.fixed_dictionaries({"label": st.integers(0, 1), "question": st.sampled_from(["1/0", "1/1", "2/0", "2/1"])}),
        lambda reference: reference["label"],
    ),
    "text": Kind(texts(), st.lists(answers(), min_size=1, max_size=3), lambda right: right[0]),
    "answer": Kind(
        st.one_of(
            texts(),
            st.fixed_dictionaries({"text": texts(), "no_answer_probability": st.sampled_from([0.0, 0.25, 0.5, 1.0])}),
        ),
        st.lists(answers(), max_size=3),
        lambda right: (
            {"text": right[0], "no_answer_probability": 0.0} if right else {"text": "", "no_answer_probability": 1.0}
        ),
    ),
    "spans": Kind(
        st.one_of(texts(), st.lists(texts(), min_size=1, max_size=3)),
        st.lists(st.one_of(answers(), st.lists(answers(), min_size=1, max_size=3)), min_size=1, max_size=3),
        lambda right: right[0],
    ),
}


def items(metric: Metric, smallest: int = 1) -> st.SearchStrategy[Items]:
    kind = KINDS[metric.takes]
    pairs = st.lists(st.tuples(kind.prediction, kind.reference), min_size=smallest, max_size=8)
    return pairs.map(lambda pairs: ([one for one, _ in pairs], [other for _, other in pairs]))


def perfect(metric: Metric, references: Sequence[Any]) -> list[Any]:
    return [KINDS[metric.takes].perfect(reference) for reference in references]


OPEN: dict[str, tuple[str, ...]] = {"mean": ("acc",), "lm": ()}
"""Families of any name; lm's predictions hold what is right as well, and test_lm.py compares them with lm-eval's."""


def all_names() -> list[str]:
    """Return every metric of a family, found as ``find`` finds them."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        if not path.name.startswith("_"):
            names = __import__(f"harness.metrics.{path.stem}", fromlist=["METRICS"]).METRICS
            found += [f"{path.stem}.{name}" for name in names or OPEN[path.stem]]
    return found


def metrics() -> list[Metric]:
    return [find(name) for name in all_names()]
