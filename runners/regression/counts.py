"""Counts: the trained scalars of every method on every tiny backbone, and its floor and ceiling.

Nothing is computed: the models lie on the meta device, as planning sees them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from pydantic import JsonValue
from torch import nn

from harness import registry, tiny
from harness.backbone import load_model, locate
from harness.errors import NotApplicable
from harness.method import Method, MethodCard, Plan
from harness.spec import TARGETS
from harness.targets import backbone_parameters, resolve
from runners.specimen import EPOCHS, STEPS

ABOUT = (
    "Method on tiny backbone to the scalars that it trains outside the head: at its own size, with a budget of a tenth "
    "of the backbone, and the smallest and largest that it can be; none where it makes no sense there."
)
OWN: tuple[str, ...] = ()
FAMILY = ("peft", "transformers")
"""What the members of families hang on: their counts are those of the library's own modules."""
SHARE = 10
Map = Callable[[Callable[[str], dict[str, JsonValue]], Iterable[str]], Iterable[dict[str, JsonValue]]]
"""As ``map``; by several processes where there are some."""


def values(family: bool, over: Map = map) -> dict[str, JsonValue]:
    """Return the counts of all members of families, or of all other methods."""
    found: dict[str, JsonValue] = {}
    for counted in over(partial(on_backbone, family=family), tiny.ARCHITECTURES):
        found |= counted
    return found


def on_backbone(architecture: str, family: bool) -> dict[str, JsonValue]:
    """Return the counts on one tiny backbone, by method and backbone."""
    model, head = _meta(f"tiny:{architecture}")
    total = sum(parameter.numel() for parameter in backbone_parameters(model, head).values())
    entries = {name: entry for name, entry in registry.methods().items() if entry.origin == "built-in"}
    found: dict[str, JsonValue] = {}
    for name in (name for name, entry in entries.items() if bool(entry.family) is family):
        card = MethodCard.model_validate(entries[name].card)
        targets = resolve(model, card.targets or TARGETS[3], head)
        plan = partial(Plan, targets, head, total, total_steps=STEPS, epochs=EPOCHS, batch_size=4)
        found[f"{name} on tiny:{architecture}"] = _line(registry.load_method(name), model, plan, card, total)
    return found


def _line(kind: type[Method], model: nn.Module, plan: Callable[..., Plan], card: MethodCard, total: int) -> str:
    own = _count(kind, model, plan())
    if not card.budget:
        return f"own {own}"
    tenth, least, most = (_count(kind, model, plan(budget=budget)) for budget in (total // SHARE, 1, total))
    return f"own {own}, of a tenth {tenth}, floor {least}, ceiling {most}"


def _count(kind: type[Method], model: nn.Module, plan: Plan) -> str:
    """Return a count, or what bounds it: the sizes in a refusal count, its words do not."""
    try:
        method = kind(kind.Config())
        if plan.budget is not None:
            method = kind(method.solve(model, plan))
        return str(method.count(model, plan))
    except (NotApplicable, ValueError) as reason:
        bound = re.search(r"(smallest|largest) is (\d+)", str(reason))
        return bound[2] if bound else "none"


def _meta(reference: str) -> tuple[nn.Module, frozenset[str]]:
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    files = locate(reference)
    sees = files.kind == "vision"
    kind = AutoModelForImageClassification if sees else AutoModelForSequenceClassification
    return load_model(files, kind, meta=True, num_labels=2)
