"""Numbers that papers report: which of them may stand beside ours, and why the others may not.

They are shipped as ``data/reported.csv`` (``leaderboard.cleaning`` says how it is made). One is drawn only where ours
are of the same backbone, task, split and metric, on complete data: all training rows, every test item, nothing carved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from leaderboard.cells import Section
from leaderboard.cleaning import DATA, read
from leaderboard.columns import Column
from leaderboard.load import Run
from leaderboard.wording import Sentence, count, listing, number, plural

SUBSAMPLED = "subsampled"
"""The split policy that draws a thousand rows to train on."""
LISTED = 12
"""Numbers that the text names one by one; of more it names the sources."""


class Number(NamedTuple):
    """One number of one paper."""

    paper: str
    backbones: tuple[str, ...]
    """Names of the backbone on the hub."""
    method: str
    """Our name of the method, empty where it is none of ours."""
    label: str
    """The paper's name of it, with its variant."""
    trained: float | None
    fraction: float | None
    task: str
    metric: str
    value: float
    split: str
    source: str
    """Table or figure, and what is said of seeds."""

    def size(self, total: int) -> float | None:
        """Return its trained parameters on a backbone of so many scalars; None where it does not say."""
        return self.trained if self.trained is not None else self.fraction and self.fraction * total


class Average(NamedTuple):
    """A number of a paper that is a mean over tasks, which no record of ours is."""

    paper: str
    backbone: str
    """As the paper calls it, like the rest."""
    label: str
    trained: float | None
    fraction: float | None
    task: str
    value: float
    source: str


class Beside(NamedTuple):
    """What papers say of one task of a section."""

    shown: tuple[tuple[Number, float], ...]
    """Numbers that may be drawn, with their trained parameters."""
    sentences: tuple[Sentence, ...]


@cache
def reported() -> Mapping[str, tuple[Number, ...]]:
    """Return what papers report, by task."""
    found: dict[str, list[Number]] = defaultdict(list)
    for row in read(DATA / "reported.csv"):
        found[row["task"]].append(
            Number(
                paper=row["paper"],
                backbones=tuple(row["backbones"].split(";")),
                method=row["method"],
                label=" ".join(filter(None, (row["label"], row["variant"]))),
                trained=float(row["trained"]) if row["trained"] else None,
                fraction=float(row["fraction"]) if row["fraction"] else None,
                task=row["task"],
                metric=row["metric"],
                value=float(row["value"]),
                split=row["split"],
                source=", ".join(filter(None, (f"{row['paper']} paper, {row['source']}", row["seeds"]))),
            )
        )
    return {task: tuple(numbers) for task, numbers in found.items()}


@cache
def averages() -> tuple[Average, ...]:
    """Return what papers report of several tasks together."""
    return tuple(
        Average(
            row["paper"],
            row["backbone"],
            row["label"],
            float(row["trained"]) if row["trained"] else None,
            float(row["fraction"]) if row["fraction"] else None,
            row["task"],
            float(row["value"]),
            row["source"],
        )
        for row in read(DATA / "reported_averages.csv")
    )


def beside(section: Section, column: Column) -> Beside:
    """Return which reported numbers may stand beside a section's own on one task, and what to say of all."""
    known = reported().get(column.task, ())
    if not known:
        return Beside((), ())
    here = [one for one in known if hub_name(section.ground.backbone) in one.backbones]
    if not here:
        others = sorted({one.backbones[0] for one in known})
        text = f"{plural(len(known), 'number')}, all of other backbones ({listing(others)})."
        return Beside((), (Sentence("Reported by papers, not drawn", text),))
    runs = [run for row in section.rows for run in row.cells[column.task].good]
    obstacles = [*_obstacles(runs, column), *_others(here, runs, column)]
    fitting = [one for one in here if _fits(one, runs, column)]
    if not fitting or list(_obstacles(runs, column)):
        text = f"{plural(len(here), 'number')} of this backbone: {'; '.join(obstacles)}."
        return Beside((), (Sentence("Reported by papers, not drawn", text),))
    total = max(run.record.counts.total for run in runs if run.record.counts)
    sized = [(one, size) for one in fitting if (size := one.size(total))]
    return Beside(tuple(sized), tuple(_sentences(here, fitting, sized, column)))


