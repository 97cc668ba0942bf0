"""Grid: every cell of a matrix as a few signs, one per run, in whatever room a terminal has.

Rows are methods with values and budget, columns are tasks, in a block per backbone. What does not fit is left out by
what it tells: cells where something runs or went wrong stay longest, and what is left out is counted.
"""

from __future__ import annotations

import string
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.text import Text

from harness.spec import Spec
from runners.summary import budget_label, method_label


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

    def add(self, run_id: str, spec: Spec) -> None:
        """Find the place of a run."""
        if spec.train not in self.tasks:
            self.tasks.append(spec.train)
        # The trials of a search differ in values: each in a row of its own would fill the screen.
        label = method_label(spec) if spec.purpose == "final" else f"{budget_label(spec)} trials"
        self.rows.setdefault(label, Row(label)).cells.setdefault(spec.train, []).append(run_id)


class Layout(NamedTuple):
    """How a block is drawn: in which columns, and under which lines of head."""

    block: Block
    tasks: tuple[str, ...]
    label: int
    """Letters of a row's name."""
    column: int
    """Signs of a cell, without the blank before it."""
    head: tuple[Text, ...]


class Grid:
    """The places of all runs, and how they look."""

    def __init__(self, specs: Mapping[str, Spec], wide: bool) -> None:
        self._wide = wide
        self._blocks: dict[str, Block] = {}
        self._placed: set[str] = set()
        self.place(specs)

    def place(self, specs: Mapping[str, Spec]) -> None:
        """Give every run, by its id, a place, once."""
        if len(specs) == len(self._placed):
            return
        for run_id, spec in specs.items():
            if run_id not in self._placed:
                self._placed.add(run_id)
                self._blocks.setdefault(spec.backbone, Block(spec.backbone)).add(run_id, spec)

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
        layouts = [_layout(block, states, width, height) for block in self._blocks.values()]
        kept = _choose(layouts, states, height)
        lines, left_out = [], Counter[str]()
        num_left_out = 0
        for layout in layouts:
            rows = [row for row in layout.block.rows.values() if id(row) in kept]
            lines += [*layout.head, *(self._row(layout, row, states, width) for row in rows)] if rows else []
            for row in layout.block.rows.values():
                if id(row) not in kept:
                    num_left_out += 1
                    left_out.update(states[run] for runs in row.cells.values() for run in runs)
        if num_left_out:
            told = ", ".join(f"{left_out[state]} {state}" for state in sorted(left_out, key=_rank))
            lines.append(_cut(Text(f"and {num_left_out} more rows: {told}", style="dim"), width))
        return lines[: max(height, 0)]

    def _row(self, layout: Layout, row: Row, states: Mapping[str, str], width: int) -> Text:
        line = Text(f"{_short(row.label, layout.label):<{layout.label}}")
        for task in layout.tasks:
            line.append(" ")
            line.append_text(self._cell([states[run] for run in row.cells.get(task, ())], layout.column))
        return _cut(line, width)

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


def _choose(layouts: Sequence[Layout], states: Mapping[str, str], height: int) -> set[int]:
    """Return which rows there is room for: those that tell most first, each with its block's head."""
    rows = [(layout, row) for layout in layouts for row in layout.block.rows.values()]
    if len(rows) + sum(len(layout.head) for layout in layouts) <= height:
        return {id(row) for _, row in rows}
    room, kept, begun = height - 1, set[int](), set[str]()  # the last line counts what is left out
    for layout, row in sorted(rows, key=lambda one: _row_rank(one[1], states)):
        needed = 1 + (0 if layout.block.backbone in begun else len(layout.head))
        if needed <= room:
            room -= needed
            begun.add(layout.block.backbone)
            kept.add(id(row))
    return kept


def _layout(block: Block, states: Mapping[str, str], width: int, height: int) -> Layout:
    label = min(max(map(len, block.rows)), max(8, width // 3))
    tasks = _tasks(block, states, min(max(1, (width - label) // 2), len(LETTERS)))
    signs = max(len(runs) for row in block.rows.values() for runs in row.cells.values())
    wanted = max(signs, max(map(len, tasks)))
    column = max(1, min(wanted, (width - label) // len(tasks) - 1))
    names, key = {task: _short(task, column) for task in tasks}, ""
    if column < min(NARROWEST_NAME, max(map(len, tasks))):
        names = dict(zip(tasks, LETTERS, strict=False))
        key = "  ".join(f"{letter} {task}" for task, letter in names.items())
    line = " " * label + "".join(f" {names[task]:<{column}}" for task in tasks)
    missing = len(block.tasks) - len(tasks)
    title = f"{block.backbone}{f'  ({missing} of {len(block.tasks)} tasks left out)' if missing else ''}"
    keys = textwrap.wrap(key, width, max_lines=max(1, height // 4), placeholder=" ...")
    head = [Text(title, style="bold"), *(Text(one, style="dim") for one in (line, *keys))]
    return Layout(block, tuple(tasks), label, column, tuple(_cut(one, width) for one in head))


def _tasks(block: Block, states: Mapping[str, str], most: int) -> list[str]:
    """Return the tasks that there is room for, those that tell most."""
    if len(block.tasks) <= most:
        return block.tasks
    ranks = dict.fromkeys(block.tasks, len(SIGNS))
    for row in block.rows.values():
        for task, runs in row.cells.items():
            ranks[task] = min(ranks[task], *(_rank(states[run]) for run in runs))
    chosen = set(sorted(block.tasks, key=lambda task: ranks[task])[:most])
    return [task for task in block.tasks if task in chosen]


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
