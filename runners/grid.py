"""Grid: every cell of a matrix as a few signs, one per run, in whatever room a terminal has.

Rows are methods with values and budget, columns are tasks, in a block per backbone. What does not fit is left out by
what it tells: cells where something runs or went wrong stay longest, and what is left out is counted.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.text import Text

from harness.spec import Spec
from runners.summary import method_label


class Sign(NamedTuple):
    """How a state is shown: on a terminal that knows more letters, on one that does not, and its colour."""

    wide: str
    plain: str
    style: str


SIGNS: Mapping[str, Sign] = {
    "running": Sign("▸", ">", "bold cyan"),
    "failed": Sign("✗", "x", "bold red"),
    "lost": Sign("L", "L", "bold red"),
    "out_of_memory": Sign("M", "M", "bold red"),
    "timed_out": Sign("T", "T", "bold red"),
    "diverged": Sign("D", "D", "bold yellow"),
    "cancelled": Sign("C", "C", "yellow"),
    "todo": Sign("·", ".", "dim"),
    "ok": Sign("●", "o", "green"),
    "not_applicable": Sign("–", "-", "dim"),
}
"""By how much they tell: of several states that must share one place, the first is shown."""
UNKNOWN = Sign("?", "?", "yellow")
ORDER = {state: place for place, state in enumerate(SIGNS)}
NARROWEST_NAME = 4
"""Columns under this width are named by a letter and explained below."""
LETTERS = string.ascii_lowercase + string.ascii_uppercase


@dataclass
class Row:
    """A method as asked for, on one backbone."""

    label: str
    cells: dict[str, list[str]] = field(default_factory=dict)
    """Task to the run ids of its cell."""


@dataclass
class Block:
    """The rows of one backbone."""

    backbone: str
    rows: dict[str, Row] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)

    def add(self, spec: Spec) -> None:
        """Find the place of a run."""
        if spec.train not in self.tasks:
            self.tasks.append(spec.train)
        label = method_label(spec)
        self.rows.setdefault(label, Row(label)).cells.setdefault(spec.train, []).append(spec.run_id)


class Grid:
    """The places of all runs, and how they look."""

    def __init__(self, specs: Iterable[Spec], wide: bool) -> None:
        self._wide = wide
        self._blocks: dict[str, Block] = {}
        self._placed: set[str] = set()
        for spec in specs:
            self.add(spec)

    def add(self, spec: Spec) -> None:
        """Give a run a place, once."""
        run_id = spec.run_id
        if run_id not in self._placed:
            self._placed.add(run_id)
            self._blocks.setdefault(spec.backbone, Block(spec.backbone)).add(spec)

    def legend(self, states: Mapping[str, str]) -> Text:
        """Return what each sign means, with the number of runs in that state."""
        counts = Counter(states.values())
        text = Text(no_wrap=True, overflow="ellipsis")
        for state in sorted(counts, key=_rank):
            text.append(self._sign(state), style=SIGNS.get(state, UNKNOWN).style)
            text.append(f" {counts[state]} {state}  ")
        return text

    def lines(self, states: Mapping[str, str], width: int, height: int) -> list[Text]:
        """Return the grid in at most ``height`` lines of at most ``width`` columns.

        Args:
            states: run id to state.
            width: columns of the terminal.
            height: lines that it may take.
        """
        kept = self._choose(states, height)
        lines: list[Text] = []
        for block in self._blocks.values():
            rows = [row for row in block.rows.values() if id(row) in kept]
            if rows:
                lines += self._draw(block, rows, states, width)
        left_out = [row for block in self._blocks.values() for row in block.rows.values() if id(row) not in kept]
        if left_out:
            counts = Counter(states[run] for row in left_out for runs in row.cells.values() for run in runs)
            told = ", ".join(f"{counts[state]} {state}" for state in sorted(counts, key=_rank))
            lines.append(_cut(Text(f"and {len(left_out)} more rows: {told}", style="dim"), width))
        return lines[: max(height, 0)]

    def _choose(self, states: Mapping[str, str], height: int) -> set[int]:
        """Return which rows there is room for: those that tell most first, each with its block's two lines of head."""
        rows = [(block, row) for block in self._blocks.values() for row in block.rows.values()]
        heads = 3 * len(self._blocks)  # a third line may explain the columns
        if len(rows) + heads <= height:
            return {id(row) for _, row in rows}
        room, kept, begun = height - 1, set[int](), set[str]()
        for block, row in sorted(rows, key=lambda one: _row_rank(one[1], states)):
            needed = 1 + (0 if block.backbone in begun else 3)
            if needed <= room:
                room -= needed
                begun.add(block.backbone)
                kept.add(id(row))
        return kept

    def _draw(self, block: Block, rows: Sequence[Row], states: Mapping[str, str], width: int) -> list[Text]:
        label = min(max(len(row.label) for row in rows), max(8, width // 3))
        tasks, column = _columns(block, rows, states, width - label)
        head, key = Text(" " * label), ""
        if column < min(NARROWEST_NAME, max(map(len, tasks))):
            names = dict(zip(tasks, LETTERS, strict=False))
            key = "  ".join(f"{letter} {task}" for task, letter in names.items())
        else:
            names = {task: _short(task, column) for task in tasks}
        for task in tasks:
            head.append(f" {names[task]:<{column}}", style="dim")
        left_out = len(block.tasks) - len(tasks)
        title = f"{block.backbone}{f'  ({left_out} of {len(block.tasks)} tasks left out)' if left_out else ''}"
        lines = [_cut(Text(title, style="bold"), width), _cut(head, width)]
        if key:
            lines.append(_cut(Text(key, style="dim"), width))
        for row in rows:
            line = Text(f"{_short(row.label, label):<{label}}")
            for task in tasks:
                line.append(" ")
                line.append_text(self._cell([states[run] for run in row.cells.get(task, ())], column))
            lines.append(_cut(line, width))
        return lines

    def _cell(self, states: Sequence[str], column: int) -> Text:
        text = Text()
        if len(states) > column:
            done = sum(state not in ("todo", "running") for state in states)
            worst = min(states, key=_rank)
            counted = f"{done}/{len(states)}"
            text.append(self._sign(worst), style=SIGNS.get(worst, UNKNOWN).style)
            text.append(counted if len(counted) < column else "")
        else:
            for state in states:
                text.append(self._sign(state), style=SIGNS.get(state, UNKNOWN).style)
        text.append(" " * (column - text.cell_len))
        return text

    def _sign(self, state: str) -> str:
        sign = SIGNS.get(state, UNKNOWN)
        return sign.wide if self._wide else sign.plain


def _columns(block: Block, rows: Sequence[Row], states: Mapping[str, str], room: int) -> tuple[list[str], int]:
    """Return the tasks that there is room for, and the width of a column without the blank before it."""
    most = min(max(1, room // 2), len(LETTERS))
    tasks = block.tasks
    if len(tasks) > most:
        ranks = {
            task: min((_rank(states[run]) for row in rows for run in row.cells.get(task, ())), default=99)
            for task in tasks
        }
        chosen = set(sorted(tasks, key=lambda task: ranks[task])[:most])
        tasks = [task for task in tasks if task in chosen]
    signs = max(len(runs) for row in rows for runs in row.cells.values())
    wanted = max(signs, max(map(len, tasks)))
    return tasks, max(1, min(wanted, room // len(tasks) - 1))


def _row_rank(row: Row, states: Mapping[str, str]) -> int:
    return min(_rank(states[run]) for runs in row.cells.values() for run in runs)


def _rank(state: str) -> int:
    return ORDER.get(state, ORDER["todo"])


def _short(name: str, width: int) -> str:
    """Return a name in at most ``width`` letters: without its family first, then cut."""
    if len(name) > width:
        name = name.rpartition("/")[2]
    return name if len(name) <= width else f"{name[: width - 1]}~"


def _cut(text: Text, width: int) -> Text:
    text.truncate(width)
    text.no_wrap = True
    return text
