"""Every tuner of the installed peft, as ``peft/<name>``: a bridge that knows none of them by name.

Paper: each tuner's own, as its card says
Code: https://github.com/huggingface/peft
Maths: peft's own; a tuner is set on the targeted layers (or on what its own table of defaults names, where those are
no linear layers, such as norms), a prompt is put before the inputs
Count: by instantiation on the meta device; where peft reads weights to set a tuner up, on a copy of the model
Starts at identity: as the card says.
Differs from the papers: whatever peft does; values that nobody set and that do not fit the layers' widths are lowered
to a divisor of them (block sizes, vector lengths); initial values follow the run's seed; trained scalars are fp32.

A budget is met by the whole-number fields that change the count, one at a time; which these are is tried. What peft
refuses does not apply, in peft's own words; nor does a rank above a layer's smallest side, which peft would take.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.random import Streams
from methods.parts.peft_cards import SIZES, tuners, version
from methods.parts.peft_reading import at_tokens, looking, minds_padding, uncached
from methods.parts.peft_search import Knob, closest
from methods.parts.peft_values import Values, divisors, sizes, values_model
from methods.parts.peft_wrapping import classes, excess, inject, trained, unmergeable, way
from methods.parts.skeleton import Skeleton
from methods.parts.snapshot import Snapshot

CARDS_FROM = "methods.parts.peft_cards"


class Bridge(Method):
    """A tuner of peft; ``member`` returns the class of one."""

    name: ClassVar[str]
    tuner: ClassVar[str]
    fixed: ClassVar[Values]

    def __init__(self, config: BaseModel | None = None) -> None:
        super().__init__(config)
        self._wrapped: Any = None  # Any, here and below: peft's models know their attributes at run time only
        self._own: dict[str, nn.Parameter] = {}
        self._counted = 0
        self._gradients: dict[str, Tensor | None] = {}
        self._outside: list[nn.Module] = []
        self._advice: frozenset[str] = frozenset()
        self._answer: Any = None
        self._inside = False
        self._lengthens = False
        """Whether peft puts vectors of its own before those of the tokens."""
        self._beside: str | None = None
        """Why it cannot be merged, or null."""

    @classmethod
    @functools.cache
    def member(cls, name: str) -> type[Bridge]:
        """Return the method of a name such as ``peft/dora``."""
        found = tuners()[name]
        config, _ = classes(found.tuner)
        title = "".join(word.capitalize() for word in re.split(r"\W+|_", name))
        model = values_model(f"{title}Config", config, without=found.fixed)
        facts = {"name": name, "tuner": found.tuner, "fixed": found.fixed, "Config": model, "__doc__": f"{name}."}
        return type(title, (cls,), facts)

    def count(self, model: nn.Module, plan: Plan) -> int:
        if self._wrapped is not None:
            return self._counted
        return self._fitted(model, plan)[1]

    def solve(self, model: nn.Module, plan: Plan) -> BaseModel:
        """Search each whole-number field that changes the count; take what comes closest to the budget."""
        assert plan.budget is not None
        skeleton = Skeleton(model)
        values, standing = self._fitted(model, plan, skeleton)
        usual = self._advice

        def counted(name: str, size: int) -> int | None:
            try:
                found = self._instantiate(skeleton, plan, {**values, name: size})
            except NotApplicable:
                return None
            return found if self._advice <= usual else None  # a size that peft advises against, such as an odd one

        starts = {name: values.get(name, size) for name, size in sizes(classes(self.tuner)[0], self._given()).items()}
        knobs = [
            Knob(name, int(starts[name] or 0), functools.partial(counted, name))  # type: ignore[arg-type]  # numbers
            for name in SIZES
            if name in starts
        ]
        ceiling = sum(parameter.numel() for parameter in plan.targets.tensors.values()) or plan.total
        return self._with({**values, **closest(knobs, standing, plan.budget, ceiling, divisors(plan))})

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        values, self._counted = self._fitted(model, plan)
        self.config = self._with(values)
        device = next(model.parameters()).device
        self._snapshot = Snapshot(model)
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(streams.integer("init", self.name))
                self._wrapped = inject(self.tuner, values, model, plan).model
        except torch.OutOfMemoryError:
            self._snapshot.restore()
            raise
        except Exception as error:
            self._snapshot.restore()
            raise self._refused(error) from error
        self._own = trained(self._wrapped, plan.head)
        backbones = {id(parameter) for parameter in self._snapshot.parameters.values()}
        for parameter in self._own.values():
            # One of the backbone's own is copied, so that its storage can be had back.
            parameter.data = parameter.data.to(device, torch.float32, copy=id(parameter) in backbones)
            parameter.requires_grad_(True)
        touched = self._snapshot.changed(model)
        self._targeted = {**self._targeted, **{key: p for key, p in touched.items() if key not in plan.head}}
        inside = {id(module) for module in model.modules()}
        self._outside = [module for module in self._wrapped.modules() if id(module) not in inside]
        model.forward = self._route(model, model.forward)
        self._try(model)

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return self._own

    def after_backward(self) -> None:
        # peft allocates ranks after the step, from gradients that the loop has freed by then.
        self._gradients = {name: parameter.grad for name, parameter in self._own.items()}

    def after_step(self, step: int) -> None:
        allocate: Callable[[int], None] | None = getattr(self._wrapped.base_model, "update_and_allocate", None)
        if allocate is not None:
            for name, parameter in self._own.items():
                parameter.grad = self._gradients[name]
            allocate(step)
            for parameter in self._own.values():
                parameter.grad = None
        self._gradients = {}

    def resumable(self) -> bool:
        # What allocates ranks remembers importances that are no part of its trained part.
        return not hasattr(self._wrapped.base_model, "update_and_allocate")

    def extra_loss(self) -> Tensor | None:
        """Return what the tuner's own forward pass adds to a loss: it is asked with outputs whose loss is zero."""
        from peft.tuners.tuners_utils import BaseTuner

        tuner = self._wrapped.base_model
        if not isinstance(tuner, BaseTuner) or type(tuner).forward is BaseTuner.forward:
            return None
        outputs: Any = _Outputs(next(iter(self._own.values())).new_zeros(()))
        self._answer = outputs
        try:
            tuner()
        finally:
            self._answer = None
        loss: Tensor = outputs.loss
        return loss if loss.requires_grad else None

    def merge(self, model: nn.Module) -> None:
        if self._beside is not None:
            raise NotApplicable(f"{self.name} cannot be merged: {self._beside}")
        self._wrapped.base_model.merge_and_unload()
        vars(model).pop("forward")
        for name in ("peft_config", "_hf_peft_config_loaded"):
            vars(model).pop(name, None)

    def extra_at_inference(self) -> int:
        if self._beside is None:
            return 0
        return sum(parameter.numel() for parameter in self._own.values())

    def remove(self, model: nn.Module) -> None:
        self._snapshot.restore()
        self._wrapped, self._own, self._outside = None, {}, []

    def _try(self, model: nn.Module) -> None:
        """Find out what the tuned model computes, and let it write: some tuners know a few architectures only."""
        halved = any(p.dtype == torch.bfloat16 and p.dim() > 1 for p in self._snapshot.parameters.values())
        dtype = torch.bfloat16 if halved else torch.float32
        example, own = _example(model), tuple(self._own.values())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._beside = unmergeable(self._wrapped)
            with looking(model, self._wrapped, dtype):
                model(**example)
                reads = "input_ids" in example and example["input_ids"].dim() == 2
                # What changes weights alone reads rows as the backbone does.
                lost = self._beside is not None and reads and minds_padding(model, own, dtype)
        except torch.OutOfMemoryError:
            self.remove(model)
            raise
        except Exception as error:
            self.remove(model)
            raise self._refused(error) from error
        if lost:
            self.remove(model)
            raise NotApplicable(f"{self.name}: what this model says of a text would depend on the padding beside it")
        if self._beside is not None and hasattr(model, "generate"):
            write: Any = model.generate
            vars(model)["generate"] = uncached(write, self._uneven if self._lengthens else None)

    def _uneven(self) -> NotApplicable:
        return NotApplicable(
            f"{self.name}: it puts a prompt before the padding of shorter texts, so that what a model writes after "
            f"texts of different lengths would depend on the padding beside them"
        )

    def _with(self, values: Values) -> BaseModel:
        """Return the configuration with these values, so that a record holds what was found."""
        return self.config.model_copy(update={key: v for key, v in values.items() if key not in self.fixed})

    def _given(self) -> Values:
        chosen = self.config.model_dump(mode="json")
        return {**{key: value for key, value in chosen.items() if value is not None}, **self.fixed}

    def _fitted(self, model: nn.Module, plan: Plan, skeleton: Skeleton | None = None) -> tuple[Values, int]:
        """Return values that fit the layers' widths, and their count.

        A whole number that nobody set and that peft's refusal quotes is lowered to a divisor of the widths.
        """
        skeleton, values = skeleton or Skeleton(model), self._given()
        while True:
            try:
                count = self._instantiate(skeleton, plan, values)
                break
            except NotApplicable as error:
                quoted = set(re.findall(r"\d+", str(error)))
                open_sizes = {**sizes(classes(self.tuner)[0], self._given()), **_numbers(values, self._given())}
                lower = [name for name, size in open_sizes.items() if size and size > 1 and str(size) in quoted]
                smaller = [(name, size) for name in lower for size in divisors(plan) if size < (open_sizes[name] or 0)]
                if not smaller:
                    raise
                name, size = smaller[0]
                values = {**values, name: size}
        if self.fixed:
            without = {key: value for key, value in values.items() if key not in self.fixed}
            if len({skeleton.measure(functools.partial(self._way, plan, each)) for each in (values, without)}) == 1:
                raise NotApplicable(f"{self.name}: peft {version()} switches nothing by {self.fixed} on these layers")
        return values, count

    def _instantiate(self, skeleton: Skeleton, plan: Plan, values: Values) -> int:
        """Return the count of the given values, or refuse in peft's words."""

        def counted(model: nn.Module) -> int:
            wrapped, self._advice = inject(self.tuner, values, model, plan)
            if over := excess(wrapped):
                raise NotApplicable(
                    f"{self.name}: rank {over.rank} is over {over.side}, the smallest side of a targeted weight"
                )
            return sum(parameter.numel() for parameter in trained(wrapped, plan.head).values())

        try:
            return skeleton.measure(counted)
        except NotApplicable:
            raise
        except Exception as error:  # peft raises errors of every kind for what it cannot do
            raise self._refused(error) from error

    def _way(self, plan: Plan, values: Values, model: nn.Module) -> tuple[tuple[str, str], ...]:
        return way(inject(self.tuner, values, model, plan).model)

    def _refused(self, error: Exception) -> NotApplicable:
        return NotApplicable(f"{self.name}: peft raises {type(error).__name__}: {str(error).strip() or 'no message'}")

    def _route(self, model: nn.Module, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return a forward pass that goes through peft's wrapper, and from there to the model's own."""
        from peft.tuners.tuners_utils import BaseTuner

        asks = any(hasattr(self._wrapped.active_peft_config, key) for key in ("n_tasks", "num_tasks"))
        # The wrapper of a tuner goes past the tuner's own forward pass, which is the one that hears of tasks.
        tuner = self._wrapped.base_model
        entry = tuner if asks and isinstance(tuner, BaseTuner) else self._wrapped

        @functools.wraps(plain)
        def forward(*arguments: Any, **inputs: Any) -> Any:
            if self._answer is not None:
                return self._answer
            if self._inside:
                self._lengthens |= inputs.get("inputs_embeds") is not None
                return plain(*arguments, **inputs)
            for module in self._outside:
                module.training = model.training
            first = next(value for value in (*arguments, *inputs.values()) if isinstance(value, Tensor))
            if asks:  # a run trains on one task, the first
                inputs["task_ids"] = torch.zeros(len(first), dtype=torch.long, device=first.device)
            wanted = inputs.get("logits_to_keep", 0)
            places = self._lengthens and isinstance(wanted, Tensor)  # the prompt would shift them; the last stay last
            if places:
                del inputs["logits_to_keep"]
            self._inside = True
            try:
                said = entry(*arguments, **inputs)
                return at_tokens(said, first.shape[1], wanted if places else 0) if self._lengthens else said
            finally:
                self._inside = False

        return forward


class _Outputs:
    """The outputs of a forward pass, as far as a tuner reads them to add to the loss."""

    def __init__(self, loss: Tensor) -> None:
        self.loss = loss


def _example(model: Any) -> dict[str, Tensor]:
    """Return inputs that a model of transformers understands, where it is."""
    device = next(model.parameters()).device
    if model.main_input_name == "pixel_values":
        side = getattr(model.config, "image_size", 32)
        return {"pixel_values": torch.zeros(1, model.config.num_channels, side, side, device=device)}
    return {name: tensor.to(device) for name, tensor in model.dummy_inputs.items()}


def _numbers(values: Values, given: Values) -> dict[str, int | None]:
    return {key: size for key, size in values.items() if isinstance(size, int) and key not in given}


METHOD = Bridge
