"""The frontier of score against trained parameters, over points only; what is sure about it is the intervals' job."""

from __future__ import annotations

from collections.abc import Sequence


def frontier(points: Sequence[tuple[float, float]], higher_is_better: bool = True) -> list[int]:
    """Return the indices of the points that no other point beats, by cost and then by position.

    A point is beaten by one that costs no more and scores no worse, and is better in at least one of the two; equal
    points stand or fall together.

    Args:
        points: (trained parameters, score) pairs, all finite.
        higher_is_better: the direction of the score.
    """
    sign = 1.0 if higher_is_better else -1.0
    chosen: list[int] = []
    best = float("-inf")
    by_cost = sorted(range(len(points)), key=lambda index: (points[index][0], -sign * points[index][1], index))
    for index in by_cost:
        score = sign * points[index][1]
        if score > best or (chosen and points[index] == points[chosen[-1]]):
            best = score
            chosen.append(index)
    return chosen
