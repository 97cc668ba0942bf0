"""The same things from Python: plan and run a suite, load its records, build its board."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import provenance, registry
from harness.backbone import locate
from harness.data import DataSource
from harness.errors import MissingPrerequisite, UnknownName, UnwritableFolder
from harness.matrix import Expansion, check_values, expand, parse_only
from harness.record import Record, Status
from harness.search import check_grids
from harness.spec import Spec
from harness.suite import BadSuite, Suite, read

if TYPE_CHECKING:
    from leaderboard.load import Loaded
    from leaderboard.page import BoardSummary
    from runners.plan import Plan

Observer = Callable[[Spec | None, Mapping[str, Any]], None]  # Any: events are JSON


@dataclass(frozen=True)
class SuiteResult:
    """What running a suite left: its runs with their records, the folder, and whether it was cut short."""

    plan: Plan
    out: Path
    num_started: int
    interrupted: bool = False

    @property
    def records(self) -> list[Record]:
        """Return the newest usable record of every run that has one."""
        return [run.record for run in self.plan.runs if run.record is not None]


def load_suite(suite: str | Path | Suite, only: str | None = None, settings: Sequence[str] = ()) -> Expansion:
    """Return a suite's specs; see ``plan_suite`` for the arguments and errors."""
    return expand(suite if isinstance(suite, Suite) else read(str(suite), settings), parse_only(only))


def plan_suite(
    suite: str | Path | Suite,
    *,
    out: str | Path | None = None,
    mirror: str | Path | None = None,
    only: str | None = None,
    settings: Sequence[str] = (),
    retry: Collection[str] = (),
) -> Plan:
    """Return what a suite still needs, without doing any of it.

    Args:
        suite: a shipped name, a path, or a suite.
        out: the folder of runs; ``out/<suite>`` by default.
        mirror: a local copy of the data in hub layout; ``PARETUNE_MIRROR`` by default.
        only: a filter such as ``method=lora,seed=0``.
        settings: ``KEY=VALUE`` with dotted keys, applied to the suite's file.
        retry: statuses whose runs are tried again.

    Raises:
        BadSuite, UnknownName, MissingPrerequisite, ValueError: for what cannot be run, before any work.
    """
    from runners.agenda import plan
    from runners.plan import ON_REQUEST
    from runners.sweep import output_folder

    for status in retry:
        if status not in ON_REQUEST:
            raise UnknownName("status", status, ON_REQUEST, "--retry")
    expansion = load_suite(suite, only, settings)
    folder = output_folder(expansion.suite.name, out)
    # A run with a folder passed this before; a finished suite must not wait for the methods' libraries.
    new = [spec for spec in expansion.first() if not (folder / spec.run_id).is_dir()]
    if new:
        check_grids(expansion.searches)
    check_values(new)
    return plan(expansion, folder, DataSource.of(mirror), retry)


def run_suite(
    suite: str | Path | Suite,
    *,
    out: str | Path | None = None,
    mirror: str | Path | None = None,
    only: str | None = None,
    settings: Sequence[str] = (),
    retry: Collection[str] = (),
    workers: int | None = None,
    device: str = "auto",
    observe: Callable[[Plan], Observer] | None = None,
) -> SuiteResult:
    """Run what a suite still needs; finished runs are left as they are.

    Args:
        suite: see ``plan_suite``, also for the next five.
        out: the folder of runs.
        mirror: a local copy of the data.
        only: a filter.
        settings: changes to the suite.
        retry: statuses whose runs are tried again.
        workers: processes; by default what the cores serve at the suite's ``threads``, and one per GPU run.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        observe: given the plan, returns what is told each event.

    Raises:
        Busy: if another scheduler works on the folder; else as ``plan_suite``.
    """
    from runners.cells import write_cells
    from runners.local import default_workers
    from runners.process import Options
    from runners.sweep import hold, output_folder
    from runners.sweep import run as run_plan

    if workers is not None and workers < 1:
        raise BadSuite(f"--workers is at least 1; {workers} came")
    expansion = load_suite(suite, only, settings)
    folder = output_folder(expansion.suite.name, out)
    arguments: dict[str, Any] = {"out": folder, "mirror": mirror, "only": only, "settings": settings}  # Any: keywords
    _check_device(device)
    if not folder.exists():
        plan_suite(suite, retry=retry, **arguments)  # bad input ends here, before a folder is made for it
    with hold(folder):
        planned = plan_suite(suite, retry=retry, **arguments)
        todo = [run for run in planned.runs if run.state in ("todo", "stale")]
        if not todo and all(run.record for run in planned.runs):
            write_cells(planned)
            return SuiteResult(planned, folder, 0)
        where = resolve_device(device) if todo else "cpu"
        options = Options(
            out=folder,
            suite=expansion.suite.name,
            mirror=DataSource.of(mirror).mirror,
            device=where,
            workers=workers or (1 if where.startswith("cuda") else default_workers(expansion.suite.threads)),
            keep=expansion.suite.keep,
            max_minutes=expansion.suite.max_minutes,
            checkpoint_minutes=expansion.suite.checkpoint_minutes,
        )
        interrupted = run_plan(planned, options, observe(planned) if observe else lambda spec, event: None)
        left = plan_suite(suite, **arguments)
        write_cells(left)
        return SuiteResult(left, folder, len(todo) + len(planned.waiting), interrupted)


