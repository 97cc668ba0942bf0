"""Card file: a user's own task from a YAML card, ``yaml:PATH``; no code, for classify, span, generate and image.

```yaml
title: Reviews of tea
data: {train: train.csv, evaluation: test.parquet}   # files beside the card; or {hub: TEAM/NAME, config: C, splits: ..}
columns: {text: review, label: stars}                 # fields of the protocol to columns
labels: [bad, good]                                   # or label_range: [0, 5]
protocol: classify                                    # or protocols: [..], the first being the default
metric: accuracy                                      # or all facts: {name, higher_is_better, unit, chance, ceiling}
```

The path is relative to where the command is run. Files are parquet, CSV, TSV or JSON lines. The card is read as plain
data: it can run nothing. What it says is part of a run's provenance, so an edited card makes its records stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from harness import metric
from harness.digest import file_digest
from harness.errors import MissingPrerequisite, UnknownName
from harness.metrics.mean import GIVEN
from harness.protocol import names
from harness.task import MetricFacts, Source, Split, Task

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "yaml:"
RESOLVES = {"prefix": "yaml:", "title": "your own task, from a YAML card (paretune new task NAME writes one)"}
LM_EVAL_KEYS = ("task", "output_type", "doc_to_text")
"""Keys by which a file is known for one of lm-eval's."""
TEXT_FIELDS = ("text", "text_pair", "question", "context", "source", "target")
"""Fields of the protocols that are texts."""
TAKEN: dict[str, tuple[str, ...]] = {
    "classify": ("numbers", "label of a question", "label of a pair", "text", "answer"),
    "span": ("answer",),
    "image": ("numbers",),
    "generate": ("text", "spans", "answer"),
}
"""What metrics may take of the predictions of a protocol; of any other protocol they may take anything."""
USUAL = {"classify": "accuracy", "span": "squad.f1", "image": "accuracy", "generate": "corpus.bleu"}
SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")


class CardFile(BaseModel):
    """What a card may say; what it leaves out has the default given here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    data: dict[str, JsonValue]
    """Split to file, or ``hub`` with ``config``, ``revision`` and ``splits``."""
    columns: dict[str, str]
    labels: tuple[str, ...] = ()
    label_range: tuple[float, float] | None = None
    cluster: str | None = None
    protocol: str | None = None
    protocols: tuple[str, ...] = ()
    options: dict[str, JsonValue] = Field(default_factory=dict)
    metric: str | MetricFacts
    also: tuple[str, ...] = ()
    version: int = 1
    licence: str = "not stated"
    paper: str = "none"
    url: str = ""
    year: int = 0
    score_only_with: str | None = None

    @model_validator(mode="after")
    def _one_way_to_name_protocols(self) -> CardFile:
        if bool(self.protocol) == bool(self.protocols):
            raise ValueError("give protocol (one name) or protocols (a list), not both or none")
        return self


def resolve(name: str) -> dict[str, JsonValue]:
    """Return the card of ``yaml:PATH``.

    Raises:
        MissingPrerequisite: if there is no such file, or it is no card; by key.
    """
    path = path_of(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingPrerequisite(
            f"the task {name!r} is {path}, which cannot be read ({error.strerror or error}); give the path of a card"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MissingPrerequisite(f"{path} is no plain YAML: {error}") from error
    if not isinstance(content, dict):
        raise MissingPrerequisite(f"{path} holds no card, a mapping of keys to values; see tasks/card_file.py")
    if any(key in content for key in LM_EVAL_KEYS):
        raise MissingPrerequisite(f"{path} is a task of lm-eval; name it lm/{name.removeprefix(PREFIX)} instead")
    try:
        card = CardFile.model_validate(content)
    except ValidationError as error:
        from harness.suite import explain

        raise MissingPrerequisite(f"{path}: {explain(error, CardFile)}") from error
    return _facts(name, path, card)


def path_of(name: str) -> Path:
    """Return the file of a card."""
    return Path(name.removeprefix(PREFIX)).expanduser()


def _facts(name: str, path: Path, card: CardFile) -> dict[str, JsonValue]:
    for protocol in card.protocols or (str(card.protocol),):
        if protocol not in names():
            raise UnknownName("protocol", protocol, names(), str(path))
    _check_labels(path, card)
    given = card.model_dump(mode="json", exclude={"data", "metric", "protocol", "protocols"})
    hub = "hub" in card.data
    try:
        source = Source.model_validate(card.data if hub else {"splits": card.data})
    except ValidationError as error:
        from harness.suite import explain

        raise MissingPrerequisite(f"{path}: data: {explain(error, Source)}") from error
    if not hub:
        _check_files(path, source)
    return {
        **given,
        "name": name,
        "source": source.model_dump(mode="json"),
        "sizes": {},
        "metric": _metric(path, card).model_dump(mode="json"),
        "protocols": list(card.protocols or (str(card.protocol),)),
    }


def _check_files(path: Path, source: Source) -> None:
    for split, file in source.splits.items():
        place = path.parent / file
        if place.suffix not in SUFFIXES:
            raise MissingPrerequisite(f"{path}: data: {split} is {file}; allowed are {', '.join(SUFFIXES)}")
        if not place.is_file():
            raise MissingPrerequisite(
                f"{path}: data: {split} is {place}, which is not there; files lie beside the card"
            )


def _metric(path: Path, card: CardFile) -> MetricFacts:
    headline = card.metric if isinstance(card.metric, MetricFacts) else None
    known = [metric.find(name) for name in (headline.name if headline else str(card.metric), *card.also)]
    _check_metrics(path, card, known)
    if headline:
        return headline
    first = known[0]
    if first.takes == GIVEN:
        raise MissingPrerequisite(
            f"{path}: metric: {first.name} is what somebody else computed of an item, so nothing tells what it means; "
            f"give all facts: {{name: {first.name}, higher_is_better: .., unit: .., chance: .., ceiling: ..}}"
        )
    # A uniform guess; a card that knows its most frequent label says so in the metric's facts.
    chance = 1 / len(card.labels) if card.labels and first.name == "accuracy" else None
    return MetricFacts(
        name=first.name,
        higher_is_better=first.higher_is_better,
        unit=first.unit,
        chance=chance,
        ceiling=first.ceiling,
    )


def _check_metrics(path: Path, card: CardFile, known: Sequence[metric.Metric]) -> None:
    """Refuse metrics that do not read what the card's protocols predict."""
    for name in card.protocols or (str(card.protocol),):
        taken = TAKEN.get(name)
        for one in known:
            if taken and one.takes not in taken:
                raise MissingPrerequisite(
                    f"{path}: metric {one.name} cannot score {name}: it takes {one.takes}, and not "
                    f"{' or '.join(taken)}; choose another metric, such as {USUAL[name]}"
                )


