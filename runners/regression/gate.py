"""The gate: which groups there are, what each comes to now, and what that is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from pydantic import JsonValue

from harness import registry
from harness.errors import MissingPrerequisite, UnknownName, UserError
from harness.gate import Check, Outcome, Report
from runners.regression import counts, draws, identities, metrics, micro, pages, rows, schedules, training, values
from runners.regression.values import Found

TITLE = "regression"
MICRO = (micro.RUNS, micro.ITEMS, micro.LOSSES, micro.FLOORS)
Values = dict[str, JsonValue]


@dataclass(frozen=True)
class Group:
    """Values that must stay equal."""

    name: str
    about: str
    needs: tuple[str, ...]
    """Whose versions they hang on."""
    compute: Callable[[], Values]


@dataclass
class Gate:
    """One run of the gate."""

    folder: Path
    """Of the committed values."""
    build: pages.Build
    workers: int = 1
    only: Sequence[str] = ()
    """Beginnings of names of groups, such as ``exact`` or ``micro/losses``; all by default."""
    methods: Sequence[str] = ()
    """Methods whose short runs are made; all by default."""
    accepting: bool = False
    """Whether values are written as they are now."""
    say: Callable[[str], None] = lambda line: None
    notes: list[str] = field(default_factory=list)

    def run(self) -> Report:
        """Look at every chosen group and return what was found.

        Raises:
            UnknownName, UserError: for a group or a method that is not there, or what cannot be accepted.
        """
        self._check()
        checks = [check for group in self.groups() if self._chosen(group.name) for check in self._exact(group)]
        if any(map(self._chosen, MICRO)):
            checks += [check for check in self._micro() if self._chosen(check.group)]
        return Report(TITLE, tuple(checks), tuple(self.notes))

    def groups(self) -> tuple[Group, ...]:
        """Return the groups of values that must stay equal."""
        return (
            Group("exact/metrics", metrics.ABOUT, metrics.NEEDS, metrics.values),
            Group("exact/counts", counts.ABOUT, counts.OWN, partial(counts.values, False)),
            Group("exact/family_counts", counts.ABOUT, counts.FAMILY, partial(self._over_processes, True)),
            Group("exact/streams", draws.STREAMS_ABOUT, draws.STREAMS_NEEDS, draws.streams),
            Group("exact/draws", draws.ABOUT, draws.NEEDS, draws.values),
            Group("exact/rows", rows.ABOUT, rows.NEEDS, rows.values),
            Group("exact/schedules", schedules.ABOUT, schedules.NEEDS, schedules.values),
            Group("exact/run_ids", identities.ABOUT, identities.NEEDS, identities.values),
            Group("exact/schema", identities.SCHEMA_ABOUT, identities.SCHEMA_NEEDS, identities.schema),
            Group("exact/pages", pages.ABOUT, pages.NEEDS, partial(pages.values, self.folder, self.build)),
        )

    def _check(self) -> None:
        names = [*(group.name for group in self.groups()), *MICRO]
        for asked in self.only:
            if not any(_begins(name, asked) for name in names):
                raise UnknownName("group", asked, [*names, "exact", "micro"], "--only")
        for method in self.methods:
            registry.find("method", method)
        if self.methods and self.accepting:
            raise UserError("--accept writes whole files, and --method leaves most of them out; give one of the two")

    def _chosen(self, name: str) -> bool:
        return not self.only or any(_begins(name, asked) for asked in self.only)

    def _over_processes(self, family: bool) -> Values:
        if self.workers <= 1:
            return counts.values(family)
        with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")) as pool:
            return counts.values(family, pool.map)

    def _exact(self, group: Group) -> Iterator[Check]:
        self.say(group.name)
        try:
            now = group.compute()
        except MissingPrerequisite as error:
            yield Check(group.name, "values", Outcome.NO_DATA, str(error))
        except Exception as error:  # what is broken is the gate's to say, and the other groups are still to be seen
            yield Check(group.name, "values", Outcome.FAIL, f"cannot be computed: {type(error).__name__}: {error}")
        else:
            yield from self._held(Found(group.name, group.about, values.versions(group.needs), now))

    def _micro(self) -> Iterator[Check]:
        short = micro.short_specs(self.methods or registry.methods())
        floors = micro.floor_specs() if self._chosen(micro.FLOORS) and not self.methods else []
        self.say(f"micro: {len(short)} short runs and {len(floors)} longer ones")
        # The longer ones first, so that no process ends with one of them alone.
        runs = training.run([*floors, *short], self.workers)
        learned, runs = runs[: len(floors)], runs[len(floors) :]
        seconds = sum(ran.cpu_seconds for ran in (*learned, *runs))
        self.notes.append(f"micro-training: {len(learned) + len(runs)} runs, {seconds:.0f} CPU seconds")
        known = values.read(self.folder, micro.KNOWN)
        ended = list(micro.run_checks(runs, {} if isinstance(known, str) else known.values, date.today()))
        yield from ended
        sound = all(check.counted is Outcome.PASS for check in ended)
        for name, about, needs, now in (
            (micro.ITEMS, micro.ITEMS_ABOUT, micro.ITEMS_NEEDS, micro.items(runs)),
            (micro.LOSSES, micro.LOSSES_ABOUT, micro.LOSSES_NEEDS, micro.losses(runs)),
        ):
            if self._chosen(name):
                yield from self._held(Found(name, about, values.versions(needs), now), micro.TOLERANCE, sound)
        yield from micro.floor_checks(learned) if floors else ()

    def _held(self, found: Found, tolerance: float = values.ROUNDING, sound: bool = True) -> Iterator[Check]:
        """Yield what a group's values come to; written anew first where they are to be accepted."""
        if self.accepting and sound:
            lines = values.accept(found, self.folder)
            self.notes += [f"{found.name}: {line}" for line in lines or ["nothing changed"]]
        elif self.accepting:
            self.notes.append(f"{found.name}: not accepted, since some of its runs failed")
        checks = values.compare(found, self.folder, tolerance)
        yield from self._of_methods(checks) if self.methods and found.name in MICRO else checks

    def _of_methods(self, checks: Iterable[Check]) -> Iterator[Check]:
        """Yield the checks of the chosen methods alone: the others have values that nobody looked for."""
        for check in checks:
            method, comma, _ = check.name.partition(", ")
            if not comma or method in self.methods:
                yield check


def _begins(name: str, asked: str) -> bool:
    return name == asked or name.startswith(f"{asked}/")
