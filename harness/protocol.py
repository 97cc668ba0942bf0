"""The protocol contract: how a kind of backbone meets a task; the loop and the scorer know nothing else of either.

Each module of ``tasks/protocols`` defines ``PROTOCOL``, a subclass of ``Protocol``. An object of it is one task met
through it: it knows the task's card and the values of its own (``Options``), and nothing of any method.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from typing import Protocol as Structural

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from harness.errors import MissingPrerequisite, NotApplicable, UnknownName

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from harness.backbone import Backbone, BackboneFiles
    from harness.random import Streams
    from harness.spec import Training
    from harness.splits import Part
    from harness.task import TaskCard

FOLDER = Path(__file__).resolve().parent.parent / "tasks" / "protocols"


@dataclass(frozen=True)
class Examples:
    """Encoded rows of one part: the inputs that are trained on, and the items that are scored.

    Inputs and items are the same rows in most protocols. A long text may give several inputs (windows) for one item,
    and several references one item for several inputs.
    """

    inputs: Sequence[Any]
    """What ``collate`` makes batches of (Any: the protocol's own)."""
    lengths: NDArray[np.int64]
    """Tokens of each input, so that like lengths share a batch."""
    item_ids: tuple[str, ...]
    cluster_ids: tuple[str, ...]
    references: Sequence[Any]
    """What each item's prediction is scored against (Any: as the task's metrics expect)."""
    truncated: int = 0
    """Items whose text was cut."""
    notes: tuple[str, ...] = ()
    """What else a reader of the record should know of the encoding."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the protocol needs for its items beside the inputs (Any: the protocol's own)."""
    num_bytes: int = 0
    """Memory that the inputs take, where that is much: a worker keeps only so much between runs."""

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Predictions:
    """What a model says of every item, in their own order, and its mean loss over the inputs."""

    values: Sequence[Any] | None
    """As the task's metrics expect (Any: numbers, texts); null where a validation computes the loss alone."""
    loss: float | None
    """Null where it was not computed."""
    shown: Sequence[Any] | None = None
    """What ``items.parquet`` keeps as the prediction where that is not ``values``, such as the place of a span and not
    the data set's own text (Any: as above)."""
    notes: tuple[str, ...] = ()


class Evaluation(Structural):
    """What the evaluation loop gives a protocol beside the model."""

    @property
    def tokenizer(self) -> Any:  # Any: a transformers tokenizer or image processor
        """Return what encodes the backbone's inputs."""
        ...

    @property
    def device(self) -> torch.device:
        """Return where the model is."""
        ...

    def batches(self, protocol: Protocol, examples: Examples) -> Iterator[tuple[list[int], Any]]:
        """Yield the rows and the collated batch of each step, longest inputs first."""
        ...

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that every forward pass runs in."""
        ...


class Options(BaseModel):
    """A protocol's own values: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Protocol:
    """The base of every protocol: one task, met in one way."""

    KINDS: ClassVar[tuple[str, ...]] = ()
    """Kinds of backbone that it can meet."""
    Options: ClassVar[type[BaseModel]] = Options
    PACKS: ClassVar[bool] = False
    """Whether ``pack`` may return anything."""
    READS_HIDDEN: ClassVar[bool] = False
    """Whether ``encode`` takes rows of a ``hidden`` split, whose answers are not there."""

    def __init__(self, card: TaskCard, options: BaseModel | None = None) -> None:
        self.card = card
        self.options = options if options is not None else self.Options()

    def build(self, files: BackboneFiles, meta: bool = False) -> tuple[nn.Module, frozenset[str]]:
        """Return a model with a head for the task, and the head's parameter names; shapes only with ``meta``.

        Raises:
            NotApplicable: for a backbone of another kind.
        """
        raise NotImplementedError

    def load(self, files: BackboneFiles) -> Backbone:
        """Return a loaded backbone with a head for the task, and what encodes its inputs."""
        from harness.backbone import Backbone, load_tokenizer

        model, head = self.build(files)
        return Backbone(files, model, head, load_tokenizer(files))

    def head_key(self) -> str:
        """Return what tells heads apart: backbones with equal keys are interchangeable."""
        return str(len(self.card.labels))

    def check(self, training: Training) -> None:
        """Refuse training values that do not go with the protocol's own.

        Raises:
            MissingPrerequisite: naming both values, before any work is done.
        """

    def check_export(self) -> None:
        """Find out whether transformers can open the model that ``build`` makes.

        Raises:
            NotApplicable: with the reason where it cannot.
        """

    def encode(self, part: Part, tokenizer: Any, max_length: int) -> Examples:
        """Encode the rows of a part (Any: a transformers tokenizer or image processor).

        Raises:
            MissingPrerequisite: for rows that cannot be used; by name.
        """
        raise NotImplementedError

    def pack(self, examples: Examples) -> pa.Table | None:
        """Return what took long of an encoding as a table, to be kept on disk; null where it is not worth it."""
        return None

    def unpack(self, part: Part, tokenizer: Any, max_length: int, packed: pa.Table) -> Examples:
        """Return what ``encode`` returns for the same values, with the help of what ``pack`` made of it.

        Raises:
            ValueError: for a table of another form.
        """
        raise NotImplementedError

    def for_epoch(self, examples: Examples, streams: Streams, epoch: int) -> Examples:
        """Return the training rows as epoch ``epoch`` (from 1) sees them; augmentation draws from the run's streams."""
        return examples

    def collate(self, examples: Examples, rows: Sequence[int], tokenizer: Any, device: torch.device) -> Any:
        """Return the padded batch of some inputs (Any: the protocol's own)."""
        raise NotImplementedError

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the mean training loss of a batch in fp32."""
        raise NotImplementedError

    def weight(self, examples: Examples, rows: Sequence[int]) -> float:
        """Return how much the mean loss of some inputs counts beside that of others: the number it is a mean over."""
        return float(len(rows))

    def log_likelihoods(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the log-probability of every outcome, (rows, outcomes) in fp32.

        Raises:
            NotApplicable: where the outcomes cannot be listed.
        """
        raise NotApplicable(f"the outcomes of {self.card.name} cannot be listed")

    def outputs(self, model: nn.Module, batch: Any) -> tuple[Sequence[Any], Tensor]:
        """Return what the model says of each input of a batch, and the mean loss; see ``predict``."""
        raise NotImplementedError

    def answers(self, examples: Examples, outputs: Sequence[Any]) -> Predictions:
        """Turn what the model said of each input into a prediction for each item, its loss still null."""
        return Predictions(outputs, None)

    def perfect(self, examples: Examples) -> Sequence[Any]:
        """Return the predictions of a model that makes no mistake, as the task's metrics expect them."""
        return examples.references

    def predict(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> Predictions:
        """Return the predictions for all items; the model is in evaluation mode and gradients are off.

        The default goes through the inputs in batches (``outputs``) and then makes predictions of them (``answers``).
        """
        said: list[Any] = [None] * len(examples)
        total = weights = 0.0
        for rows, batch in evaluation.batches(self, examples):
            with evaluation.autocast():
                outputs, loss = self.outputs(model, batch)
            for row, output in zip(rows, outputs, strict=True):
                said[row] = output
            weight = self.weight(examples, rows)
            total, weights = total + float(loss) * weight, weights + weight
        found = self.answers(examples, said)
        return Predictions(found.values, total / weights, found.shown, found.notes)

    def validate(self, model: nn.Module, examples: Examples, evaluation: Evaluation) -> Predictions:
        """Return what an epoch is chosen by: the predictions, or the loss alone where those take too long."""
        return self.predict(model, examples, evaluation)

    def refuse_kind(self, files: BackboneFiles, reads: str) -> None:
        """Raise ``NotApplicable`` for a backbone of a kind that this protocol cannot meet."""
        if files.kind not in self.KINDS:
            name = type(self).__name__.lower()
            raise NotApplicable(
                f"{self.card.name} is met by {name}, which needs a backbone that {reads}; {files.kind} came"
            )


def names() -> list[str]:
    """Return every protocol's name."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_"))


def protocol_class(name: str) -> type[Protocol]:
    """Return a protocol's class.

    Raises:
        UnknownName: offering those that exist.
    """
    if name not in names():
        raise UnknownName("protocol", name, names())
    found: type[Protocol] = importlib.import_module(f"tasks.protocols.{name}").PROTOCOL
    return found


def meet(name: str, card: TaskCard, options: Mapping[str, JsonValue] | None = None) -> Protocol:
    """Return a task met through a protocol.

    Args:
        name: of the protocol.
        card: as it stands for this protocol (``TaskCard.through``).
        options: the run's own; they win over the card's.

    Raises:
        UnknownName: for an unknown protocol.
        MissingPrerequisite: for a value that the protocol refuses, by name.
    """
    kind = protocol_class(name)
    try:
        return kind(card, kind.Options.model_validate({**card.options, **(options or {})}))
    except ValidationError as error:
        from harness.suite import explain

        raise MissingPrerequisite(f"options of {name} for {card.name}: {explain(error, kind.Options)}") from error
