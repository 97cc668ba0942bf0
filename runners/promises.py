"""Promises: what the contract asks of every method beside its card, each as a function that looks for a breach of it.

A promise starts the method anew, on a fresh copy of the backbone, so that a broken one never stops or spoils another.
It returns what it saw where it is kept, and raises ``Broken`` where it is not and ``Excused`` where the method rightly
makes none; any other exception counts as broken. ``runners.check`` makes a finding of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness import registry
from harness.backbone import same_bits
from harness.errors import NotApplicable
from harness.method import BUFFER, Method
from runners import specimen
from runners.specimen import Specimen

if TYPE_CHECKING:
    from runners.check import Case

SHARE = 10
"""A method that has no size of its own is checked at the SHARE-th part of the backbone's scalars."""
LOSS_STEPS, LOSS_RATE, LOSS_FALL = 50, 1e-2, 0.9
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""By how much outputs may differ after merging, or without other rows, relative to the largest; bf16 is rounded."""
IDENTITY = {torch.float32: 1e-6, torch.bfloat16: 5e-3}
"""By how much outputs may differ at the start; a tensor that is trained whole is no longer summed in bf16 but fp32."""
INDICES = "@indices"
"""Ends the name of a buffer that holds the flat indices of a tensor's trained scalars."""


class Broken(Exception):
    """A promise is not kept; the message says what came and what should have."""


class Excused(Exception):
    """A promise that this method need not make; the message says why."""


def require(kept: bool, message: str) -> None:
    """Raise ``Broken`` with a message unless a promise is kept."""
    if not kept:
        raise Broken(message)


def _start(case: Case) -> str:
    started = case.start()
    after = started.outputs()
    started.detach()
    before = started.outputs()  # the head's fresh values stay, so that only the method can make a difference
    difference = float((after - before).abs().max())
    unchanged = difference <= IDENTITY[started.dtype] * max(1.0, float(before.abs().max()))
    if case.card.starts_at_identity:
        require(unchanged, f"outputs differ by {difference:.2g} at the start; the card says starts_at_identity: true")
        return "outputs unchanged"
    # Drawn values may change outputs by little more than rounding: only equal bits are an identity.
    require(difference > 0, "outputs are unchanged at the start; the card says starts_at_identity: false")
    return f"declared otherwise; outputs differ by {difference:.2g}"


def _count(case: Case) -> str:
    started = case.start()
    trained = _trained(started.method)
    formula = started.method.count(started.model, started.plan)
    require(trained == formula, f"{trained} scalars are trained; the formula gives {formula}")
    planned = case.planned()
    require(trained == planned, f"{trained} scalars are trained; planning on the meta device counted {planned}")
    budget = started.plan.budget
    require(budget is None or 0 < trained <= budget, f"{trained} scalars are trained within a budget of {budget}")
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
            require(budget != real, f"a budget of {real} is refused ({reason}), but the method has that size")
            continue
        require(0 < count <= budget, f"a budget of {budget} was answered with {count} scalars")
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
    require(declared <= trained, f"supports hold {declared} scalars, but {trained} are trained")
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
            require(tensor.grad is None, f"{name} is frozen, but a gradient of it was kept")
        require(same_bits(now, then), f"{name} is no part of what is trained, but it moved")
        compared += now.numel()
    return f"{compared} frozen scalars are bit-equal"


def _all_moves(case: Case) -> str:
    started = case.start()
    _require_trained(started)
    declared = started.method.state()
    started.train(2)
    moved = {name: tensor for name, tensor in started.method.updated().items() if tensor.numel()}
    stuck = [name for name, tensor in moved.items() if torch.equal(tensor, declared[name])]
    require(not stuck, f"{', '.join(stuck[:5])} did not move in 2 steps")
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
        require(extra > 0, f"merging is not applicable ({reason}), but extra_at_inference() is {extra}")
        raise Excused(f"{reason}; {extra} scalars stay beside the backbone") from reason
    require(_structure(started.model) == structure, "the merged model is no plain one of the backbone's architecture")
    extra = started.method.extra_at_inference()
    require(not extra, f"the merged model is a plain one, but extra_at_inference() is {extra}")
    plain = case.backbone()
    merged = dict(started.model.named_parameters())
    for name, parameter in plain.model.named_parameters():  # a trained tensor is fp32, also in a bf16 model
        parameter.data = parameter.data.to(merged[name].dtype)
    plain.model.load_state_dict(started.model.state_dict())
    reloaded = Specimen(started.method, plain, started.plan, started.batch, started.dtype)
    allowed = TOLERANCE[started.dtype] * max(1.0, float(before.abs().max()))
    for outputs, what in ((started.outputs(), "merging"), (reloaded.outputs(), "loading the merged weights")):
        difference = float((outputs - before).abs().max())
        require(difference <= allowed, f"outputs differ by {difference:.2g} after {what}; {allowed:.2g} is allowed")
    started.detach()
    changed = started.backbone.changed()
    require(not changed, f"detaching after the merge does not restore {', '.join(changed[:5])}")
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
    require(same_bits(opened.outputs(), expected), f"outputs of the saved part differ by {difference:.2g} where loaded")
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
            require(named.removeprefix(BUFFER) in str(error), f"{what} is refused without its name: {error}")
        else:
            raise Broken(f"{what} was loaded; refuse it with a ValueError")
    return f"{len(foreign)} foreign parts refused"


