"""The shipped ladder of a backbone: the budgets at which a suite compares methods there.

It starts from LoRA's floor, its rank 1 on the suite's targets, so that a low-rank method meets a rung to the scalar.
Two sparser rungs lie below, which only masks and rotations reach.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import yaml

from harness.errors import MissingPrerequisite
from harness.spec import Budget

FILE = Path(__file__).parent / "ladders.yaml"
RUNGS = (Fraction(1, 16), Fraction(1, 4), Fraction(1), Fraction(4), Fraction(16))
"""Budgets as multiples of LoRA's floor."""


@cache
def floors() -> dict[str, dict[str, int]]:
    """Return backbone to targets to LoRA's floor in trained scalars."""
    content: dict[str, dict[str, int]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return content


def ladder(backbone: str, targets: str | tuple[str, ...]) -> tuple[Budget, ...]:
    """Return the rungs for a backbone and targets, smallest first; a revision of a backbone shares its ladder.

    Raises:
        MissingPrerequisite: if none is shipped for them.
    """
    known = floors().get(backbone.removeprefix("hub:").partition("@")[0], {})
    floor = known.get(targets) if isinstance(targets, str) else None
    if floor is None:
        shipped = f"targets {', '.join(known)}" if known else f"the backbones {', '.join(floors())}"
        raise MissingPrerequisite(
            f"no ladder is shipped for {backbone} with targets {targets!r}; "
            f"write the budgets as a list, such as [0.01%, 0.1%, 1%]; there are ladders for {shipped}"
        )
    return tuple(Budget(count=int(floor * rung)) for rung in RUNGS)
