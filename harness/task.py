"""The task contract: a card of facts, and the mapping from raw columns to the fields that a protocol needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    import pyarrow as pa

Split = Literal["train", "evaluation"]
"""``train`` is what training and validation are drawn from; ``evaluation`` is the labelled split reported on."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MetricFacts(_Facts):
    """What the headline number of a task means; the only place for its direction, chance level and ceiling."""

    name: str
    """A metric of ``harness.metric.METRICS``."""
    higher_is_better: bool
    unit: str
    """How the number is shown: ``%`` multiplies by 100, ``""`` leaves it as it is."""
    chance: float
    """What a predictor that ignores its input reaches (always the most frequent label, or a constant)."""
    ceiling: float


class Source(_Facts):
    """Where the raw rows come from: a hub dataset (also from a mirror of it), or a generator in the task's own file."""

    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    splits: dict[Split, str] = {"train": "train", "evaluation": "validation"}
    """Our split names to the source's."""


class TaskCard(_Facts):
    """The static facts of one task, a literal in its family's file."""

    name: str
    title: str
    paper: str
    url: str
    year: int
    licence: str
    version: int
    """Raised by any fix that can change a score; records of other versions are shown as superseded."""
    source: Source
    columns: dict[str, str]
    """Fields of the protocol to raw columns, for example ``{"text": "sentence1", "label": "label"}``."""
    labels: tuple[str, ...] = ()
    """Class names in the order of their ids; empty for regression."""
    label_range: tuple[float, float] | None = None
    """Smallest and largest target of a regression task."""
    sizes: dict[Split, int]
    """Official number of rows of each split."""
    metric: MetricFacts
    also: tuple[str, ...] = ()
    """Further metrics that are reported beside the headline."""
    protocols: tuple[str, ...]
    score_only_with: str | None = None
    """The task whose trained model this one scores, where it has no training split of its own."""
    hidden_labels: str | None = None
    """Why the evaluation labels are not public, where they are not."""

    @model_validator(mode="after")
    def _one_kind_of_target(self) -> TaskCard:
        if bool(self.labels) == (self.label_range is not None):
            raise ValueError(
                f"card {self.name}: give either labels (classes) or label_range (regression), not both or none"
            )
        return self


class Task:
    """A task: its card, and its raw rows where they are generated and not fetched.

    A family file whose cards have no hub source defines ``TASK``, a subclass that overrides ``table``.
    """

    def __init__(self, card: TaskCard) -> None:
        self.card = card

    def table(self, split: Split) -> pa.Table:
        """Return the raw rows of a generated split, always the same ones for one card version."""
        raise LookupError(f"{self.card.name} is fetched from {self.card.source.hub}, not generated")
