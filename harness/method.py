"""The method contract: a card of facts, and the hooks through which the one training loop meets any method.

A method file defines ``CARD`` (a literal), a frozen ``Config`` of its values, a subclass of ``Method`` with only the
hooks it needs, and ``METHOD``. The base class freezes, counts, saves, loads and detaches, once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from typing import Protocol as Structural

from pydantic import BaseModel, ConfigDict

from harness.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.random import Streams
    from harness.targets import Targets


T = TypeVar("T")
BUFFER = "buffer:"
"""Begins the names of a state's buffers, so that no trained scalar's name can be taken for one."""
STATISTICS = f"{BUFFER}statistics:"
"""Begins those of running statistics that moved, on a backbone trained from scratch."""


class MethodCard(BaseModel):
    """The static facts of one method, a literal in its file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    paper: str
    url: str
    year: int | None
    code: str | None
    version: int
    count: str
    """The formula of trained scalars outside the head."""
    starts_at_identity: bool
    differs: tuple[str, ...]
    """Each deliberate difference from the paper."""
    tuned: dict[str, tuple[float, float]]
    """Log-uniform search range per tuned training value."""
    needs: tuple[str, ...] = ()
    budget: str | None = None
    """The knob that meets a budget; null for a method of one size."""
    targets: str | None = None
    """``all`` or ``none`` for methods whose definition fixes what they touch; null where the suite chooses."""


