"""Check: does a method keep the contract? For any registered method, a third party's too, on any backbone.

The card comes first, then one start, which may say that the pair makes no sense, and then every promise of
``runners.promises``, in their order and whatever became of the others; each gives one finding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from harness import registry
from harness.backbone import Backbone, load_model, locate
from harness.errors import NotApplicable
from harness.method import MethodCard, Plan
from harness.random import Streams
from harness.spec import Budget
from harness.targets import resolve
from runners import specimen
from runners.promises import PROMISES, SHARE, Broken, Excused, require
from runners.specimen import Specimen

__all__ = ["PROMISES", "Case", "Finding", "Outcome", "check_method"]

Outcome = Literal["kept", "broken", "not_applicable"]
ANOTHER_SEED = 99


class Finding(NamedTuple):
    """What was found of one promise."""

    promise: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True)
class Case:
    """One method on one backbone: starts it anew for each promise."""

    name: str
    template: Backbone
    """Never attached to; each promise gets a copy."""
    values: dict[str, Any]  # Any: the method's own values
    budget: int | None

    @cached_property
    def card(self) -> MethodCard:
        """Return the card."""
        return MethodCard.model_validate(registry.methods()[self.name].card)

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the frozen matrices."""
        return next(tensor.dtype for tensor in self.template.pristine.values() if tensor.dim() > 1)

    @property
    def _targets(self) -> str:
        return self.card.targets or "linear"

    def backbone(self) -> Backbone:
        """Return a fresh backbone."""
        return copy.deepcopy(self.template)

    def start(self, backbone: Backbone | None = None, seed: int = 0) -> Specimen:
        """Start the method as a run does, up to its first epoch."""
        budget = Budget(count=self.budget) if self.budget is not None else None
        fresh = backbone or self.backbone()
        started = specimen.start(
            self.name, fresh, seed=seed, targets=self._targets, budget=budget, values=dict(self.values)
        )
        started.method.before_epoch(1)
        return started

    def reopen(self, trained: Specimen) -> Specimen:
        """Start the method of ``trained`` on a fresh backbone that has another head, without showing it any data."""
        method, fresh = type(trained.method)(trained.method.config), self.backbone()
        fresh.initialise_head(ANOTHER_SEED if method.trains_head else Streams(0).integer("init", "head"))
        plan = specimen.plan(fresh, self._targets, self.budget)
        method.start(fresh.model, plan, Streams(0))
        return Specimen(method, fresh, plan, trained.batch, trained.dtype)

    def planning(self, budget: int | None = None) -> tuple[nn.Module, Plan]:
        """Return what planning sees: the model without values, on the meta device."""
        model, head = _meta(self.template)
        targets = resolve(model, self._targets, head)
        return model, Plan(targets, head, self.template.num_parameters, budget, specimen.STEPS, specimen.EPOCHS, 4)

    def planned(self) -> int:
        """Return the count of trained scalars that planning would state."""
        kind = registry.load_method(self.name)
        method = kind(kind.Config.model_validate(self.values))
        model, plan = self.planning(self.budget)
        return (kind(method.solve(model, plan)) if self.budget is not None else method).count(model, plan)


def check_method(
    name: str,
    reference: str = "tiny:bert",
    *,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    values: dict[str, Any] | None = None,  # Any: the method's own values
    budget: int | None = None,
) -> tuple[Finding, ...]:
    """Check every promise of the contract.

    Args:
        name: a registered method.
        reference: the backbone.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: of the frozen matrices, fp32 by default.
        values: for the method's configuration.
        budget: trained scalars outside the head; by default the method's own size, or a tenth of the backbone for one
            that has none.

    Returns:
        One finding per promise, in a fixed order.

    Raises:
        UserError: for an unknown method or backbone, or a method that cannot be imported.
        ValueError: for values that the method refuses.
    """
    kind = registry.load_method(name)
    kind.Config.model_validate(values or {})
    template = specimen.load(reference, dtype or torch.float32, device)
    with conditions(device):
        return tuple(_findings(_case(name, template, values or {}, budget)))


def _case(name: str, template: Backbone, values: dict[str, Any], budget: int | None) -> Case:
    """Return the case at the method's own size, or at a tenth of the backbone where it has none that fits."""
    own = Case(name, template, values, budget)
    if budget is not None or not registry.methods()[name].card.get("budget"):
        return own
    try:
        own.planned()
    except (ValueError, NotApplicable) as reason:
        sized = Case(name, template, values, template.num_parameters // SHARE)
        try:
            sized.planned()
        except (ValueError, NotApplicable):
            return own if isinstance(reason, NotApplicable) else sized
        return sized
    except Exception:  # a broken count is found by its promise
        return own
    return own


def _findings(case: Case) -> Iterator[Finding]:
    yield _find("card", _card, case)
    try:
        case.start()
    except NotApplicable as reason:
        for promise in PROMISES:  # the count alone can still be broken: planning may not count what a start refuses
            hasty = promise == "count" and _find(promise, _planning_refuses, case)
            yield hasty or Finding(promise, "not_applicable", str(reason))
        return
    except Exception:  # each promise will say so
        pass
    for promise, check in PROMISES.items():
        yield _find(promise, check, case)


def _find(promise: str, check: Callable[[Case], str], case: Case) -> Finding:
    torch.manual_seed(0)
    try:
        return Finding(promise, "kept", check(case))
    except Broken as broken:
        return Finding(promise, "broken", str(broken))
    except Excused as reason:
        return Finding(promise, "not_applicable", str(reason))
    except Exception as error:  # a method may raise anything, and the other promises are still to be checked
        return Finding(promise, "broken", f"{type(error).__name__}: {error}")


def _card(case: Case) -> str:
    card = case.card  # a ValidationError says what is wrong
    require(card.name == case.name, f"the card is named {card.name!r}, the method {case.name!r}")
    wrong = [key for key, (low, high) in card.tuned.items() if not 0 < low < high]
    require(not wrong, f"tuned: {', '.join(wrong)} has no range of 0 < low < high")
    return card.title


def _planning_refuses(case: Case) -> str:
    try:
        count = case.planned()
    except NotApplicable as reason:
        raise Excused(str(reason)) from reason
    raise Broken(f"planning counts {count} scalars, but the start says that it is not applicable")


def _meta(template: Backbone) -> tuple[nn.Module, frozenset[str]]:
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    files = locate(template.files.reference)
    kind = AutoModelForImageClassification if template.tokenizer is None else AutoModelForSequenceClassification
    return load_model(files, kind, meta=True, num_labels=2)


@contextmanager
def conditions(device: str) -> Iterator[None]:
    """Compute as real runs do, deterministically on a CPU, and leave this process as it was."""
    memory: Any = torch.utils.deterministic  # Any: an attribute that torch does not type
    before = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(not device.startswith("cuda"))
    memory.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        memory.fill_uninitialized_memory = before[1]
