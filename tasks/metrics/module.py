"""Our metrics as modules of the ``evaluate`` library, for code that expects its interface.

    module = load("accuracy_and_f1")
    module.compute(predictions=[1, 0, 1], references=[1, 0, 0])   # {"accuracy_and_f1": 0.666...}

The number is that of ``harness.metric``. The module is a class of this file and not a script, so that nothing is
looked up on the hub, copied into a module cache or locked, and all rows stay in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.metric import find

if TYPE_CHECKING:
    import evaluate

CITATION = "Each task's card names the paper that reports its metric."


def load(name: str) -> evaluate.Metric:
    """Return a metric of ``harness.metric`` as an ``evaluate`` module; ``compute`` gives ``{name: value}``.

    Raises:
        UnknownName: if ``harness.metric`` has no such metric.
    """
    metric = find(name)
    # Takes seconds and loads torch, so that it happens only for those who use the interface.
    import datasets
    import evaluate

    class Module(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            number = datasets.Value("float64")
            return evaluate.MetricInfo(
                description=f"The metric {name} of harness.metric.",
                citation=CITATION,
                inputs_description="predictions and references: equally long lists of class ids, or of real values.",
                features=datasets.Features({"predictions": number, "references": number}),
            )

        def _build_data_dir(self) -> str:
            # The original makes a folder in the user's cache, even where all rows are kept in memory.
            return ""

        def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
            return {name: metric.score(metric.rows(predictions, references))}

    # The library derives a module's name from that of its class: AccuracyAndF1 becomes accuracy_and_f1.
    Module.__name__ = Module.__qualname__ = name.title().replace("_", "")
    return Module(config_name=name, keep_in_memory=True)
