"""Micro-training: every method's short runs, held against committed losses, and floors that hold on any version.

A run must end as it always has, score every test item, and move what it trains; its losses are those committed, to a
tolerance, where the versions are. Full fine-tuning must learn a few rows by heart on every protocol, and beat the
backbone as it is on those that random weights can learn in seconds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from harness import registry
from harness.gate import Check, Outcome
from harness.method import MethodCard
from harness.spec import Sizes, Spec
from runners.regression.training import CELLS, EPOCHS, Ran, spec
from runners.regression.values import MACHINE

RUNS, FLOORS, ITEMS, LOSSES = "micro/runs", "micro/floors", "micro/items", "micro/losses"
KNOWN = "micro/known"
"""The file of what is known to go wrong; kept by hand."""
ITEMS_ABOUT = "Protocol to the test items of its short runs: how many, and a digest of their ids and references."
ITEMS_NEEDS: tuple[str, ...] = ()
LOSSES_ABOUT = (
    "Method and protocol to the losses of its short run: of training and of validation, epoch after epoch; or how it "
    "ended."
)
LOSSES_NEEDS = ("torch", "transformers", "tokenizers", "peft", "numpy", MACHINE)
TOLERANCE = 1e-5
"""Relative. Kernels for other processors differ by some 1e-6 after so few steps; a LoRA scale that is twice as large
moves losses by 1e-4."""
EXPECTED = ("ok", "not_applicable")


class Floor(NamedTuple):
    """What full fine-tuning must reach on one protocol, whatever the versions."""

    lr: float
    by_heart: Sizes = Sizes(train=16, validation=4, test=4)
    by_heart_epochs: int = 60
    share: float = 0.3
    """Its last training loss on a few rows is at most this share of its first."""
    margin: float | None = None
    """How much better than the backbone as it is it scores test rows; null where random weights cannot learn the task
    in seconds."""
    sizes: Sizes = Sizes(train=1000, validation=10, test=200)
    epochs: int = 4
    batch_size: int = 16
    backbone: str | None = None


FULL, BASE = "full", "base"
FLOOR = {
    "classify": Floor(1e-2),
    "span": Floor(1e-2, margin=0.1, epochs=3),
    "prompt": Floor(1e-2, margin=0.15),
    "generate": Floor(1e-2, margin=0.05, sizes=Sizes(train=300, validation=10, test=40)),
    "image": Floor(
        3e-3,
        margin=0.4,
        sizes=Sizes(train=2000, validation=10, test=200),
        epochs=3,
        batch_size=32,
        backbone="scratch:resnet10",
    ),
}


def short_specs(methods: Iterable[str]) -> list[Spec]:
    """Return the short run of every method through every protocol."""
    named = list(methods)
    return [spec(method, protocol) for protocol in CELLS for method in named]


def floor_specs() -> list[Spec]:
    """Return what the floors run: by heart, and the backbone as it is and tuned."""
    return [one for protocol in FLOOR for one in _floor_specs(protocol)]


def _floor_specs(protocol: str) -> list[Spec]:
    floor = FLOOR[protocol]
    training = spec(FULL, protocol).training.model_copy(update={"lr": floor.lr, "warmup": 0.06})
    by_heart = training.model_copy(update={"epochs": floor.by_heart_epochs})
    specs = [spec(FULL, protocol, sizes=floor.by_heart, training=by_heart)]
    if floor.margin is not None:
        learned = training.model_copy(update={"epochs": floor.epochs, "batch_size": floor.batch_size})
        values: dict[str, object] = {"sizes": floor.sizes, "training": learned}
        values |= {"backbone": floor.backbone} if floor.backbone else {}
        specs += [spec(method, protocol, **values) for method in (BASE, FULL)]
    return specs


class Known(BaseModel):
    """Why a short run may go wrong for a while: as a waiver of ``paretune compare`` is one of a cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    expires: date
    """The last day on which it holds."""


