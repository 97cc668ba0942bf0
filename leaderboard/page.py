"""The board: static pages that are a function of records alone, equal byte for byte whenever the records are.

No page needs a script, a network or a server. Nothing that a record says reaches a page unescaped.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import JsonValue

from leaderboard import wording
from leaderboard.averages import average, averages_of
from leaderboard.cells import Cell, tabulate
from leaderboard.columns import Column, Measure, headline
from leaderboard.curve import Plot, plot
from leaderboard.exports import cells_csv, records_csv, records_json
from leaderboard.figures import figures, key
from leaderboard.load import Loaded, Run, load_records
from leaderboard.marks import SHAPE_PATHS

_HERE = Path(__file__).parent
_RUN_PAGE = re.compile(r"[0-9a-f]{16}\.html")
PERCENT = Measure("average", True, "%", None, None)
"""How averages of scores between 0 and 1 are shown."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


class BoardSummary(NamedTuple):
    """What was built."""

    page: Path
    num_records: int
    unreadable: list[str]
    """One message for each file that could not be used; the rest was."""


def build_board(folders: Sequence[Path], out: Path, stale: Mapping[str, str] = _NOTHING) -> BoardSummary:
    """Write the board of all records under some folders.

    Args:
        folders: where records lie, at any depth.
        out: the site's folder; made if needed.
        stale: run id to the reason why it is not what today's code and cards would give; such runs are marked.

    Raises:
        MissingPrerequisite: if a folder does not exist.
    """
    loaded = load_records(folders)
    table = tabulate(loaded.runs, stale)
    unreadable = sorted({*loaded.unreadable, *table.unreadable})
    environment = _environment()
    index = environment.get_template("index.html").render(
        sections=table.sections,
        loaded=loaded,
        unreadable=unreadable,
        bad=_bad(loaded.runs),
        stale={run.run_id: (run, stale[run.run_id]) for run in loaded.runs if run.run_id in stale},
        totals=_totals(loaded),
    )
    pages = out / "runs"
    pages.mkdir(parents=True, exist_ok=True)
    run_page = environment.get_template("run.html")
    wanted = {f"{run.run_id}.html": run for run in loaded.runs}
    for old in pages.iterdir():
        # An earlier board's run pages would outlive their records; anything else in the folder is not ours.
        if _RUN_PAGE.fullmatch(old.name) and old.name not in wanted:
            old.unlink()
    for name, run in wanted.items():
        _write(
            pages / name, run_page.render(run=run, stale=stale.get(run.run_id), plots=_plots(run), headline=_headline)
        )
    _write(out / "index.html", index)
    _write(out / "records.csv", records_csv(loaded.runs, stale))
    _write(out / "cells.csv", cells_csv(table.sections))
    _write(out / "records.json", records_json(loaded.runs, stale))
    (out / "static").mkdir(exist_ok=True)
    for file in sorted((_HERE / "static").iterdir()):
        shutil.copyfile(file, out / "static" / file.name)
    return BoardSummary(out / "index.html", loaded.num_records, unreadable)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "axis": wording.axis,
        "count": wording.count,
        "counts": wording.counts,
        "plural": wording.plural,
        "words": _words,
        "flat": _flat,
        "seconds": _seconds,
        "bytes": _bytes,
    }
    environment.globals |= {
        "average": average,
        "averages_of": averages_of,
        "number": wording.number,
        "percent": PERCENT,
        "bounds": wording.bounds,
        "figures": figures,
        "key": key,
        "of_seeds": wording.of_seeds,
        "statuses": _statuses,
        "state_marks": _state_marks,
        "undefined_seeds": _undefined_seeds,
        "shape_paths": SHAPE_PATHS,
    }
    return environment


def _words(name: str) -> str:
    return name.replace("_", " ")


def _seconds(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _bytes(value: int | None) -> str:
    if value is None:
        return "—"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} bytes"


def _flat(values: Mapping[str, JsonValue], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as (dotted name, text) pairs in the order of names."""
    found: list[tuple[str, str]] = []
    for name in sorted(values):
        value = values[name]
        if isinstance(value, dict) and value:
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found.append((prefix + name, ", ".join(str(one) for one in value) or "—"))
        else:
            found.append((prefix + name, "—" if value is None or value == {} else str(value)))
    return found


def _totals(loaded: Loaded) -> list[str]:
    """Count what the page stands on, for its first lines."""
    finals = sum(run.record.spec.purpose == "final" for run in loaded.runs)
    trials = len(loaded.runs) - finals
    bad = sum(run.record.status != "ok" for run in loaded.runs)
    texts = [wording.plural(finals, "final run"), wording.plural(loaded.num_records, "attempt")]
    texts += [wording.plural(trials, "search trial")] if trials else []
    texts.append(f"{bad:,} not ok" if bad else "all ok")
    texts += [f"{loaded.num_unfinished:,} started without a record yet"] if loaded.num_unfinished else []
    return texts


def _bad(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without a result, those that make no sense last."""
    bad = [run for run in runs if run.record.status != "ok"]
    order = {run.run_id: (run.record.status == "not_applicable", run.record.status) for run in bad}
    return sorted(bad, key=lambda run: (*order[run.run_id], run.record.spec.method, run.record.spec.train, run.run_id))


def _statuses(cell: Cell) -> list[tuple[str, str, list[Run]]]:
    """Return (status, reason, runs) of a cell's runs without a result."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in cell.bad:
        reason = run.record.error.message if run.record.error else ""
        found.setdefault((run.record.status, reason), []).append(run)
    return [(status, reason, runs) for (status, reason), runs in sorted(found.items())]


def _state_marks(column: Column) -> list[str]:
    """Return the data marks of a whole column; where runs differ, each cell carries its own."""
    return [f"{state} data" for state in column.states] if len(column.states) == 1 else []


def _undefined_seeds(cell: Cell, column: Column) -> int:
    return sum(headline(run, column) is None for run in cell.good)


def _headline(run: Run, task: str) -> tuple[str, Measure]:
    """Return the headline metric of a run's task and how to show it."""
    score = run.score(task)
    facts = run.record.task_cards.get(task, {}).get("metric")
    unit = str(facts.get("unit", "")) if isinstance(facts, dict) else ""
    name = score.headline if score else str(facts.get("name", "")) if isinstance(facts, dict) else ""
    return name, Measure(name, True, unit, None, None)


def _plots(run: Run) -> list[tuple[str, Plot]]:
    """Return the validation curves of a run: metrics on one plot, losses on another."""
    epochs = run.record.validation
    if not epochs:
        return []
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.metrics))
    numbers = [epoch.epoch for epoch in epochs]
    losses = {
        "train loss": [epoch.train_loss for epoch in epochs],
        "validation loss": [epoch.validation_loss for epoch in epochs],
    }
    wanted = {
        "Validation metric": plot(numbers, {name: [epoch.metrics.get(name) for epoch in epochs] for name in names}),
        "Loss": plot(numbers, losses),
    }
    return [(title, drawn) for title, drawn in wanted.items() if drawn]
