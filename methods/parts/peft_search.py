"""Meet a budget by trying: whole numbers whose effect on a count is known only by counting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.errors import NotApplicable

LARGEST = 2**14
"""The largest size tried: beyond, an adapter would be larger than what it adapts."""
GAP = 8
"""Whole numbers in a row that may be refused (odd ranks, say) before a size counts as out of range."""


class Knob(NamedTuple):
    """One whole number."""

    name: str
    start: int
    counted: Callable[[int], int | None]
    """The count for a size, null where it is refused."""


def closest(knobs: Sequence[Knob], standing: int, budget: int, ceiling: int, divisors: Sequence[int]) -> dict[str, int]:
    """Return the size of the knob that comes closest to a budget without exceeding it; none where that is the start.

    Args:
        knobs: what may be turned; of equals the first wins.
        standing: the count with every knob at its start.
        budget: scalars that may be used.
        ceiling: scalars that no size may exceed.
        divisors: sizes tried for a knob that refuses most whole numbers.

    Raises:
        NotApplicable: naming the smallest or largest possible count.
    """
    found: list[tuple[int, dict[str, int]]] = [(standing, {})] if standing <= budget else []
    seen: list[int] = [standing]
    for knob in knobs:
        best, counts = _turn(knob, budget, ceiling, divisors)
        seen += counts
        if best is not None:
            found.append((best[0], {knob.name: best[1]}))
    if len(set(seen)) == 1:
        raise NotApplicable(f"it has one size, {standing}, and takes no budget")
    if not found:
        raise NotApplicable(f"smallest is {min(seen)}")
    used, sizes = max(found, key=lambda each: each[0])
    if used == max(seen) < budget:
        raise NotApplicable(f"largest is {used}")
    return sizes


def _turn(knob: Knob, budget: int, ceiling: int, divisors: Sequence[int]) -> tuple[tuple[int, int] | None, list[int]]:
    """Return (count, size) of one knob's best size, or null, and every count that was seen."""
    known: dict[int, int | None] = {}

    def count(size: int) -> int | None:
        if size not in known:
            known[size] = knob.counted(size)
        return known[size]

    start = max(1, knob.start)
    # 1 as well: some sizes count only while they are small, such as a rank from which on whole matrices are trained.
    here = [count(size) for size in (start, 2 * start, max(1, start // 2), 1)]
    if len({found for found in here if found is not None}) < 2:
        return None, [found for found in here if found is not None]
    beside = (*range(start + 1, start + 4), *((start - 1,) if start > 2 else ()))  # a rank may start at its largest
    if all(count(size) is None for size in beside):
        for size in divisors:
            count(size)
    else:
        _bisect(count, start, min(budget, ceiling))
    counts = {size: found for size, found in known.items() if found is not None and 0 < found <= ceiling}
    fitting = [(found, -size) for size, found in counts.items() if found <= budget]
    best = max(fitting, default=None)
    return (None if best is None else (best[0], -best[1])), list(counts.values())


def _bisect(count: Callable[[int], int | None], start: int, budget: int) -> None:
    """Count the sizes that lead to the budget: doubling until it is passed, then halving the interval."""

    def near(size: int) -> int | None:
        return next((found for step in range(GAP) if (found := count(size + step)) is not None), None)

    first, second = near(1), near(max(2, start))
    rises = first is None or second is None or first <= second
    low, high, last = 1, 2, None
    while (found := near(high)) not in (None, last) and ((found <= budget) == rises) and high < LARGEST:
        low, high, last = high, 2 * high, found
    while high - low > 1:
        middle = (low + high) // 2
        found = near(middle)
        if found is not None and ((found <= budget) == rises):
            low = middle
        else:
            high = middle