def _detach(case: Case) -> str:
    backbone = case.backbone()
    model, reference = backbone.model, case.template.model
    started = case.start(backbone)
    started.train(2)
    started.detach()
    require(_structure(model) == _structure(reference), "modules differ after detaching")
    names = {name for name, _ in _named(reference)}
    extra = names ^ {name for name, _ in _named(model)}
    require(not extra, f"tensors differ after detaching: {', '.join(sorted(extra)[:5])}")
    require(not (changed := backbone.changed()), f"not restored: {', '.join(changed[:5])}")
    modules = dict(reference.named_modules())
    for name, module in model.named_modules():
        left = {attribute for attribute, _ in _attributes(module) ^ _attributes(modules[name])}
        require(not left, f"{name or 'the model'} has other attributes than before: {', '.join(sorted(left)[:5])}")
        require(_hooks(module) == _hooks(modules[name]), f"{name or 'the model'} has other hooks than before")
    for name, parameter in model.named_parameters():
        require(not parameter.requires_grad, f"{name} is left free")
        require(parameter.grad is None, f"{name} keeps a gradient")
        kept = any(getattr(parameter, hooks, None) for hooks in ("_post_accumulate_grad_hooks", "_backward_hooks"))
        require(not kept, f"{name} keeps hooks")
    return f"{len(names)} tensors are bit-equal"


def _seed(case: Case) -> str:
    states = []
    for generator_seed in (0, 1):  # nothing may hang on torch's own generator, apart from dropout
        torch.manual_seed(generator_seed)
        started = case.start(seed=7)
        started.train(3)
        states.append(started.method.state())
    require(states[0].keys() == states[1].keys(), "two runs of one seed have other names")
    other = [name for name in states[0] if not same_bits(states[0][name], states[1][name])]
    require(not other, f"two runs of one seed differ in {', '.join(other[:5])}")
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
    require(losses[-1] < LOSS_FALL * losses[0], f"{said}; it should fall below {LOSS_FALL:g} of the first")
    return said


def _apart(case: Case) -> str:
    started = case.start()
    started.train(specimen.STEPS)
    together = started.outputs()
    allowed = TOLERANCE[started.dtype] * max(1.0, float(together.abs().max()))
    for row, said in enumerate(together):
        alone = started.logits(_row(started.batch, row))[0].detach()
        difference = float((alone - said).abs().max())
        require(
            difference <= allowed,
            f"what it says of row {row} differs by {difference:.3g} without the rows and the padding beside it; "
            f"{allowed:.3g} is allowed",
        )
    return f"{len(together)} rows say the same alone"


def _row(batch: specimen.Batch, row: int) -> specimen.Batch:
    """Return one row as a batch of its own, without padding."""
    found = {name: tensor[row : row + 1] for name, tensor in batch.items()}
    if "attention_mask" in found:
        length = int(found["attention_mask"].sum())
        found |= {name: found[name][:, :length] for name in ("input_ids", "attention_mask")}
    return found


def _config(case: Case) -> str:
    config = case.start().method.config
    again = type(config).model_validate(json.loads(config.model_dump_json()))
    require(again == config, f"{config!r} came back from JSON as {again!r}")
    try:
        type(config).model_validate({"no_such_value": 1})
    except ValidationError:
        return type(config).__name__
    raise Broken(f"{type(config).__name__} takes unknown keys; derive it from harness.method.Config")


def _stored(case: Case) -> str:
    started = case.start()
    bits, trained = started.method.stored_bits(), _trained(started.method)
    require(bits >= 32 * trained, f"stored_bits() is {bits}; {trained} fp32 scalars take {32 * trained}")
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
    require(declared == (real, scalars), f"zeros() is {declared}; the plain model has {(real, scalars)}")
    return f"{real} of {scalars} targeted scalars are 0"


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
    "each row for itself": _apart,
    "configuration": _config,
    "stored bits": _stored,
    "sparsity": _sparsity,
}
"""What a method promises beside its card, and how each promise is checked."""
