"""Absent: what the runs of a suite need and this machine does not have, which a plan says and a run stops at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import provenance, registry, shapes
from harness.backbone import BackboneFiles
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.record import Record
from harness.spec import Spec
from runners.plan import Planned, check_data, lacking_on_hub, located


@dataclass(frozen=True)
class Absent:
    """What is not here: nothing, where a suite is to be run."""

    files: dict[str, BackboneFiles]
    """Every backbone; of one in ``outlined``, the shapes only."""
    outlined: frozenset[str] = frozenset()
    """Backbones whose weights are not here, be it that the hub has them."""
    data: frozenset[str] = frozenset()
    """Tasks of which rows are not here."""
    messages: tuple[str, ...] = field(default=())
    """What cannot be had, once each, with what to do."""

    def of(self, spec: Spec) -> str:
        """Return which of a run's needs are not here, in words; an empty text where all are."""
        weights = ["its weights"] if spec.backbone in self.outlined else []
        rows = ["its data"] if self.data & {spec.train, *spec.score} else []
        return " and ".join(weights + rows)

    def planned(self, spec: Spec, found: Sequence[Record], lacking: str) -> Planned:
        """Return a run of which nobody can say here whether what was recorded is still today's."""
        never, before = f"never run; {lacking} are not here", f"recorded before, and {lacking} are not here to compare"
        reason = before if found else never
        return Planned(spec, "todo", reason)

    def on_hub(self, specs: Sequence[Spec], source: DataSource) -> tuple[str, ...]:
        """Return every message, those of datasets included that the hub does not give for some runs."""
        asked = [spec for spec in specs if not self.data & {spec.train, *spec.score}]
        return (*self.messages, *lacking_on_hub(asked, source))


def require(specs: Sequence[Spec], source: DataSource) -> Absent:
    """Return the files of every backbone.

    Raises:
        MissingPrerequisite: for the first thing that is not here.
    """
    files = {reference: located(reference) for reference in _backbones(specs)}
    check_data(specs, source)
    return Absent(files)


def look(specs: Sequence[Spec], source: DataSource) -> Absent:
    """Return the files of every backbone, or its shapes, and what is not here.

    Raises:
        MissingPrerequisite: for a backbone that is not here and whose shapes are not written out.
    """
    outlines = {reference: shapes.outline(reference) for reference in _backbones(specs)}
    files = {reference: found or located(reference) for reference, found in outlines.items()}
    outlined = frozenset(reference for reference, found in outlines.items() if found)
    data = _lacking(specs, source)
    weights = [message for reference in sorted(outlined) if (message := _weights(reference))]
    return Absent(files, outlined, frozenset(data), (*weights, *dict.fromkeys(data.values())))


def _backbones(specs: Iterable[Spec]) -> set[str]:
    return {spec.backbone for spec in specs}


def _weights(reference: str) -> str:
    try:
        shapes.check_hub(reference)
    except MissingPrerequisite as error:
        return str(error)
    return ""


def _lacking(specs: Sequence[Spec], source: DataSource) -> Mapping[str, str]:
    """Return task to why its rows cannot be had."""
    found: dict[str, str] = {}
    for name, split in dict.fromkeys(read for spec in specs for read in provenance.splits_read(spec)):
        try:
            source.check(registry.load_task(name), split)
        except MissingPrerequisite as error:
            found.setdefault(name, str(error))
    return found
