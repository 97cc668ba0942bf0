"""Reproduce: set a run's record beside what running its spec again gave, and say which numbers came back.

The seed interval says how far apart seeds of one cell lie by themselves: where a further seed's number would fall with
95 % probability, given those that were run (mean and t(n-1) standard deviations, times the root of 1 + 1/n). The items
are the same in all of them, so their spread has no part in it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import JsonValue

from harness.errors import NoData, UnknownName
from harness.record import Record
from runners.found import contents, result

LEVEL = 0.95
ROUNDING = 1e-9
"""By which two sums of the same numbers may differ."""
LONGEST_SHOWN = 40
Verdict = Literal["equal", "within", "outside", "inconclusive"]
MEASURED = ("ok", "diverged", "failed", "out_of_memory", "not_applicable")
"""Statuses that say something of the spec; the others tell what became of a process."""


class Interval(NamedTuple):
    """Where a further seed's number would fall."""

    low: float
    high: float
    num_seeds: int


class Comparison(NamedTuple):
    """One number, then and now."""

    name: str
    recorded: float | None
    now: float | None
    verdict: Verdict
    interval: Interval | None
    """Null where only one seed was run."""


class Difference(NamedTuple):
    """Something that is not as it was."""

    name: str
    recorded: JsonValue
    now: JsonValue


