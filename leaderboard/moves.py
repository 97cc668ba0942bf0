"""What moved since a release: each cell's paired difference, new cells, vanished ones, and changed letter groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.record import UnreadableRecord
from leaderboard.cells import Cell
from leaderboard.frozen import CellKey, FrozenCell
from leaderboard.load import read_entry
from leaderboard.releases import Release
from leaderboard.statistics import Interval, paired_difference

Now = Mapping[CellKey, tuple[FrozenCell, Cell]]
"""Today's cells, frozen alike, beside themselves."""


class Move(NamedTuple):
    """A cell whose results are others than at the release."""

    then: FrozenCell
    now: FrozenCell
    difference: Interval | None
    """Today's score minus the release's, paired on equal seeds and items; None where that cannot be had."""
    reason: str
    """Why there is no difference."""


@dataclass(frozen=True)
class Moves:
    """What moved since one release."""

    moved: Sequence[Move] = ()
    new: Sequence[FrozenCell] = ()
    vanished: Sequence[FrozenCell] = ()
    regrouped: Sequence[tuple[FrozenCell, FrozenCell]] = ()
    """Cells whose letters differ, at the release and now."""
    num_same: int = 0
    """Cells made of the very results of the release."""

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.moved or self.new or self.vanished or self.regrouped)


def moves(release: Release, now: Now) -> Moves:
    """Compare a release with today's cells."""
    then = {cell.key: cell for cell in release.cells}
    both = [key for key in sorted(then) if key in now]
    changed = [key for key in both if then[key].results != now[key][0].results]
    return Moves(
        moved=tuple(_moved(release, then[key], *now[key]) for key in changed),
        new=tuple(now[key][0] for key in sorted(now.keys() - then.keys())),
        vanished=tuple(then[key] for key in sorted(then.keys() - now.keys())),
        regrouped=tuple((then[key], now[key][0]) for key in both if then[key].letters != now[key][0].letters),
        num_same=len(both) - len(changed),
    )


def _moved(release: Release, then: FrozenCell, now: FrozenCell, cell: Cell) -> Move:
    if then.metric != now.metric:
        return Move(then, now, None, f"the metric was {then.metric}")
    for mean, when in ((then.mean, "then"), (now.mean, "now")):
        if mean is None:
            return Move(then, now, None, f"no number {when}")
    if cell.entry is None:
        return Move(then, now, None, "its items cannot be used")
    try:
        runs = [run for run in release.runs([run_id for run_id, _ in then.results.values()]) if run.score(then.task)]
        return Move(then, now, paired_difference(cell.entry, read_entry(runs, then.task, then.metric)), "")
    except UnreadableRecord:
        return Move(then, now, None, "the items of the release cannot be used")
    except ValueError:
        return Move(then, now, None, "no seed or item in common")
