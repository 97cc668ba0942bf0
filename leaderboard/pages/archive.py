"""The archive: releases with their boards, and what moved since each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from leaderboard import paths, wording
from leaderboard.cells import Ground
from leaderboard.columns import Measure
from leaderboard.frozen import FrozenCell, frozen_cells
from leaderboard.moves import Move, Moves, moves
from leaderboard.releases import MANIFEST, Release
from leaderboard.rendering import render
from leaderboard.site import Page, Site
from leaderboard.spreadsheet import table
from leaderboard.statistics import Interval

MOST = 200
"""Lines of one kind that the page shows; its CSV has them all."""
FIELDS = (
    "what", "suite", "backbone", "protocol", "policy", "sizes", "data_seed", "task", "method", "metric", "then", "now",
    "difference", "low", "high", "reason", "letters_then", "letters_now",
)  # fmt: skip


class Shown(NamedTuple):
    """A release as the archive shows it."""

    release: Release
    moves: Moves
    csv: str
    """Where everything that moved lies as CSV."""

    @property
    def board(self) -> str:
        """Where its board lies."""
        return f"{_folder(self.release)}/{paths.INDEX}"


def pages(site: Site) -> Iterator[Page]:
    """Yield the archive, what moved since each release as CSV, and the boards of the releases."""
    now = {cell.key: (cell, own) for cell, own in frozen_cells(site)} if site.releases else {}
    shown = [
        Shown(release, Moves() if release.altered else moves(release, now), f"downloads/all/since-{release.name}.csv")
        for release in site.releases
    ]
    values = {"shown": shown, "most": MOST, "score": score, "difference": difference, "place": place, "site": site}
    yield Page(paths.ARCHIVE, render("archive.html", paths.ARCHIVE, **values))
    for one in shown:
        if one.release.altered:
            continue
        yield Page(one.csv, moves_csv(one.moves))
        yield Page(f"{_folder(one.release)}/{MANIFEST}", one.release.manifest.model_dump_json(indent=1) + "\n")
        for name in one.release.board():
            yield Page(f"{_folder(one.release)}/{name}", partial(one.release.content, name))


def _folder(release: Release) -> str:
    return f"releases/{release.name}"


def place(cell: FrozenCell) -> str:
    """Return in words which section a cell is of."""
    ground = Ground(*json.loads(cell.ground))
    return ", ".join(filter(None, (ground.suite or "no suite", ground.backbone, ground.protocol, ground.sizes)))


def score(cell: FrozenCell) -> str:
    """Return a cell's number as tables show it."""
    return "—" if cell.mean is None else wording.number(cell.mean, _measure(cell))


def difference(move: Move) -> str:
    """Return a difference with its interval, or why there is none."""
    if move.difference is None:
        return move.reason
    measure = _measure(move.now)
    value = wording.number(move.difference.estimate, measure)
    sign = "+" if move.difference.estimate > 0 and float(value) else ""
    return f"{sign}{value} {wording.bounds(move.difference, measure) or f'({move.difference.basis})'}"


def _measure(cell: FrozenCell) -> Measure:
    return Measure(cell.metric, True, cell.unit, None, None)


def moves_csv(of: Moves) -> str:
    """Return everything that moved, one line each, scores unscaled."""
    lines: list[dict[str, object]] = []
    for move in of.moved:
        found: Interval | None = move.difference
        numbers = {"difference": found.estimate, "low": found.low, "high": found.high} if found else {}
        pair = _pair(move.then, move.now)
        lines.append({"what": "moved", **pair, **_known(numbers), "reason": move.reason})
    lines += [{"what": "new", **_pair(None, cell)} for cell in of.new]
    lines += [{"what": "vanished", **_pair(cell, None)} for cell in of.vanished]
    lines += [{"what": "letters", **_pair(then, now)} for then, now in of.regrouped]
    return table(FIELDS, lines)


def _pair(then: FrozenCell | None, now: FrozenCell | None) -> dict[str, object]:
    cell = now or then
    assert cell is not None
    sides: dict[str, object] = {}
    for side, name in ((then, "then"), (now, "now")):
        if side is not None:
            sides |= _known({name: side.mean}) | {f"letters_{name}": side.letters}
    ground = Ground(*json.loads(cell.ground))._asdict()
    return {**ground, "task": cell.task, "method": cell.name, "metric": cell.metric, **sides}


def _known(numbers: dict[str, float | None]) -> dict[str, object]:
    return {name: value for name, value in numbers.items() if value is not None}