class Reproduction(NamedTuple):
    """What came of running a spec again."""

    recorded: Record
    now: Record
    comparisons: tuple[Comparison, ...]
    environment: tuple[Difference, ...]
    digests: tuple[Difference, ...]
    """Of data, weights and code."""
    items_equal: bool | None
    """Whether every scored item came out the same to the bit; null where there are none."""

    @property
    def verdict(self) -> Verdict:
        """Return the worst of the comparisons: outside, then inconclusive, then within."""
        if self.recorded.status != self.now.status:
            return "outside"
        found = {comparison.verdict for comparison in self.comparisons}
        order: tuple[Verdict, ...] = ("outside", "inconclusive", "within")
        return next((verdict for verdict in order if verdict in found), "equal")

    def lines(self) -> Iterator[str]:
        """Yield it for a reader."""
        if self.recorded.status != self.now.status:
            error = self.now.error or self.recorded.error
            why = f" ({error.kind}: {error.message})" if error else ""
            yield f"status: {self.recorded.status} then, {self.now.status} now{why}"
        for one in self.comparisons:
            then, now = (("-" if value is None else f"{value:.6f}") for value in (one.recorded, one.now))
            yield f"{one.name}: {one.verdict}  {then} then, {now} now  ({_seeds(one.interval)})"
        if self.items_equal is not None:
            yield f"scored items: {'equal to the bit' if self.items_equal else 'some differ'}"
        for title, differences in (("environment", self.environment), ("made of", self.digests)):
            for found in differences:
                yield f"{title}: {found.name} {_short(found.recorded)} then, {_short(found.now)} now"
            if not differences:
                yield f"{title}: the same"
        yield f"run {self.recorded.run_id}: {self.verdict}"

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for machines."""
        return {
            "run_id": self.recorded.run_id,
            "verdict": self.verdict,
            "status": {"recorded": self.recorded.status, "now": self.now.status},
            "metrics": [
                {**one._asdict(), "interval": one.interval and one.interval._asdict()} for one in self.comparisons
            ],
            "items_equal": self.items_equal,
            "environment": [one._asdict() for one in self.environment],
            "digests": [one._asdict() for one in self.digests],
        }


class Sought(NamedTuple):
    """The record that is to come back, and those beside it."""

    recorded: Record
    others: tuple[Record, ...]


def look_up(run_id: str, folders: Sequence[Path]) -> Sought:
    """Find the record that is to come back, by its run id or the beginning of that.

    Raises:
        NoData: if there is none, or it says nothing of its spec.
        UnknownName: if the beginning fits several.
    """
    runs = contents([folder for folder in folders if folder.is_dir()]).runs
    matches = sorted(known for known in runs if known.startswith(run_id))
    where = ", ".join(map(str, folders))
    if not matches:
        raise NoData(f"there is no record of run {run_id!r} in {where}; say where it lies with --out DIR")
    if len(matches) > 1:
        raise UnknownName("(ambiguous) run id", run_id, matches, where)
    record = result(runs[matches[0]]).record
    if record.status not in MEASURED or (record.status == "ok" and not numbers(record)):
        raise NoData(f"run {record.run_id} is {record.status} and holds no number to come back to; choose another run")
    return Sought(record, tuple(result(attempts).record for attempts in runs.values()))


def compare(recorded: Record, now: Record, seeds: Iterable[Record]) -> Reproduction:
    """Compare a record with that of another execution of its spec.

    Args:
        recorded: what is to come back.
        now: what came.
        seeds: records among which other seeds of the same cell may be; the rest is left out.
    """
    before, after = numbers(recorded), numbers(now)
    spread = [numbers(one) for one in (recorded, *_other_seeds(recorded, seeds))]
    comparisons = []
    for name in before if now.status == recorded.status else ():
        known = [value for found in spread if (value := found.get(name)) is not None]
        interval = seed_interval(known) if len(known) > 1 else None
        verdict = _verdict(before[name], after.get(name), interval)
        comparisons.append(Comparison(name, before[name], after.get(name), verdict, interval))
    environment = _differences(recorded.environment, now.environment)
    digests = _differences(_digests(recorded), _digests(now))
    items = recorded.digests.items
    return Reproduction(
        recorded,
        now,
        tuple(comparisons),
        environment,
        digests,
        None if items is None or now.digests.items is None else items == now.digests.items,
    )


def numbers(record: Record) -> dict[str, float | None]:
    """Return what a run is judged by: a final's test metrics, and what a trial's choice goes by, its validation."""
    if record.spec.purpose == "final":
        return {f"{score.task} {name}": value for score in record.scores for name, value in score.metrics.items()}
    found: dict[str, float | None] = {}
    for epoch in record.validation:
        if epoch.epoch == record.best_epoch:
            found = {f"validation {name}": value for name, value in epoch.metrics.items()}
            found["validation loss"] = epoch.validation_loss
    return found


def seed_interval(values: Sequence[float]) -> Interval:
    """Return where a further value would fall, given at least two."""
    from scipy import stats  # here, since whoever only looks a run up must not load a numerical library yet

    count, mean = len(values), statistics.fmean(values)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * statistics.stdev(values) * (1 + 1 / count) ** 0.5
    return Interval(mean - half, mean + half, count)


def _other_seeds(recorded: Record, found: Iterable[Record]) -> list[Record]:
    """Return the newest ok record of each other seed of a cell, made by equal code from equal data and weights."""
    cell, made = recorded.spec.cell(), _digests(recorded)
    alike: dict[int, Record] = {}
    for record in found:
        spec = record.spec
        same = spec.purpose == recorded.spec.purpose and record.status == "ok" and spec.seed != recorded.spec.seed
        if same and spec.cell() == cell and _digests(record) == made:
            alike[spec.seed] = record
    return list(alike.values())


def _verdict(recorded: float | None, now: float | None, interval: Interval | None) -> Verdict:
    if recorded == now:
        return "equal"
    if recorded is None or now is None:
        return "outside"
    if interval is None:
        return "inconclusive"
    return "within" if interval.low - ROUNDING <= now <= interval.high + ROUNDING else "outside"


def _seeds(interval: Interval | None) -> str:
    if interval is None:
        return "one seed was run, so how far seeds differ is not known"
    return f"seed interval {interval.low:.6f} to {interval.high:.6f}, {interval.num_seeds} seeds"


def _short(value: JsonValue) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:12]}..."


def _digests(record: Record) -> dict[str, JsonValue]:
    digests = record.digests
    data: dict[str, JsonValue] = {f"data {name}": digest for name, digest in digests.data.items()}
    return data | {"weights": digests.weights, "code": digests.code}


def _differences(recorded: dict[str, JsonValue], now: dict[str, JsonValue]) -> tuple[Difference, ...]:
    names = dict.fromkeys((*recorded, *now))
    return tuple(
        Difference(name, recorded.get(name), now.get(name)) for name in names if recorded.get(name) != now.get(name)
    )
