"""Papers: what each reported, what has been measured of the same, and what the records say of its claim.

A gap stands only between numbers of the same backbone, method, task, split and metric on complete data, of about equal
size; else the line says why there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.errors import UnknownName
from leaderboard.claims import QUESTIONS, Verdict, judged
from leaderboard.cleaning import AVERAGE, DATA, read
from leaderboard.load import Run
from leaderboard.reported import Average, Number, averages, hub_name, is_split, reported, short_of_rows
from leaderboard.tabulation import tabulate

ALIKE = 0.1
"""Share by which sizes may differ and still be one: papers round theirs."""


class Paper(NamedTuple):
    """One of the papers whose numbers or claim are known."""

    word: str
    """What the collection of reported numbers calls it."""
    title: str


PAPERS = {
    "random_masking": Paper("Random Masking", "Xu and Zhang, Random Masking, ICML 2024"),
    "fish": Paper("FISH Mask", "Sung, Nair and Raffel, FISH Mask, NeurIPS 2021"),
    "pst": Paper("PST", "Li et al., PST, IJCAI 2022"),
    "goft": Paper("GOFT", "Ma et al., GOFT and qGOFT, ICML 2024"),
    "lora": Paper("LoRA", "Hu et al., LoRA, ICLR 2022"),
}


class Measured(NamedTuple):
    """What was measured of a reported number's method and task."""

    backbone: str
    value: float | None
    """Mean over seeds of the reported metric; none where it was not computed."""
    num_seeds: int
    trained: int | None
    suites: tuple[str, ...]


class Line(NamedTuple):
    """One reported number, and what stands beside it."""

    number: Number
    measured: Measured | None
    gap: float | None
    """Measured minus reported."""
    reason: str
    """Why there is no gap; empty where there is one."""


class Report(NamedTuple):
    """All that is known of a paper."""

    title: str
    lines: tuple[Line, ...]
    averages: tuple[Average, ...]
    """Numbers of several tasks together, with which none of ours is comparable."""
    left_out: tuple[str, ...]
    """What else the collection has of it that is no number of a task of ours, with how often and why."""
    verdicts: tuple[Verdict, ...]


def report(name: str, runs: Sequence[Run], stale: Mapping[str, str]) -> Report:
    """Return what is known of a paper.

    Args:
        name: as in ``PAPERS``.
        runs: everything that was measured.
        stale: run id to reason for what is not today's result.

    Raises:
        UnknownName: for another paper.
    """
    if name not in PAPERS:
        raise UnknownName("paper", name, PAPERS)
    paper = PAPERS[name]
    numbers = [one for known in reported().values() for one in known if one.paper == paper.word]
    groups = _groups([run for run in runs if run.record.status == "ok" and run.record.spec.purpose == "final"])
    lines = tuple(_line(one, groups.get((one.method, one.task), ()), stale) for one in numbers)
    questions = QUESTIONS.get(name, ())
    asked = {suite for question in questions for suite in question.suites}
    sections = tabulate([run for run in runs if asked & set(run.suites)], stale).sections
    verdicts = tuple(judged(questions, sections))
    means = tuple(one for one in averages() if one.paper == paper.word)
    return Report(paper.title, lines, means, _left_out(paper.word), verdicts)


def _groups(runs: Sequence[Run]) -> dict[tuple[str, str], list[tuple[Run, ...]]]:
    """Return method and scored task to the runs that differ in their seed alone."""
    alike: dict[tuple[str, str], dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        spec = run.record.spec
        for task in spec.score:
            alike[spec.method, task][spec.model_copy(update={"seed": 0}).canonical()].append(run)
    return {key: [tuple(group) for group in found.values()] for key, found in alike.items()}


def _line(one: Number, groups: Sequence[tuple[Run, ...]], stale: Mapping[str, str]) -> Line:
    if not one.method:
        return Line(one, None, None, "its method is none of ours")
    if not groups:
        return Line(one, None, None, "nothing measured")
    judged_groups = [(_obstacles(one, group, stale), number, group) for number, group in enumerate(groups)]
    obstacles, _, group = min(judged_groups, key=lambda found: (len(found[0]), found[1]))
    measured = _measured(one, group)
    gap = measured.value - one.value if not obstacles and measured.value is not None else None
    return Line(one, measured, gap, "; ".join(obstacles))


def _measured(one: Number, group: Sequence[Run]) -> Measured:
    values = [score.metrics.get(one.metric) for run in group if (score := run.score(one.task))]
    known = [value for value in values if value is not None]
    counts = {run.record.counts.trained for run in group if run.record.counts}
    mean = float(np.mean(known)) if len(known) == len(group) else None
    suites = sorted({suite for run in group for suite in run.suites if suite})
    return Measured(group[0].record.spec.backbone, mean, len(group), max(counts, default=None), tuple(suites))


def _obstacles(one: Number, group: Sequence[Run], stale: Mapping[str, str]) -> list[str]:
    """Return all in which runs are not what a paper's number is of."""
    record = group[0].record
    spec, card = record.spec, record.task_cards.get(one.task, {})
    found = [] if hub_name(spec.backbone) in one.backbones else [f"another backbone, {spec.backbone}"]
    if _measured(one, group).value is None:
        found.append(f"no {one.metric} of it")
    source, score = card.get("source"), group[0].score(one.task)
    names = source.get("splits") if isinstance(source, dict) else None
    split = str(names.get(score.split, score.split)) if isinstance(names, dict) and score else ""
    if not is_split(split, one.split):
        found.append(f"scored on {split or 'an unknown split'}, reported on {one.split}")
    states = {record.digests.data_state.get(task) or "unknown" for task in (spec.train, one.task)} - {"complete"}
    if states:
        found.append(f"our data are {' and '.join(sorted(states))}")
    found += short_of_rows(group)
    sizes = card.get("sizes")
    whole = sizes.get("evaluation") if isinstance(sizes, dict) else None
    if score and score.num_items != whole:
        found.append(f"scored {score.num_items:,} of {whole} items")
    size, counts = one.size(record.counts.total) if record.counts else None, record.counts
    if size and counts and not abs(counts.trained - size) <= ALIKE * size:
        found.append(f"another size, {counts.trained:,}")
    if any(run.run_id in stale for run in group):
        found.append("stale")
    return found


def _left_out(word: str) -> tuple[str, ...]:
    counts: dict[str, int] = defaultdict(int)
    for row in read(DATA / "reported_dropped.csv"):
        if row["paper"] == word and row["reason"] != AVERAGE:
            counts[row["reason"]] += int(row["rows"])
    return tuple(f"{count} left out: {reason}" for reason, count in sorted(counts.items()))