def hub_name(backbone: str) -> str:
    """Return a backbone's name on the hub; any other reference stays as it is, and equals no name."""
    bare = backbone.removeprefix("hub:")
    return bare if ":" in bare else bare.partition("@")[0]


def _obstacles(runs: Sequence[Run], column: Column) -> list[str]:
    """Return in what our own numbers fall short of the complete data of the task."""
    if not runs:
        return ["there is no result of ours"]
    states = {run.record.digests.data_state.get(column.task) or "unknown" for run in runs} - {"complete"}
    states |= {run.record.digests.data_state.get(run.record.spec.train, "complete") for run in runs} - {"complete"}
    found = [f"our data are {listing(sorted(states))}"] if states else []
    found += [f"ours {short}" for short in short_of_rows(runs)]
    sizes = {_official(run, column.task) for run in runs}
    if sizes != set(column.items):
        ours, whole = (" or ".join(sorted(map(count, counts))) for counts in (column.items, sizes))
        found.append(f"ours scored {ours} of {whole} items")
    return found


def short_of_rows(runs: Iterable[Run]) -> list[str]:
    """Return in which ways runs trained on fewer rows than their task has."""
    specs = [run.record.spec for run in runs]
    sizes = [spec.sizes.train for spec in specs if spec.sizes.train]
    found = [f"trained on at most {count(min(sizes))} rows"] if sizes else []
    return [
        *found,
        *(["trained on a subsample of the rows"] if any(spec.policy == SUBSAMPLED for spec in specs) else []),
    ]


def _official(run: Run, task: str) -> int | None:
    """Return how many items the evaluation split of a task has, as its card says."""
    sizes = run.record.task_cards.get(task, {}).get("sizes")
    size = sizes.get("evaluation") if isinstance(sizes, dict) else None
    return size if isinstance(size, int) else None


def _splits(runs: Sequence[Run], task: str) -> set[str]:
    """Return the source's own names of the splits that were scored."""
    found = set()
    for run in runs:
        source = run.record.task_cards.get(task, {}).get("source")
        splits = source.get("splits") if isinstance(source, dict) else None
        score = run.score(task)
        if score and isinstance(splits, dict):
            found.add(str(splits.get(score.split, score.split)))
    return found


def _fits(one: Number, runs: Sequence[Run], column: Column) -> bool:
    """Whether a number is of the metric and the split of ours; ``validation_matched`` is a validation split."""
    splits = _splits(runs, column.task)
    return one.metric == column.measure.name and bool(splits) and all(is_split(split, one.split) for split in splits)


def is_split(split: str, wanted: str) -> bool:
    """Whether a source's split is what a paper reports on: ``validation_matched`` is a validation split."""
    return split.partition("_")[0] == wanted or (split, wanted) == ("dev", "validation")


def _others(here: Sequence[Number], runs: Sequence[Run], column: Column) -> list[str]:
    """Return in what the papers' own numbers differ from ours."""
    metrics = sorted({one.metric for one in here} - {column.measure.name})
    found = [f"{plural(sum(one.metric in metrics for one in here), 'number')} in {listing(metrics)}"] if metrics else []
    strange = [one for one in here if one.metric == column.measure.name and not _fits(one, runs, column)]
    if strange:
        found.append(f"{plural(len(strange), 'number')} on another split")
    return found


def _sentences(
    here: Sequence[Number], fitting: Sequence[Number], sized: Sequence[tuple[Number, float]], column: Column
) -> list[Sentence]:
    names = [
        f"{one.label} {number(one.value, column.measure)} with {count(size)} ({one.source})" for one, size in sized
    ]
    if len(names) > LISTED:
        names = [f"{plural(len(sized), 'number')} ({'; '.join(sorted({one.source for one, _ in sized}))})"]
    text = f"{listing(names)}. Papers often select on the split that they report, so these are ranked with none."
    found = [Sentence("Reported by papers, double rings", text)] if sized else []
    bare = [one for one in fitting if one not in [shown for shown, _ in sized]]
    lacking = [f"{plural(len(bare), 'number')} without trained parameters to stand at"] if bare else []
    if rest := len(here) - len(fitting):
        lacking.append(f"{plural(rest, 'number')} in another metric or on another split")
    return [*found, *([Sentence("Reported by papers, not drawn", f"{listing(lacking)}.")] if lacking else [])]
