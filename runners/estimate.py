"""Estimates of how long a run takes, good enough to start long ones first; nothing else hangs on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from harness import registry
from harness.record import Record
from harness.spec import Spec

FORWARD = 1 / 3
"""What a row costs that is only predicted, in rows that are trained on."""
UNKNOWN_ROWS, VALIDATION_ROWS = 1000, 1000
"""Rows of a split whose card states no size, and the most that validation takes by itself."""


def work(spec: Spec) -> float:
    """Return the tokens that a run trains on, what it only predicts counted at a third."""
    training, sizes = spec.training, spec.sizes
    trained = _rows(spec.train, "train", sizes.train)
    rows = trained * training.epochs + FORWARD * training.epochs * min(trained, sizes.validation or VALIDATION_ROWS)
    if spec.purpose == "final":
        rows += FORWARD * sum(_rows(name, "evaluation", sizes.test) for name in spec.score)
    return rows * training.max_length


class Speeds:
    """Seconds of a run from what runs like it took on the same device; ``work`` itself where none is known."""

    def __init__(self, records: Iterable[Record], device: str) -> None:
        rates: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for record in records:
            if record.status == "ok" and record.environment.get("device") == device:
                rate = sum(record.cost.seconds.values()) / work(record.spec)
                for key in _keys(record.spec):
                    rates[key].append(rate)
        self._rates: Mapping[tuple[str, ...], float] = {key: median(found) for key, found in rates.items()}

    def __call__(self, spec: Spec) -> float:
        """Return the seconds, or any unit that is the same for all where nothing is known."""
        rate = next((self._rates[key] for key in _keys(spec) if key in self._rates), 1.0)
        return rate * work(spec)


def _keys(spec: Spec) -> tuple[tuple[str, ...], ...]:
    """Return what a run is like, the nearest first."""
    return (spec.backbone, spec.protocol, spec.method), (spec.backbone, spec.protocol), (spec.protocol,), ()


def _rows(task: str, split: str, most: int | None) -> int:
    sizes = registry.load_task(task).card.sizes
    size = next((rows for name, rows in sizes.items() if name == split), UNKNOWN_ROWS)
    return size if most is None else min(size, most)
