"""What the command line shows of the registry, and of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from harness import registry
from harness.errors import UnknownName

if TYPE_CHECKING:
    from leaderboard.load import Run

Row = dict[str, JsonValue]


def methods() -> list[Row]:
    """Return every method: name, title, card."""
    return _entries(registry.methods())


def tasks(mirror: str | None = None) -> list[Row]:
    """Return every task: name, title, card, and as ``data`` whether its rows can be had now.

    Args:
        mirror: a local copy of the data; ``PARETUNE_MIRROR`` by default.
    """
    from harness.data import DataSource
    from harness.task import Task, TaskCard

    source = DataSource.of(mirror)
    rows = _entries(registry.tasks())
    for row in rows:
        # From the card alone: a list of names must not wait for the code of every family.
        broken = registry.tasks()[str(row["name"])].error
        row["data"] = "broken" if broken else source.reach(Task(TaskCard.model_validate(row["card"])))
    return rows


def task_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of ``paretune list tasks``: name, protocols, metric, version, data, title; then open families."""
    table = [("task", "protocols", "metric", "version", "data", "")]
    for row in rows:
        card = registry.tasks()[str(row["name"])].card
        facts = card.get("metric")
        table.append(
            (
                str(row["name"]),
                ",".join(map(str, card.get("protocols", ()))),  # type: ignore[arg-type]  # a list by the card's model
                str(facts.get("name")) if isinstance(facts, dict) else "",
                str(card.get("version", "")),
                str(row["data"]),
                str(row["title"]),
            )
        )
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    for line in table:
        yield "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
    for resolver in registry.resolvers():
        yield f"{resolver.prefix}...  {resolver.title}"


def backbones() -> list[Row]:
    """Return the backbones of the shipped suites, and those that are made; any other reference works as well."""
    from harness import scratch
    from harness.tiny import ARCHITECTURES

    used: dict[str, list[str]] = {}
    for card in suites():
        for name in _backbones_of(card):
            used.setdefault(name, []).append(str(card["name"]))
    titles = {f"scratch:{name}": "random weights, to be trained from scratch" for name in scratch.ARCHITECTURES}
    titles |= {name: f"used by {', '.join(names)}" for name, names in used.items()}
    titles |= {f"tiny:{name}": "small random weights, for tests" for name in ARCHITECTURES}
    return [{"name": name, "title": title, "card": {"reference": name}} for name, title in sorted(titles.items())]


def suites() -> list[Row]:
    """Return every shipped suite: name, title, card."""
    from harness.suite import shipped, suite_card

    rows: list[Row] = []
    for path in shipped().values():
        card = suite_card(path)
        rows.append({"name": card["name"], "title": card["title"], "card": card})
    return rows


def find_run(run_id: str, folders: Sequence[Path]) -> Run:
    """Return the one run whose id begins with ``run_id``.

    Raises:
        UnknownName: if there is none, or more than one.
    """
    from leaderboard.load import load_records

    runs = load_records([folder for folder in folders if folder.is_dir()]).runs
    found = [run for run in runs if run.run_id.startswith(run_id)]
    if len(found) != 1:
        where = ", ".join(map(str, folders))
        raise UnknownName(
            "run id" if not found else "(ambiguous) run id", run_id, [run.run_id for run in found or runs], where
        )
    return found[0]


def describe_run(run: Run) -> Iterator[str]:
    """Yield the lines that ``paretune show`` prints."""
    record = run.record
    yield f"run {record.run_id}, attempt {record.attempt} of {len(run.attempts)}: {record.status}"
    if record.error:
        yield f"  {record.error.kind}: {record.error.message}"
        yield from (f"  | {line}" for line in record.error.log_tail)
    spec = record.spec
    values = record.method_config or spec.values
    yield f"  {spec.backbone}  {spec.method} {values}  targets {spec.targets}  seed {spec.seed}"
    yield f"  train {spec.train}  {spec.protocol}  {spec.policy}  {spec.purpose}  {record.started} to {record.ended}"
    if record.counts:
        counts = record.counts
        share = counts.trained / counts.total
        yield f"  trained {counts.trained:,} of {counts.total:,} ({share:.4%}), head {counts.head:,}"
    for epoch in record.validation:
        yield (
            f"  epoch {epoch.epoch}: train loss {_short(epoch.train_loss)}, "
            f"validation loss {_short(epoch.validation_loss)}, "
            + (", ".join(f"{name} {_short(value)}" for name, value in epoch.metrics.items()))
        )
    for score in record.scores:
        yield f"  {score.task} ({score.num_items} items): " + ", ".join(
            f"{name} {_short(value)}" for name, value in score.metrics.items()
        )
    yield f"  seconds {record.cost.seconds}"
    if record.search:
        yield from _bill(record.search)
    yield f"  {run.result.folder}"


def _bill(bill: dict[str, Any]) -> Iterator[str]:  # Any: the JSON that ``runners.search.bill`` makes
    """Yield what the search that chose a run's values cost and found; a bill of another version may lack facts."""
    counts = ", ".join(f"{count} {status}" for status, count in bill.get("statuses", {}).items())
    cost = f"{bill.get('num_trials')} trials ({counts}), {bill.get('num_epochs')} epochs, {bill.get('seconds')} s"
    by = "metric" if bill.get("select") == "validation" else "loss"
    yield f"  search {bill.get('search')}: {cost}; by the {by} on {bill.get('selected_on')}"
    trials = bill.get("trials", [])
    chosen = [trial["run_id"] for trial in trials if trial["values"] == bill.get("chosen")][-1:]
    for trial in trials:
        values = _values(trial["values"]) + (f", {trial['epochs']} epochs" if "epochs" in trial else "")
        reached = f"metric {_short(trial['metric'])}, loss {_short(trial['loss'])}"
        mark = "  chosen" if trial["run_id"] in chosen else ""
        yield f"    {trial['run_id']}  {values}  {trial['status']}  {reached}{mark}"
    for doubt in (*bill.get("edges", ()), *filter(None, [bill.get("unequal")])):
        yield f"  note: {doubt}"


def _values(values: dict[str, Any]) -> str:  # Any: as a card or a suite states them
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _entries(entries: dict[str, registry.Entry]) -> list[Row]:
    return [
        {
            "name": entry.name,
            "title": str(entry.card.get("title", "")) if not entry.error else f"BROKEN: {entry.error}",
            "card": entry.card,
        }
        for entry in entries.values()
    ]


def _backbones_of(row: Row) -> list[str]:
    card = row["card"]
    assert isinstance(card, dict)
    suite = card["suite"]
    assert isinstance(suite, dict)
    return [str(name) for name in suite["backbones"]]  # type: ignore[union-attr]  # a list by the suite's own model


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
