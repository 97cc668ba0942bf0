"""Check: does a method keep the contract? For any registered method, a third party's too, on any backbone.

Each promise is a small function that starts the method on a fresh copy of the backbone, so that a broken promise never
stops or spoils another. A function returns where the promise is kept, raises ``Broken`` where it is not, and
``Excused`` where the method rightly makes none; any other exception counts as broken.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness import registry
from harness.backbone import Backbone, load_model, locate, same_bits
from harness.errors import NotApplicable
from harness.method import BUFFER, Method, MethodCard, Plan
from harness.random import Streams
from harness.spec import Budget
from harness.targets import resolve
from runners import specimen
from runners.specimen import Specimen

Outcome = Literal["kept", "broken", "not_applicable"]
SHARE = 10
"""A method that has no size of its own is checked at the SHARE-th part of the backbone's scalars."""
LOSS_STEPS, LOSS_RATE, LOSS_FALL = 50, 1e-2, 0.9
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""By how much outputs may differ after merging, relative to the largest; a merged bf16 weight is rounded anew."""
IDENTITY = {torch.float32: 1e-6, torch.bfloat16: 5e-3}
"""By how much outputs may differ at the start; a tensor that is trained whole is no longer summed in bf16 but fp32."""
INDICES = "@indices"
"""Ends the name of a buffer that holds the flat indices of a tensor's trained scalars."""
ANOTHER_SEED = 99


class Finding(NamedTuple):
    """What was found of one promise."""

    promise: str
    outcome: Outcome
    detail: str


class Broken(Exception):
    """A promise is not kept; the message says what came and what should have."""


class Excused(Exception):
    """A promise that this method need not make; the message says why."""


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
    with _conditions(device):
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
        for promise, check in PROMISES.items():
            hasty = check is _count and _find(promise, _planning_refuses, case)
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


def _require(kept: bool, message: str) -> None:
    if not kept:
        raise Broken(message)


# The promises. Each returns what it saw.


def _card(case: Case) -> str:
    card = case.card  # a ValidationError says what is wrong
    _require(card.name == case.name, f"the card is named {card.name!r}, the method {case.name!r}")
    wrong = [key for key, (low, high) in card.tuned.items() if not 0 < low < high]
    _require(not wrong, f"tuned: {', '.join(wrong)} has no range of 0 < low < high")
    return card.title


def _planning_refuses(case: Case) -> str:
    try:
        count = case.planned()
    except NotApplicable as reason:
        raise Excused(str(reason)) from reason
    raise Broken(f"planning counts {count} scalars, but the start says that it is not applicable")


def _start(case: Case) -> str:
    started = case.start()
    after = started.outputs()
    started.detach()
    before = started.outputs()  # the head's fresh values stay, so that only the method can make a difference
    difference = float((after - before).abs().max())
    unchanged = difference <= IDENTITY[started.dtype] * max(1.0, float(before.abs().max()))
    if case.card.starts_at_identity:
        _require(unchanged, f"outputs differ by {difference:.2g} at the start; the card says starts_at_identity: true")
        return "outputs unchanged"
    _require(not unchanged, "outputs are unchanged at the start; the card says starts_at_identity: false")
    return f"declared otherwise; outputs differ by {difference:.2g}"


def _count(case: Case) -> str:
    started = case.start()
    trained = _trained(started.method)
    formula = started.method.count(started.model, started.plan)
    _require(trained == formula, f"{trained} scalars are trained; the formula gives {formula}")
    planned = case.planned()
    _require(trained == planned, f"{trained} scalars are trained; planning on the meta device counted {planned}")
    budget = started.plan.budget
    _require(budget is None or 0 < trained <= budget, f"{trained} scalars are trained within a budget of {budget}")
    return f"{trained} scalars"


