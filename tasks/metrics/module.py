"""Our metrics as modules of the ``evaluate`` library, for code that expects its interface, and for final scores.

    module = load("accuracy_and_f1")
    module.compute(predictions=[1, 0, 1], references=[1, 0, 0])   # {"accuracy_and_f1": 0.666...}

The number is that of ``harness.metric``, and so are the rows that it was computed from (``module.rows``). The module is
a class of this file and not a script, so that nothing is looked up on the hub, copied into a module cache or locked,
and all rows stay in memory.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.metric import Rows, find
from harness.metrics.parts.reading import read_references, read_texts

if TYPE_CHECKING:
    import evaluate

CITATION = "Each task's card names the paper that reports its metric."
TEXT, NUMBER = "string", "float64"


def _as_they_are(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _as_json(values: Sequence[Any]) -> list[str]:
    # NumPy's numbers and arrays know how to become plain ones.
    return [json.dumps(value, default=lambda other: other.tolist()) for value in values]


def _nothing(values: Sequence[Any]) -> list[str]:
    return [""] * len(values)


def _answers(values: Sequence[Any]) -> list[dict[str, Any]]:
    whole = [one if isinstance(one, Mapping) else {"text": one} for one in values]
    texts = read_texts([one.get("text") for one in whole])
    return [
        {"text": text, "no_answer_probability": one.get("no_answer_probability")}
        for text, one in zip(texts, whole, strict=True)
    ]


def _acceptable(values: Sequence[Any]) -> list[list[str]]:
    return read_references(values, may_be_empty=True)


def _spans(values: Sequence[Any]) -> list[list[str]]:
    return read_references([[one] if isinstance(one, str) else one for one in values], may_be_empty=True)


def _several_spans(values: Sequence[Any]) -> list[list[list[str]]]:
    return [_spans(one) for one in values]


class Kind(NamedTuple):
    """What a metric takes: the library's types of it, and how what comes is put into one form of these types."""

    prediction: Any
    """A type's name; a list of one, or a dict of several (Any: nested)."""
    reference: Any
    predictions: Callable[[Sequence[Any]], Sequence[Any]] = _as_they_are
    references: Callable[[Sequence[Any]], Sequence[Any]] = _as_they_are
    read: Callable[[str], Any] = str
    """What the metric itself gets for a prediction that had to be written as a text."""


FEATURES = {
    "numbers": Kind(NUMBER, NUMBER),
    "text": Kind(TEXT, [TEXT], read_texts, read_references),
    "answer": Kind({"text": TEXT, "no_answer_probability": NUMBER}, [TEXT], _answers, _acceptable),
    "spans": Kind([TEXT], [[TEXT]], _spans, _several_spans),
    "label of a question": Kind(NUMBER, {"label": NUMBER, "question": TEXT}),
    "label of a pair": Kind(NUMBER, {"label": NUMBER, "pair": TEXT}),
    "given": Kind(TEXT, TEXT, _as_json, _nothing, json.loads),
}
"""``Metric.takes`` to what that is."""


def prepare() -> None:
    """Import the library now: it takes seconds, which nothing that is timed should pay for."""
    importlib.import_module("evaluate")


def load(name: str) -> evaluate.Metric:
    """Return a metric of ``harness.metric`` as an ``evaluate`` module; ``compute`` gives ``{name: value}``.

    Raises:
        UnknownName: if ``harness.metric`` has no such metric.
    """
    metric = find(name)
    kind = FEATURES[metric.takes]
    # Takes seconds and loads torch, so that it happens only for those who use the interface.
    import datasets
    import evaluate

    def feature(shape: Any) -> Any:  # Any: nested, as in Kind
        if isinstance(shape, Mapping):
            return {key: feature(one) for key, one in shape.items()}
        return [feature(shape[0])] if isinstance(shape, list) else datasets.Value(shape)

    class Module(evaluate.Metric):
        rows: Rows | None = None
        """The statistics per item of what was computed last."""

        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description=f"The metric {name} of harness.metric.",
                citation=CITATION,
                inputs_description=f"predictions and references: equally many; the kind is {metric.takes!r}.",
                features=datasets.Features(
                    {"predictions": feature(kind.prediction), "references": feature(kind.reference)}
                ),
            )

        def _build_data_dir(self) -> str:
            # The original makes a folder in the user's cache, even where all rows are kept in memory.
            return ""

        def add(self, *, prediction: Any = None, reference: Any = None, **others: Any) -> None:
            """Keep one item for ``compute``."""
            self.add_batch(predictions=[prediction], references=[reference], **others)

        def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:
            """Keep some items for ``compute``."""
            try:
                told, right = kind.predictions(predictions), kind.references(references)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            super().add_batch(predictions=told, references=right, **others)

        def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
            if kind.read is not str:
                predictions = [kind.read(prediction) for prediction in predictions]
            self.rows = metric.rows(predictions, references)
            return {name: metric.score(self.rows)}

    words = re.split(r"\W+|_", name)
    # The library derives a module's name from that of its class: AccuracyAndF1 becomes accuracy_and_f1.
    Module.__name__ = Module.__qualname__ = "".join(word.capitalize() for word in words)
    return Module(config_name="_".join(words), keep_in_memory=True)