def _check_labels(path: Path, card: CardFile) -> None:
    """Refuse a task of classes that names none."""
    chosen_from = "answers" in card.columns or any(field.startswith("candidate") for field in card.columns)
    for name in card.protocols or (str(card.protocol),):
        if name in ("classify", "image") and not (card.labels or card.label_range or chosen_from):
            raise MissingPrerequisite(
                f"{path}: {name} needs labels, the names of the classes in the order of their ids (labels: [bad, good])"
                f"{', or label_range for a number (label_range: [0, 5])' if name == 'classify' else ''}"
            )


class FileTask(Task):
    """A task whose rows are files beside its card."""

    def table(self, split: Split) -> pa.Table:
        """Return the rows of a file.

        Raises:
            MissingPrerequisite: if the file cannot be read as what its name says.
        """
        import pyarrow as pa
        from pyarrow import csv, json, parquet

        path = self._file(split)
        # A text of digits is a text: nothing in a CSV file tells it from a number.
        texts = {column: pa.string() for field, column in self.card.columns.items() if field in TEXT_FIELDS}
        kinds = csv.ConvertOptions(column_types=texts)
        tabs = csv.ParseOptions(delimiter="\t")
        readers: dict[str, Any] = {  # Any: pyarrow has no stubs
            ".parquet": parquet.read_table,
            ".csv": lambda file: csv.read_csv(file, convert_options=kinds),
            ".tsv": lambda file: csv.read_csv(file, parse_options=tabs, convert_options=kinds),
        }
        try:
            table: pa.Table = readers.get(path.suffix, json.read_json)(path)
        except (pa.ArrowException, OSError) as error:
            fix = "save the file as UTF-8" if "UTF8" in str(error) else "mend the file"
            raise MissingPrerequisite(f"{self.card.name}: {path} cannot be read: {error}; {fix}") from error
        twice = [name for name, count in Counter(table.column_names).items() if count > 1]
        if twice:
            raise MissingPrerequisite(
                f"{self.card.name}: {path} has several columns named {twice[0]}; rename or remove all but one"
            )
        return table

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Return the rows with labels that are names of classes as the classes' numbers.

        Raises:
            MissingPrerequisite: for a name that is not among the card's ``labels``; by row.
        """
        import pyarrow as pa

        column = self.card.columns.get("label", "")
        if not self.card.labels or column not in table.column_names or not pa.types.is_string(table[column].type):
            return table
        ids = {name: number for number, name in enumerate(self.card.labels)}
        names = table[column].to_pylist()
        strange = [row for row, name in enumerate(names) if name is not None and name not in ids]
        if strange:
            raise MissingPrerequisite(
                f"{self.card.name} ({split}) has {len(strange)} labels that are none of the card's, such as "
                f"{names[strange[0]]!r} in row {strange[0]}; allowed are {', '.join(ids)}, or their numbers from 0; "
                f"mend the column {column} or the card's labels"
            )
        numbers = pa.array([ids.get(name) for name in names], pa.int64())
        return table.set_column(table.column_names.index(column), column, numbers)

    def digest(self, split: Split) -> str:
        """Return what identifies the rows of a file."""
        return file_digest(self._file(split))

    def state(self, split: Split) -> str:
        """Return that nobody says whether the file is a whole."""
        return "unknown"

    def _file(self, split: Split) -> Path:
        return path_of(self.card.name).parent / self.card.source.splits[split]


TASK = FileTask