def run_checks(runs: Sequence[Ran], known: Mapping[str, JsonValue], today: date) -> Iterator[Check]:
    """Yield one check per short run: it ended well, and moved what it says that it trains.

    Args:
        runs: the short runs.
        known: run to why it is known to go wrong (``Known``); one that does not fails, so that the list can only
            shrink, and so does one that goes wrong after its last day.
        today: the day.
    """
    head_alone = {ran.protocol: ran.losses for ran in runs if ran.status == "ok" and _is_head_alone(ran)}
    for ran in runs:
        reason, excuse = _fault(ran, head_alone), None
        if name_of(ran) in known:
            listed = Known.model_validate(known[name_of(ran)])
            if not reason:
                reason = f"is listed in {KNOWN}.json but goes well; leave it out there"
            elif listed.expires < today:
                reason += (
                    f"; {listed.owner} expected that until {listed.expires} ({listed.reason}): mend it, or renew it"
                )
            else:
                excuse = f"{listed.reason}; {listed.owner}, until {listed.expires}"
        facts: dict[str, JsonValue] = {"status": ran.status, "trained": ran.trained, "losses": list(ran.losses)}
        outcome = Outcome.FAIL if reason else Outcome.PASS
        yield Check(RUNS, name_of(ran), outcome, reason or "", facts, excuse)


def _fault(ran: Ran, head_alone: dict[str, tuple[float, ...]]) -> str | None:
    if ran.status not in EXPECTED:
        return f"ended as {ran.status}: {ran.message}"
    if ran.status != "ok" or _targets(ran.method) == "none":
        return None
    if not all(map(math.isfinite, ran.losses)) or len(ran.losses) != 2 * EPOCHS:
        return f"has losses {ran.losses}; {2 * EPOCHS} finite ones are due"
    if not ran.trained:
        # A family member whose definition trains nothing on this backbone says so by its count, which is committed.
        return None if registry.find("method", ran.method).family else "trains nothing: it counts no scalar"
    if not ran.moved:
        return f"trains nothing: none of its {ran.trained} scalars is other than at the start"
    if ran.losses == head_alone.get(ran.protocol):
        return "trains nothing: its losses are those of training the head alone"
    return None


def name_of(ran: Ran) -> str:
    """Return what a run is called among values."""
    return f"{ran.method}, {ran.protocol}"


def losses(runs: Sequence[Ran]) -> dict[str, JsonValue]:
    """Return the losses of runs of our own methods by name, or how a run ended that has none."""
    ours = {name for name, entry in registry.methods().items() if entry.origin == "built-in"}
    return {
        name_of(ran): list(ran.losses) if ran.status == "ok" else ran.status.replace("_", " ")
        for ran in runs
        if ran.method in ours
    }


def items(runs: Sequence[Ran]) -> dict[str, JsonValue]:
    """Return the test items of each protocol: the same for every method."""
    seen: dict[str, set[str]] = defaultdict(set)
    for ran in runs:
        if ran.items:
            seen[ran.protocol].add(ran.items)
    return {protocol: "; or ".join(sorted(found)) for protocol, found in seen.items()}


def floor_checks(runs: Sequence[Ran]) -> Iterator[Check]:
    """Yield the checks of the floors; ``runs`` are those of ``floor_specs``, in their order."""
    left = list(runs)
    for protocol in FLOOR:
        mine, left = left[: len(_floor_specs(protocol))], left[len(_floor_specs(protocol)) :]
        bad = [ran for ran in mine if ran.status != "ok"]
        for ran in bad:
            yield Check(FLOORS, name_of(ran), Outcome.FAIL, f"ended as {ran.status}: {ran.message}")
        if not bad:
            yield _by_heart(protocol, mine[0])
            if len(mine) > 1:
                yield _beats_base(protocol, mine[1], mine[2])


def _by_heart(protocol: str, ran: Ran) -> Check:
    first, last, share = ran.losses[0], ran.losses[-2], FLOOR[protocol].share
    detail = f"the training loss fell from {first:.4g} to {last:.4g}; at most {share:.0%} of the first is due"
    outcome = Outcome.PASS if last <= share * first else Outcome.FAIL
    return Check(FLOORS, f"{FULL} learns a few rows by heart, {protocol}", outcome, detail)


def _beats_base(protocol: str, base: Ran, full: Ran) -> Check:
    margin = FLOOR[protocol].margin or 0.0
    before, after = base.score or 0.0, full.score or 0.0
    detail = f"{after:.4g} against {before:.4g} of the backbone as it is; {margin:g} more is due"
    outcome = Outcome.PASS if after >= before + margin else Outcome.FAIL
    return Check(FLOORS, f"{FULL} beats {BASE}, {protocol}", outcome, detail)


def _is_head_alone(ran: Ran) -> bool:
    return _targets(ran.method) == "none" and len(ran.losses) == 2 * EPOCHS


def _targets(method: str) -> str | None:
    return MethodCard.model_validate(registry.find("method", method).card).targets
