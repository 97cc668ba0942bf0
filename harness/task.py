"""The task contract: a card of facts, and the mapping from raw columns to the fields that a protocol needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.splits import Part

Split = Literal["train", "validation", "evaluation", "hidden", "fewshot"]
"""``train`` is what is trained on, and validated on where there is no official ``validation`` split; ``evaluation`` is
the labelled split reported on; ``hidden`` is the unlabelled one of a test server; ``fewshot`` holds demonstrations."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MetricFacts(_Facts):
    """What the headline number of a task means; the only place for its direction, chance level and ceiling."""

    name: str
    """A metric that ``harness.metric.find`` knows."""
    higher_is_better: bool
    unit: str
    """How the number is shown: ``%`` multiplies by 100, ``""`` leaves it as it is."""
    chance: float | None
    """What a predictor that ignores its input reaches (always the most frequent label, or a constant); null where that
    is not known."""
    ceiling: float | None
    """The largest possible value; null where there is none (NIST), or where lower is better."""


class ImageLists(_Facts):
    """A folder of images beside lists of them, each line a path in the folder, a space, and the label's number."""

    folders: tuple[str, ...]
    """Names that the folder may have inside the mirror's folder of the dataset; the first that is there is taken."""
    splits: dict[Split, str]
    """Our split names to the lists' file names."""


class Source(_Facts):
    """Where the raw rows come from: a hub dataset (also from a mirror of it), or a generator in the task's own file."""

    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    splits: dict[Split, str] = {"train": "train", "evaluation": "validation"}
    """Our split names to the source's."""
    where: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)
    """Column to the values of the rows that this task takes, in every split; the others are another task's."""
    lists: ImageLists | None = None
    """Another form that a mirror may hold the splits in: a folder of images with lists."""
    in_mirror: str | None = None
    """Another dataset that a mirror may hold in place of ``hub``, in a form that the task's code reads as well."""
    by_hand: str | None = None
    """How a mirror gets the rows, where no dataset of the hub has them and ``hub`` is a name of this project's own."""


class Variant(_Facts):
    """What differs when the task is met through one of its protocols; null keeps the card's own."""

    columns: dict[str, str] | None = None
    metric: MetricFacts | None = None
    also: tuple[str, ...] | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)


class TaskCard(_Facts):
    """The static facts of one task, a literal in its family's file."""

    name: str
    title: str
    paper: str
    url: str
    year: int | None
    """Null where it is not known."""
    licence: str
    version: int
    """Raised by any fix that can change a score; records of other versions are shown as superseded."""
    source: Source
    columns: dict[str, str] = Field(default_factory=dict)
    """Fields of the protocol to columns, for example ``{"text": "sentence1", "label": "label"}``; a dot reaches into a
    struct (``answers.text``)."""
    labels: tuple[str, ...] = ()
    """Class names in the order of their ids; empty for a regression, and where answers are texts or candidates."""
    label_range: tuple[float, float] | None = None
    """Smallest and largest target of a regression task."""
    cluster: str | None = None
    """Column whose equal values bind rows together (a MultiRC question, an E2E meaning representation): they are drawn
    into one split together, and an interval counts them once."""
    sizes: dict[Split, int]
    """Official number of rows of each split."""
    metric: MetricFacts
    also: tuple[str, ...] = ()
    """Further metrics that are reported beside the headline."""
    protocols: tuple[str, ...] = Field(min_length=1)
    """The first is the default."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Values of the protocol that this task is met with; a suite's ``options`` win."""
    variants: dict[str, Variant] = Field(default_factory=dict)
    """Protocol to what differs there."""
    policy_sizes: dict[str, dict[Literal["train", "validation", "test"], int]] = Field(default_factory=dict)
    """Split policy to the sizes that it prescribes for this task in place of its usual ones."""
    score_only_with: str | None = None
    """The task whose trained model this one scores, where it has no training split of its own."""
    hidden_labels: str | None = None
    """Why the evaluation labels are not public, where they are not."""

    @model_validator(mode="after")
    def _consistent(self) -> TaskCard:
        if self.labels and self.label_range is not None:
            raise ValueError(f"card {self.name}: give either labels (classes) or label_range (regression), not both")
        strange = sorted(self.variants.keys() - set(self.protocols))
        if strange:
            raise ValueError(f"card {self.name}: a variant for {strange[0]!r}, which is not among its protocols")
        return self

    def through(self, protocol: str) -> TaskCard:
        """Return the card as it stands for one of its protocols, its variant applied."""
        variant = self.variants.get(protocol)
        update: dict[str, Any] = {"variants": {}}  # Any: fields of several types
        if variant is not None:
            named = {"columns": variant.columns, "metric": variant.metric, "also": variant.also}
            update |= {name: value for name, value in named.items() if value is not None}
            update["options"] = {**self.options, **variant.options}
        return self.model_copy(update=update)


class Task:
    """A task: its card, and what its family's code adds to the raw rows.

    A family file that needs code defines ``TASK``, a subclass that overrides ``table`` (generated rows) or ``prepare``
    (derived columns); without one, the plain contract serves.
    """

    def __init__(self, card: TaskCard) -> None:
        self.card = card

    def table(self, split: Split) -> pa.Table:
        """Return the raw rows of a generated split, always the same ones for one card version."""
        raise LookupError(f"{self.card.name} is fetched from {self.card.source.hub}, not generated")

    def digest(self, split: Split) -> str:
        """Return what identifies the rows of a split that is not fetched from the hub."""
        return f"generated:{self.card.name}@{self.card.version}"

    def state(self, split: Split) -> str:
        """Return how much of such a split is here: one of ``harness.data.STATES``."""
        return "generated"

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Return the raw rows with the columns added that the card names and the source does not have.

        Rows keep their number and order: an item's id is its row number in the source.
        """
        return table

    def files(self, run_id: str, part: Part, items: pa.Table) -> Mapping[str, str]:
        """Return what a run that scored this task leaves in files of its own beside its record, by their names.

        Args:
            run_id: names the run.
            part: the scored rows.
            items: their item table, in the same order.
        """
        return {}
