"""The same things from Python: plan and run a suite, load its records, build its board."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import DataSource
from harness.devices import check_device, resolve_device
from harness.errors import StoppedEarly, UnknownName, UnwritableFolder, UserError
from harness.freshness import Freshness
from harness.matrix import Expansion, check_values, expand, parse_only
from harness.record import Record, Status, run_id, uncollected
from harness.search import check_grids
from harness.spec import Spec
from harness.suite import BadSuite, Suite, read

if TYPE_CHECKING:
    from leaderboard.load import Loaded
    from leaderboard.page import BoardSummary
    from leaderboard.papers import Report as PaperReport
    from leaderboard.releases import Frozen
    from runners.forecast import Forecast
    from runners.plan import Plan
    from runners.process import Options
    from runners.watched import Watched

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


@uncollected()
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

    Weights and data that are not here are named in its ``missing``; the shapes of a backbone that a shipped suite
    names are enough to plan it.

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
    from runners.sweep import output_folder

    expansion = load_suite(suite, only, settings)
    return _plan(expansion, output_folder(expansion.suite.name, out), DataSource.of(mirror), retry, look=True)


@uncollected()
def _plan(
    expansion: Expansion, folder: Path, source: DataSource, retry: Collection[str] = (), look: bool = False
) -> Plan:
    from runners.agenda import plan
    from runners.plan import ON_REQUEST

    for status in retry:
        if status not in ON_REQUEST:
            raise UnknownName("status", status, ON_REQUEST, "--retry")
    # A run with a folder passed this before; a finished suite must not wait for the methods' libraries.
    if new := _untried(expansion, folder):
        check_grids(expansion.searches)
    check_values(new)
    return plan(expansion, folder, source, retry, look=look)


def _untried(expansion: Expansion, folder: Path) -> list[Spec]:
    """Return the runs of which nothing was ever started in a folder, finals that wait for a search left out."""
    tried = set(os.listdir(folder)) if folder.is_dir() else set()
    return [spec for spec in expansion.first() if run_id(spec) not in tried]


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
    runs_per_device: int = 1,
    executor: str = "local",
    address: str | None = None,
    observe: Callable[[Watched], Observer] | None = None,
) -> SuiteResult:
    """Run what a suite still needs; finished runs are left as they are.

    Args:
        suite: see ``plan_suite``, also for the next five.
        out: the folder of runs.
        mirror: a local copy of the data.
        only: a filter.
        settings: changes to the suite.
        retry: statuses whose runs are tried again.
        workers: processes; by default what the cores serve at the suite's ``threads``, and what GPUs or a cluster do.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        runs_per_device: workers that share one GPU; their figures of cost are marked.
        executor: ``local``, ``ray`` or ``slurm``.
        address: of a Ray cluster; one is started on this machine where it is null.
        observe: given the plan and what will become of it, returns what is told each event.

    Raises:
        Busy: if another scheduler works on the folder.
        StoppedEarly: if the folder cannot be written any more; else as ``plan_suite``.
    """
    from runners.cells import write_cells
    from runners.executor import check as check_executor
    from runners.forecast import Speeds, past
    from runners.local import start_early
    from runners.process import Options
    from runners.spares import Spares
    from runners.status import Notes
    from runners.sweep import hold, output_folder
    from runners.sweep import run as run_plan
    from runners.watched import Watched

    _check_counts({"--workers": workers, "--runs-per-device": runs_per_device})
    check_executor(executor, address)
    expansion = load_suite(suite, only, settings)
    folder, source = output_folder(expansion.suite.name, out), DataSource.of(mirror)
    if is_local := executor == "local":
        check_device(device)
    of = expansion.suite
    asked = Options(
        out=folder,
        suite=of.name,
        mirror=source.mirror,
        device=device,
        threads=of.threads,
        workers=workers,
        keep=of.keep,
        max_minutes=of.max_minutes,
        checkpoint_minutes=of.checkpoint_minutes,
        runs_per_device=runs_per_device,
        executor=executor,
        address=address,
        resources=of.resources,
    )
    new, spares = len(_untried(expansion, folder)), Spares()
    if new and is_local:  # the libraries are read while the suite is planned, which needs some of them too
        spares = start_early(_here(asked), new)
    with ExitStack() as held:
        held.enter_context(_writable(folder))
        held.enter_context(spares)
        if not folder.exists():
            _plan(expansion, folder, source, retry)  # bad input ends here, before a folder is made for it
        held.enter_context(hold(folder))
        planned = _plan(expansion, folder, source, retry)
        todo = [run for run in planned.runs if run.state in ("todo", "stale")]
        if not todo and all(run.record for run in planned.runs):
            write_cells(planned)
            return SuiteResult(planned, folder, 0)
        if not todo:  # what makes no sense is closed without a worker, and needs no device
            asked = replace(asked, device="cpu")
        chosen = _here(asked) if is_local else asked
        kind, speeds = f"workers of {executor}", Speeds()  # whose devices are not known here
        if is_local:
            kind, speeds = past(folder, chosen.device, of.threads)
        watched = Watched(planned, folder, chosen.workers, kind, speeds)
        watched.audience += [observe(watched)] if observe else []
        with Notes(watched):
            interrupted = run_plan(planned, chosen, watched, speeds, spares)
        left = _plan(expansion, folder, source)
        write_cells(left)
        return SuiteResult(left, folder, len(todo) + len(planned.waiting), interrupted)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Say plainly what ended a matrix whose folder takes nothing any more.

    Raises:
        StoppedEarly: with what to do.
    """
    from runners.attempt import cannot_write

    try:
        yield
    except OSError as error:
        # A write that fails names no file; one that does may be of somewhere else.
        is_here = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(folder)
        if isinstance(error, UserError) or not (is_here and cannot_write(error)):
            raise
        raise StoppedEarly(folder, error) from error