class Config(BaseModel):
    """A method's own values: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Plan:
    """What a method may know of the run it is attached for."""

    targets: Targets
    head: frozenset[str]
    """Names of the parameters that the loader had to initialise newly."""
    total: int
    """N: scalars of the backbone without head, tied weights once."""
    budget: int | None = None
    """Trained scalars outside the head that may be used; null leaves the method at its configured size."""
    total_steps: int = 0
    epochs: int = 0
    batch_size: int = 0


class Samples(Structural):
    """The training rows, for methods whose choice needs data (Any: batches are the protocol's own)."""

    def __len__(self) -> int:
        """Return the number of training rows."""
        ...

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return ``compute()``, or what it gave in an earlier run of the same worker; nobody may change it.

        Only for what the backbone as pretrained, the head's start, the targets and the training rows decide, whatever
        the budget: ``name`` must tell it from everything else that the method computes of these.
        """
        ...

    def batches(self, count: int, size: int = 1) -> Iterator[Any]:
        """Yield batches of ``size`` rows from the first ``count`` rows of one order of the run's own seed."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """Return the mean training loss of a batch against the true labels; for one row, ``-log p(y|x)``."""
        ...

    def log_likelihoods(self, batch: Any) -> Tensor:
        """Return ``log p(c|x)`` for every outcome c, (rows, outcomes) in fp32.

        Raises:
            NotApplicable: where the outcomes cannot be listed, as in a regression.
        """
        ...


class Method:
    """The base of every method: nothing but the head is trained until a subclass says otherwise."""

    Config: ClassVar[type[BaseModel]] = Config
    trains_head: bool = True
    """Whether the optimiser updates the head; a method with an option for it sets this in ``__init__``."""

    def __init__(self, config: BaseModel | None = None) -> None:
        self.config = config if config is not None else self.Config()
        self._dense: dict[str, nn.Parameter] = {}
        self._head: dict[str, nn.Parameter] = {}
        self._targeted: dict[str, nn.Parameter] = {}
        self._statistics: dict[str, tuple[Tensor, Tensor]] = {}

    # Hooks: a subclass overrides only those it needs.

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        """Insert or mark the trained part of a frozen ``model``."""

    def count(self, model: nn.Module, plan: Plan) -> int:
        """Return the number of trained scalars outside the head, in closed form, for the configured size.

        Planning calls this on the meta device, so what ``attach`` would refuse for its size is refused here.

        Raises:
            NotApplicable: where the method makes no sense on this model and targets; the reason names the size.
            ValueError: where a value of the configuration is missing.
        """
        return 0

    def solve(self, model: nn.Module, plan: Plan) -> BaseModel:
        """Return the configuration that comes closest to ``plan.budget`` without exceeding it.

        Raises:
            NotApplicable: where the budget lies under the floor or over the ceiling, or the method has one size only.
        """
        raise NotApplicable(f"{type(self).__name__} has one size and takes no budget")

    def calibrate(self, model: nn.Module, samples: Samples) -> None:
        """Make choices that need data; its time counts as training.

        Raises:
            Diverged: if what the data give is not finite.
        """

    def before_epoch(self, epoch: int) -> Mapping[str, Tensor] | None:
        """Act before epoch ``epoch`` (from 1).

        Returns:
            Null, or, where trained scalars were exchanged: the trained parameter's name to an int64 tensor of its new
            shape that holds each scalar's flat position before, -1 for a new one. The loop carries the optimiser's
            state along.
        """
        return None

    def after_backward(self) -> None:
        """Act on gradients before clipping and the optimiser's step."""

    def after_step(self, step: int) -> None:
        """Act after optimiser step ``step`` (from 1)."""

    def extra_loss(self) -> Tensor | None:
        """Return a penalty to add to the task's loss."""
        return None

    def selectable(self, step: int) -> bool:
        """Return whether the state after ``step`` may be chosen as the best."""
        return True

    def resumable(self) -> bool:
        """Return whether ``state`` holds all that later steps depend on, so that a training can go on from it."""
        return True

    def finalize(self, model: nn.Module) -> None:
        """Act once, on the chosen state, before scoring."""

    def merge(self, model: nn.Module) -> None:
        """Make ``model`` a plain one of the backbone's own architecture with equal outputs, in place."""

    def remove(self, model: nn.Module) -> None:
        """Undo the structure that ``attach`` made; values of trained backbone tensors are restored by the base."""

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return trained parameters that are the method's own and no parameters of the backbone."""
        return {}

    def stored_bits(self) -> int:
        """Return the bits that the trained part without head takes in a file; indices and the like included."""
        return 32 * sum(parameter.numel() for parameter in self.trained().values())

    def extra_at_inference(self) -> int:
        """Return the scalars left beside the backbone's own after merging."""
        return 0

    def buffers(self) -> dict[str, Tensor]:
        """Return what the trained part needs beside its trained scalars, by name: mask indices and the like."""
        return {}

    def load_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        """Put buffers back; called before the trained scalars are, so a method may rebuild their shapes here.

        Raises:
            ValueError: if they are those of another method or backbone.
        """
        if buffers.keys() != self.buffers().keys():
            raise ValueError(_unfit(self, set(buffers) ^ set(self.buffers())))

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the record should know, such as a sample that was smaller than asked."""
        return ()

    def zeros(self) -> tuple[int, int] | None:
        """Return (exact zeros, scalars) of the targeted weights, for methods that make a sparse model."""
        return None

    # What the base class owns, once for all methods.

    def start(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        """Freeze ``model``, attach the method, and free the head."""
        from harness.batch_norm import moving_statistics

        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self._statistics = {name: (now, now.clone()) for name, now in moving_statistics(model).items()}
        named = dict(model.named_parameters())
        self._targeted = plan.targets.tensors
        self._head = {name: named[name] for name in sorted(plan.head) if name in named}
        self.attach(model, plan, streams)
        if self.trains_head:
            for parameter in self._head.values():
                _free(parameter)

    def train_dense(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Train whole tensors of the backbone, in fp32 whatever the frozen weights' type; for use in ``attach``."""
        self._dense = dict(parameters)
        for parameter in self._dense.values():
            _free(parameter)

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the trained parameters outside the head by name."""
        return {**self._dense, **self.own_parameters()}

    def head(self) -> dict[str, nn.Parameter]:
        """Return the head's parameters by name."""
        return self._head

    def updated(self) -> dict[str, nn.Parameter]:
        """Return everything that the optimiser updates, by name."""
        return {**self.trained(), **(self._head if self.trains_head else {})}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups (Any: they mix parameters and their options)."""
        return [{"params": list(self.updated().values())}]

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the trained part: trained scalars, the head where it is trained, and buffers.

        Running statistics that moved are among the buffers; see ``harness.batch_norm``.
        """
        buffers = {f"{BUFFER}{name}": tensor for name, tensor in self.buffers().items()}
        buffers |= {f"{STATISTICS}{name}": now for name, (now, _) in self._statistics.items()}
        tensors = {**self.updated(), **buffers}
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put a trained part back, on this backbone or a fresh one; a method that needs data need not see any.

        Raises:
            ValueError: if it is that of another method or backbone.
        """
        state = self._without_statistics(state)
        buffers = {name.removeprefix(BUFFER): t for name, t in state.items() if name.startswith(BUFFER)}
        scalars = {name: tensor for name, tensor in state.items() if not name.startswith(BUFFER)}
        self.load_buffers(buffers)
        updated = self.updated()
        wrong = set(scalars) ^ set(updated) or {n for n in updated if updated[n].shape != scalars[n].shape}
        if wrong:
            raise ValueError(_unfit(self, wrong))
        for name, parameter in updated.items():
            parameter.data.copy_(scalars[name])
        self.loaded()

    def _without_statistics(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put running statistics back that moved; return the rest of the state."""
        rest = dict(state)
        moved = {name: rest.pop(f"{STATISTICS}{name}", None) for name in self._statistics}
        wrong = {n for n, (now, _) in self._statistics.items() if getattr(moved[n], "shape", None) != now.shape}
        if wrong:
            raise ValueError(_unfit(self, wrong))
        for name, (now, _) in self._statistics.items():
            now.copy_(moved[name])  # type: ignore[arg-type]  # none is null: those were refused
        return rest

    def statistics_bits(self) -> int:
        """Return the bits that running statistics which moved take beside ``stored_bits``."""
        return 8 * sum(now.nbytes for now, _ in self._statistics.values())

    def loaded(self) -> None:
        """Act after a state was put back (masks patch the dense weights)."""

    def detach(self, model: nn.Module, pristine: Mapping[str, Tensor]) -> None:
        """Restore the backbone bit by bit: structure, values, types and flags.

        Args:
            model: what ``start`` was given.
            pristine: the backbone's tensors as they were then, by parameter name.
        """
        self.remove(model)
        for name, parameter in self._dense.items():
            parameter.data = pristine[name].to(parameter.device, copy=True)
        for name, parameter in self._targeted.items():  # merging leaves no structure behind, but other values
            parameter.data.copy_(pristine[name])
        for now, before in self._statistics.values():
            now.copy_(before)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        self._dense, self._targeted, self._statistics = {}, {}, {}


def _unfit(method: Method, names: set[str]) -> str:
    return (
        f"this trained part does not fit {type(method).__name__} on this backbone; "
        f"it differs in {', '.join(sorted(names)[:5])}"
    )


def _free(parameter: nn.Parameter) -> None:
    parameter.data = parameter.data.float()
    parameter.requires_grad_(True)
