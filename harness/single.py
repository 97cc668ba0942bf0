"""Single runs, in this process: one spec, or a record's spec again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import provenance, registry
from harness.api import make_folder
from harness.backbone import locate
from harness.data import DataSource
from harness.devices import resolve_device
from harness.environment import limit_threads
from harness.errors import MissingPrerequisite, NoData, UnknownName, UnwritableFolder
from harness.matrix import Expansion, check_values
from harness.record import Record
from harness.spec import Spec
from harness.suite import BadSuite, Suite

if TYPE_CHECKING:
    from harness.api import Observer
    from runners.reproduce import Reproduction
    from runners.warm import Warm
    from runners.watched import Watched


def run_spec(
    spec: Spec,
    out: Path,
    mirror: str | Path | None = None,
    device: str = "auto",
    keep: str = "final",
    observe: Callable[[Watched], Observer] | None = None,
) -> tuple[Record, Path]:
    """Run one spec in this process and return its record and the attempt's folder.

    Args:
        spec: what to run.
        out: the folder of runs.
        mirror: a local copy of the data.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        keep: ``none``, ``final`` or ``all``.
        observe: as for ``run_suite``; what it returns must not print to where the run does, which its log takes.

    Raises:
        UnknownName, BadSuite, MissingPrerequisite, UnwritableFolder: for what cannot be run, before any work.
    """
    source = DataSource.of(mirror)
    _check_spec(spec, source)
    import torch

    from runners.executor import end_event
    from runners.warm import Warm
    from runners.worker import run_one

    torch.set_num_threads(spec.threads)
    warm = Warm(source, resolve_device(device))
    make_folder(out)
    watched = _watch_one(spec, out, warm, observe) if observe else None

    def tell(event: Mapping[str, Any]) -> None:  # Any: events are JSON
        if watched:
            watched(spec, event)

    record, folder, _ = run_one(spec, out, warm, None, keep, tell)
    tell(end_event(record, folder))
    return record, folder


def _watch_one(spec: Spec, out: Path, warm: Warm, observe: Callable[[Watched], Observer]) -> Watched:
    """Return what watches a single run as if it were a matrix."""
    from runners.absent import Absent
    from runners.agenda import Agenda
    from runners.forecast import past
    from runners.watched import Watched

    entry = {"train": spec.train, "score": spec.score}
    suite = Suite.model_validate(
        {"name": "one", "backbones": [spec.backbone], "methods": [spec.method], "tasks": [entry]}
    )
    agenda = Agenda(Expansion(suite, (spec,)), out, warm.source, Absent({spec.backbone: warm.locate(spec.backbone)}))
    watched = Watched(agenda.plan(), out, 1, *past(out, warm.device, spec.threads))
    watched.audience.append(observe(watched))
    return watched


def reproduce(
    run_id: str,
    folders: Sequence[str | Path],
    into: Path,
    mirror: str | Path | None = None,
    device: str = "auto",
    observe: Callable[[Watched], Observer] | None = None,
) -> Reproduction:
    """Run a record's spec again in this process, and say which of its numbers came back.

    Args:
        run_id: a run id, or the beginning of one.
        folders: where to look for its record, and for those of other seeds.
        into: the folder that the new record goes to; made, and empty if it is there.
        mirror: a local copy of the data.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        observe: as for ``run_spec``.

    Raises:
        NoData: if there is no such record, it holds nothing to come back to, or its data or weights are not here.
        UnknownName, BadSuite, UnwritableFolder: as ``run_spec``.
    """
    from runners.reproduce import compare, look_up

    recorded, others = look_up(run_id, [Path(folder) for folder in folders])
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UnwritableFolder(into, FileExistsError("it is not empty"), "--into")
    limit_threads(recorded.spec.threads)
    try:
        now, _ = run_spec(recorded.spec, into, mirror, device, "none", observe)
    except MissingPrerequisite as error:
        raise NoData(f"run {recorded.run_id} cannot be run again here: {error}") from error
    return compare(recorded, now, others)


def _check_spec(spec: Spec, source: DataSource) -> None:
    pinned = registry.find("method", spec.method).card.get("targets")
    if pinned and spec.targets != pinned:
        raise BadSuite(f"method {spec.method!r} always has targets {pinned!r}; {spec.targets!r} came")
    for name in (spec.train, *spec.score):
        card = registry.load_task(name).card
        if spec.protocol not in card.protocols:
            raise UnknownName("protocol", spec.protocol, card.protocols, name)
        if card.hidden_labels:
            raise BadSuite(f"{name} cannot be scored here: {card.hidden_labels}; leave it out of score")
    for name, split in provenance.splits_read(spec):
        source.check(registry.load_task(name), split)
    locate(spec.backbone)
    check_values([spec])