def run_spec(spec: Spec, out: Path, mirror: str | Path | None = None, device: str = "auto") -> tuple[Record, Path]:
    """Run one spec in this process and return its record and the attempt's folder.

    Raises:
        UnknownName, BadSuite, MissingPrerequisite, UnwritableFolder: for what cannot be run, before any work.
    """
    source = DataSource.of(mirror)
    _check_spec(spec, source)
    import torch

    from runners.warm import Warm
    from runners.worker import run_one

    torch.set_num_threads(spec.threads)
    warm = Warm(source, resolve_device(device))
    _make_folder(out)
    record, folder, _ = run_one(spec, out, warm, None, "final", lambda event: None)
    return record, folder


def load_records(folders: Sequence[str | Path]) -> Loaded:
    """Return the runs in some folders, and what could not be read.

    Raises:
        MissingPrerequisite: if a folder is not there.
    """
    from leaderboard.load import load_records as load

    return load([Path(folder) for folder in folders])


def build_board(folders: Sequence[str | Path], out: str | Path) -> BoardSummary:
    """Write the board of the records in ``folders``; runs that today's code makes stale are marked.

    Raises:
        MissingPrerequisite: if a folder is not there.
        UnwritableFolder: if nothing can be written to ``out``.
    """
    from leaderboard.page import build_board as build

    loaded = load_records(folders)
    _make_folder(Path(out))
    return build([Path(folder) for folder in folders], Path(out), stale_runs(run.record for run in loaded.runs))


def stale_runs(records: Iterable[Record]) -> dict[str, str]:
    """Return run id to reason for results whose code or cards are not today's."""
    reasons = {}
    for record in records:
        if record.status != "ok":
            continue
        try:
            if record.digests.code != provenance.code_digest(record.spec):
                reasons[record.run_id] = "the code or a card version changed since"
        except (UnknownName, MissingPrerequisite):
            missing = [record.spec.method] if record.spec.method not in registry.methods() else []
            missing += [name for name in (record.spec.train, *record.spec.score) if name not in registry.tasks()]
            reasons[record.run_id] = f"{', '.join(missing) or 'a part of it'} is not registered here"
    return reasons


def run_statuses(plan: Plan) -> dict[Status | str, int]:
    """Return the number of runs per status of their newest usable record; else ``none``, or ``stale``."""
    counts: dict[Status | str, int] = {}
    for run in plan.runs:
        status = "stale" if run.state == "stale" else run.record.status if run.record else "none"
        counts[status] = counts.get(status, 0) + 1
    return counts


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFolder(folder, error) from error


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


def _check_device(name: str) -> None:
    """Refuse a device that is not here; the two that always are need no tensor library to know."""
    if name not in ("auto", "cpu"):
        resolve_device(name)


def resolve_device(name: str) -> str:
    """Return the device that a name means here; ``auto`` is a GPU where there is one.

    Raises:
        UnknownName: for a device that is not here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    allowed = ["auto", "cpu", *(["cuda"] if count else []), *(f"cuda:{index}" for index in range(count))]
    if name not in allowed:
        raise UnknownName("device", name, allowed, "--device")
    return name
