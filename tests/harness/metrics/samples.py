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
PASSAGES = [
    "The Eagle is a low-priced, family-friendly pub near Café Brazil.",
    "Cotto serves Italian food for less than £20; it's in the city centre.",
    "Aromi is a coffee shop rated 1 out of 5, in the U.S. style, isn't it?",
    "A pub (riverside) is The Punter, where 3.5 stars cost 1,500 pounds - or more!",
]
NEED_JAVA = {"e2e.meteor", "corpus.meteor"}
"""Their promises are tested where Java is, in the test of what they share."""
NOT_HIGHEST = {"e2e.nist", "e2e.cider"}
"""A text that mixes several references may score higher than any one of them."""
LESS_IS_BETTER = {"corpus.ter"}
Items = tuple[list[Any], list[Any]]
"""Predictions and references (Any: of the metric's kind)."""


def texts(most: int = 5) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(WORDS), max_size=most).map(" ".join)


def answers(most: int = 5) -> st.SearchStrategy[str]:
    """Return texts that hold more than articles and punctuation, as references do."""
    return st.tuples(texts(most - 1), st.sampled_from(("cat", "Paris", "1,500"))).map(" ".join).map(str.strip)


def passages(smallest: int = 0) -> st.SearchStrategy[str]:
    """Return texts of words of a few sentences, in and out of their order."""
    words = sorted({word for passage in PASSAGES for word in passage.split()})
    mixed = st.lists(st.sampled_from(words), min_size=smallest, max_size=9).map(" ".join)
    return st.one_of(st.sampled_from(PASSAGES), mixed)


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
    "label of a pair": Kind(
        st.integers(0, 1),
        st.sampled_from([{"label": number % 2, "pair": str(number)} for number in range(4)]),
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


LONG = Kind(passages(), st.lists(passages(smallest=6), min_size=1, max_size=3), lambda right: right[0])
"""Texts for metrics that count runs of several tokens."""


RATED = Kind(st.fixed_dictionaries({"rating": st.floats(1, 10)}), st.none(), lambda _: {"rating": 10.0})


def kind_of(metric: Metric) -> Kind:
    if metric.name.startswith(("e2e.", "corpus.")):
        return LONG
    return RATED if metric.name == "judge.rating" else KINDS[metric.takes]


def items(metric: Metric, smallest: int = 1) -> st.SearchStrategy[Items]:
    kind = kind_of(metric)
    pairs = st.lists(st.tuples(kind.prediction, kind.reference), min_size=smallest, max_size=8)
    return pairs.map(lambda pairs: ([one for one, _ in pairs], [other for _, other in pairs]))


def perfect(metric: Metric, references: Sequence[Any]) -> list[Any]:
    return [kind_of(metric).perfect(reference) for reference in references]


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


def quick_names() -> list[str]:
    """Return the names of the metrics that need no program of others."""
    return [name for name in all_names() if name not in NEED_JAVA]


def metrics() -> list[Metric]:
    return [find(name) for name in quick_names()]