def _here(asked: Options) -> Options:
    """Return options with the device of this machine that was asked for, and as many workers as it serves.

    Raises:
        BadSuite: for a device that does not serve what was asked.
    """
    from runners.local import check_ranks, default_workers, num_devices

    where, ranks = resolve_device(asked.device), asked.resources.ranks
    if where == "cpu" and asked.runs_per_device > 1:
        raise BadSuite(
            f"runs share a GPU, and the device is cpu; --runs-per-device {asked.runs_per_device} came, so leave it out"
        )
    if where != "cpu":
        check_ranks(where, num_devices(where), ranks)
    own = default_workers(asked.threads, where, asked.runs_per_device, ranks)
    return replace(asked, device=where, workers=asked.workers or own)


def forecast_plan(plan: Plan, out: Path, *, workers: int | None = None, device: str = "auto") -> Forecast:
    """Return how long what a plan still needs will take, by past records of the same kind of device.

    Args:
        plan: from ``plan_suite``.
        out: the folder of runs, whose records are read beside the published ones.
        workers: processes; by default as ``run_suite`` takes them.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UnknownName, BadSuite: for a device that is not here, or no workers.
    """
    from runners.forecast import Speeds, forecast, job, past
    from runners.local import default_workers

    check_device(device)
    _check_counts({"--workers": workers})
    todo = [run.spec for run in (*plan.runs, *plan.waiting) if run.state in ("todo", "stale")]
    if not todo:  # neither records nor a tensor library are needed to know
        return forecast((), Speeds(), device, workers or 1)
    where, threads = resolve_device(device), max(spec.threads for spec in todo)
    kind, speeds = past(out, where, threads)
    number = workers or default_workers(threads, where, ranks=plan.agenda.expansion.suite.resources.ranks)
    return forecast(map(job, todo), speeds, kind, number)


def load_records(folders: Sequence[str | Path]) -> Loaded:
    """Return the runs in some folders, and what could not be read.

    Raises:
        MissingPrerequisite: if a folder is not there.
    """
    from leaderboard.load import load_records as load

    return load([Path(folder) for folder in folders])


def build_board(
    folders: Sequence[str | Path], out: str | Path, *, releases: str | Path | None = None, published: bool = False
) -> BoardSummary:
    """Write the board of the records in ``folders``; runs that today's code makes stale are marked.

    Args:
        folders: where records lie.
        out: the site's folder.
        releases: the folder of frozen releases, for the archive.
        published: whether the world will read it: records of a dirty checkout and carved data then do not rank.

    Raises:
        MissingPrerequisite: if a folder is not there.
        UnwritableFolder: if nothing can be written to ``out``.
    """
    from leaderboard.page import Asked
    from leaderboard.page import build_board as build

    make_folder(Path(out))
    asked = Asked(Path(releases) if releases is not None else None, published)
    return build([Path(folder) for folder in folders], Path(out), Freshness(), asked)


def release(folders: Sequence[str | Path], to: str | Path, name: str, day: date | None = None) -> Frozen:
    """Freeze the records in ``folders`` and their board as the release ``name`` below the folder ``to``.

    Args:
        folders: where records lie.
        to: the folder of all releases.
        name: such as ``2026.11``; never one that exists.
        day: its date; that of the newest record by default.

    Raises:
        NoData: if there is no record.
        UserError: if the name is taken or cannot be a folder's, or nothing can be written.
    """
    from leaderboard.releases import freeze

    return freeze([Path(folder) for folder in folders], Path(to), name, day, Freshness())


def paper(name: str, folders: Sequence[str | Path]) -> tuple[PaperReport, list[str]]:
    """Return what a paper reported beside what the records in some folders measured, and which of them are unreadable.

    Raises:
        UnknownName: for a paper of which nothing is known here.
        MissingPrerequisite: if a folder is not there.
    """
    from leaderboard.load import load_records
    from leaderboard.papers import report

    loaded = load_records([Path(folder) for folder in folders])
    stale = Freshness().stale(run.record for run in loaded.runs)
    return report(name, loaded.runs, stale), loaded.unreadable


def stale_runs(records: Iterable[Record]) -> dict[str, str]:
    """Return run id to reason for results whose code or cards are not today's."""
    return Freshness().stale(records)


def run_statuses(plan: Plan) -> dict[Status | str, int]:
    """Return the number of runs per status of their newest usable record; else ``none``, or ``stale``."""
    counts: dict[Status | str, int] = {}
    for run in plan.runs:
        status = "stale" if run.state == "stale" else run.record.status if run.record else "none"
        counts[status] = counts.get(status, 0) + 1
    return counts


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it is not there.

    Raises:
        UnwritableFolder: if that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFolder(folder, error) from error


def _check_counts(counts: Mapping[str, int | None]) -> None:
    for option, count in counts.items():
        if count is not None and count < 1:
            raise BadSuite(f"{option} is at least 1; {count} came")
