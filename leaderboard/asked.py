"""What was asked of a run, as its page says it: the differences to the defaults, and commands that ask again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from harness.spec import Budget, Spec
from leaderboard.load import Run
from leaderboard.rendering import flat

HEAD = ("backbone", "method", "train", "score", "protocol", "budget", "values", "seed")
"""Fields that say which run it is; their default, if any, is of no interest."""
_PLAIN = re.compile(r"[^,=\x00-\x1f\x7f]+")
"""What a filter's value may be: commas and equal signs would end it."""


class Change(NamedTuple):
    """A field of a spec that is not what it is by default."""

    name: str
    value: str
    default: str


def whole(spec: Spec) -> tuple[tuple[str, str], ...]:
    """Return every field of a spec as (dotted name, text)."""
    fields = spec.model_dump(mode="json", exclude={"budget"})
    fields["budget"] = str(spec.budget) if spec.budget else None
    return tuple(flat(fields))


def changes(fields: Iterable[tuple[str, str]]) -> tuple[Change, ...]:
    """Return which fields of a whole spec differ from their defaults, but for those that name the run."""
    return tuple(
        Change(name, value, DEFAULTS.get(name, "—"))
        for name, value in fields
        if name.partition(".")[0] not in HEAD and DEFAULTS.get(name, "—") != value
    )


def _defaults() -> Mapping[str, str]:
    """Return what a spec says that only names its run."""
    needed = {"backbone": "-", "method": "-", "train": "-", "score": ("-",), "protocol": "-"}
    return dict(whole(Spec.model_validate(needed)))


DEFAULTS = _defaults()


def commands(run: Run) -> tuple[str, ...]:
    """Return the commands that execute a run again: itself alone, and as part of each suite that asked for it."""
    spec = run.record.spec
    again = [f"paretune reproduce {run.run_id} --out RECORDS"]
    if spec.purpose == "final":
        again += [f"paretune run {shlex.quote(suite)} --only {only(spec)}" for suite in run.suites if _named(suite)]
    return tuple(again)


def _named(suite: str) -> bool:
    """Return whether a suite's name can stand in a command: it is no option, and holds no control characters."""
    return bool(suite) and not suite.startswith("-") and suite.isprintable()


def only(spec: Spec) -> str:
    """Return the filter that picks a run from its suite, quoted for a shell; what a filter cannot hold is left out."""
    wanted = {"method": spec.method, "task": spec.train, "backbone": spec.backbone, "seed": str(spec.seed)}
    if spec.budget:
        wanted["budget"] = budget_text(spec.budget)
    return shlex.quote(",".join(f"{key}={value}" for key, value in wanted.items() if _PLAIN.fullmatch(value)))


@lru_cache(maxsize=256)
def budget_text(budget: Budget) -> str:
    """Return a budget as a suite or a filter takes it, without a loss."""
    if budget.count is not None:
        return str(budget.count)
    return f"{Decimal(repr(budget.fraction)) * 100:f}%"