def _budget(case: Case) -> str:
    if case.card.budget is None:
        raise Excused("the method has one size")
    kind, real = registry.load_method(case.name), _trained(case.start().method)
    asked = sorted({real, real + real // 3, case.template.num_parameters // SHARE})
    met = []
    for budget in asked:
        model, plan = case.planning(budget)
        method = kind(kind.Config.model_validate(case.values))
        try:
            count = kind(method.solve(model, plan)).count(model, plan)
        except NotApplicable as reason:
            _require(budget != real, f"a budget of {real} is refused ({reason}), but the method has that size")
            continue
        _require(0 < count <= budget, f"a budget of {budget} was answered with {count} scalars")
        met.append(f"{budget} by {count}")
    return "; ".join(met)


def _moves(case: Case) -> str:
    started = case.start()
    before, sparse = _tensors(started.model), started.method.zeros() is not None
    started.train(2)
    free = {id(parameter) for parameter in started.method.updated().values()}
    supports = {n.removesuffix(INDICES): t for n, t in started.method.buffers().items() if n.endswith(INDICES)}
    rewritten = {id(parameter) for parameter in started.plan.targets.tensors.values()} if sparse else set()
    declared, trained = sum(map(len, supports.values())), _trained(started.method)
    _require(declared <= trained, f"supports hold {declared} scalars, but {trained} are trained")
    compared = 0
    for name, tensor in _named(started.model):
        if id(tensor) in free or id(tensor) in rewritten:
            continue
        now, then = tensor.detach().reshape(-1), before[name].reshape(-1)
        if name in supports:
            frozen = torch.ones(tensor.numel(), dtype=torch.bool, device=tensor.device)
            frozen[supports[name]] = False
            now, then = now[frozen], then[frozen]
        else:
            _require(tensor.grad is None, f"{name} is frozen, but a gradient of it was kept")
        _require(same_bits(now, then), f"{name} is no part of what is trained, but it moved")
        compared += now.numel()
    return f"{compared} frozen scalars are bit-equal"


def _all_moves(case: Case) -> str:
    started = case.start()
    _require_trained(started)
    declared = started.method.state()
    started.train(2)
    moved = {name: tensor for name, tensor in started.method.updated().items() if tensor.numel()}
    stuck = [name for name, tensor in moved.items() if torch.equal(tensor, declared[name])]
    _require(not stuck, f"{', '.join(stuck[:5])} did not move in 2 steps")
    return f"{len(moved)} tensors moved"


def _merge(case: Case) -> str:
    started = case.start()
    structure = _structure(case.template.model)
    started.train(3)
    started.method.finalize(started.model)
    before = started.outputs()
    try:
        started.method.merge(started.model)
    except NotApplicable as reason:
        extra = started.method.extra_at_inference()
        _require(extra > 0, f"merging is not applicable ({reason}), but extra_at_inference() is {extra}")
        raise Excused(f"{reason}; {extra} scalars stay beside the backbone") from reason
    _require(_structure(started.model) == structure, "the merged model is no plain one of the backbone's architecture")
    extra = started.method.extra_at_inference()
    _require(not extra, f"the merged model is a plain one, but extra_at_inference() is {extra}")
    plain = case.backbone()
    merged = dict(started.model.named_parameters())
    for name, parameter in plain.model.named_parameters():  # a trained tensor is fp32, also in a bf16 model
        parameter.data = parameter.data.to(merged[name].dtype)
    plain.model.load_state_dict(started.model.state_dict())
    reloaded = Specimen(started.method, plain, started.plan, started.batch, started.dtype)
    allowed = TOLERANCE[started.dtype] * max(1.0, float(before.abs().max()))
    for outputs, what in ((started.outputs(), "merging"), (reloaded.outputs(), "loading the merged weights")):
        difference = float((outputs - before).abs().max())
        _require(difference <= allowed, f"outputs differ by {difference:.2g} after {what}; {allowed:.2g} is allowed")
    started.detach()
    changed = started.backbone.changed()
    _require(not changed, f"detaching after the merge does not restore {', '.join(changed[:5])}")
    return f"outputs differ by {difference:.2g}"


def _save(case: Case) -> str:
    from safetensors.torch import load, save

    started = case.start()
    started.train(2)
    expected = started.outputs()
    data = save({name: tensor.contiguous() for name, tensor in started.method.state().items()})
    opened = case.reopen(started)
    opened.method.load_state(load(data))
    difference = float((opened.outputs() - expected).abs().max())
    _require(
        same_bits(opened.outputs(), expected), f"outputs of the saved part differ by {difference:.2g} where loaded"
    )
    return f"{len(data)} bytes"


def _foreign(case: Case) -> str:
    started = case.start()
    state = started.method.state()
    scalars = next((name for name in state if not name.startswith(BUFFER)), None)
    buffer = next((name for name in state if name.startswith(BUFFER)), None)
    foreign = {"a part with another name": ({**state, "nonsense": torch.zeros(1)}, "nonsense")}
    for lacking in [name for name in (scalars, buffer) if name is not None]:
        rest = {name: tensor for name, tensor in state.items() if name != lacking}
        foreign[f"a part without {lacking}"] = (rest, lacking)
    if scalars is not None:
        foreign[f"a part with another shape of {scalars}"] = ({**state, scalars: torch.zeros(1, 2, 3)}, scalars)
    for what, (part, named) in foreign.items():
        try:
            started.method.load_state(part)
        except ValueError as error:
            _require(named.removeprefix(BUFFER) in str(error), f"{what} is refused without its name: {error}")
        else:
            raise Broken(f"{what} was loaded; refuse it with a ValueError")
    return f"{len(foreign)} foreign parts refused"


def _detach(case: Case) -> str:
    backbone = case.backbone()
    model, reference = backbone.model, case.template.model
    started = case.start(backbone)
    started.train(2)
    started.detach()
    _require(_structure(model) == _structure(reference), "modules differ after detaching")
    names = {name for name, _ in _named(reference)}
    extra = names ^ {name for name, _ in _named(model)}
    _require(not extra, f"tensors differ after detaching: {', '.join(sorted(extra)[:5])}")
    _require(not (changed := backbone.changed()), f"not restored: {', '.join(changed[:5])}")
    modules = dict(reference.named_modules())
    for name, module in model.named_modules():
        left = {attribute for attribute, _ in _attributes(module) ^ _attributes(modules[name])}
        _require(not left, f"{name or 'the model'} has other attributes than before: {', '.join(sorted(left)[:5])}")
        _require(_hooks(module) == _hooks(modules[name]), f"{name or 'the model'} has other hooks than before")
    for name, parameter in model.named_parameters():
        _require(not parameter.requires_grad, f"{name} is left free")
        _require(parameter.grad is None, f"{name} keeps a gradient")
        kept = any(getattr(parameter, hooks, None) for hooks in ("_post_accumulate_grad_hooks", "_backward_hooks"))
        _require(not kept, f"{name} keeps hooks")
    return f"{len(names)} tensors are bit-equal"


def _seed(case: Case) -> str:
    states = []
    for generator_seed in (0, 1):  # nothing may hang on torch's own generator, apart from dropout
        torch.manual_seed(generator_seed)
        started = case.start(seed=7)
        started.train(3)
        states.append(started.method.state())
    _require(states[0].keys() == states[1].keys(), "two runs of one seed have other names")
    other = [name for name in states[0] if not same_bits(states[0][name], states[1][name])]
    _require(not other, f"two runs of one seed differ in {', '.join(other[:5])}")
    return f"{len(states[0])} tensors are bit-equal"


def _loss(case: Case) -> str:
    started = case.start()
    _require_trained(started)
    for module in started.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    low, high = case.card.tuned.get("lr", (LOSS_RATE, LOSS_RATE))
    losses = started.train(LOSS_STEPS, lr=min(max(LOSS_RATE, low), high))
    said = f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f} in {LOSS_STEPS} steps"
    _require(losses[-1] < LOSS_FALL * losses[0], f"{said}; it should fall below {LOSS_FALL:g} of the first")
    return said


def _config(case: Case) -> str:
    config = case.start().method.config
    again = type(config).model_validate(json.loads(config.model_dump_json()))
    _require(again == config, f"{config!r} came back from JSON as {again!r}")
    try:
        type(config).model_validate({"no_such_value": 1})
    except ValidationError:
        return type(config).__name__
    raise Broken(f"{type(config).__name__} takes unknown keys; derive it from harness.method.Config")


def _stored(case: Case) -> str:
    started = case.start()
    bits, trained = started.method.stored_bits(), _trained(started.method)
    _require(bits >= 32 * trained, f"stored_bits() is {bits}; {trained} fp32 scalars take {32 * trained}")
    return f"{bits} bits"


def _sparsity(case: Case) -> str:
    started = case.start()
    if started.method.zeros() is None:
        raise Excused("the method makes no sparse model")
    targeted = dict(started.plan.targets.tensors)
    started.train(specimen.STEPS)
    started.method.finalize(started.model)
    declared = started.method.zeros()
    started.method.merge(started.model)
    real = sum(int((parameter == 0).sum()) for parameter in targeted.values())
    scalars = sum(parameter.numel() for parameter in targeted.values())
    _require(declared == (real, scalars), f"zeros() is {declared}; the plain model has {(real, scalars)}")
    return f"{real} of {scalars} targeted scalars are 0"


PROMISES: dict[str, Callable[[Case], str]] = {
    "output at the start": _start,
    "count": _count,
    "budget": _budget,
    "only the trained part moves": _moves,
    "all of it can move": _all_moves,
    "merge": _merge,
    "save and load": _save,
    "a foreign part is refused": _foreign,
    "detach": _detach,
    "same seed, same bits": _seed,
    "the loss falls": _loss,
    "configuration": _config,
    "stored bits": _stored,
    "sparsity": _sparsity,
}
"""What a method promises beside its card, and how each promise is checked."""


def _trained(method: Method) -> int:
    return sum(parameter.numel() for parameter in method.trained().values())


def _require_trained(started: Specimen) -> None:
    if not started.method.updated():
        raise Excused("nothing is trained")


def _named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in _named(model)}


def _structure(model: nn.Module) -> list[tuple[str, type[nn.Module]]]:
    return [(name, type(module)) for name, module in model.named_modules()]


def _attributes(module: nn.Module) -> set[tuple[str, str]]:
    """Return the names of what an instance holds, with the values of plain ones; the training mode is one of them."""
    plain = (bool, int, float, str, tuple, type(None))
    return {(name, repr(value) if isinstance(value, plain) else "") for name, value in vars(module).items()}


def _hooks(module: nn.Module) -> dict[str, int]:
    return {name: len(value) for name, value in vars(module).items() if name.endswith("_hooks") and value}


def _meta(template: Backbone) -> tuple[nn.Module, frozenset[str]]:
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    files = locate(template.files.reference)
    kind = AutoModelForImageClassification if template.tokenizer is None else AutoModelForSequenceClassification
    return load_model(files, kind, meta=True, num_labels=2)


@contextmanager
def _conditions(device: str) -> Iterator[None]:
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
