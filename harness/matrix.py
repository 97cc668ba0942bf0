"""The matrix: the specs that a suite expands to, and the filter that picks some of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from pydantic import ValidationError

from harness import registry
from harness.errors import UnknownName
from harness.ladder import ladder
from harness.protocol import names as protocols
from harness.record import run_id
from harness.search import Search, kept, searches
from harness.search_settings import SearchSettings
from harness.spec import TARGETS, Budget, Sizes, Spec, Training
from harness.suite import BadSuite, MethodEntry, Suite, TaskEntry, explain, parse_budget

FILTERS = ("backbone", "method", "task", "budget", "seed")


class Filter(NamedTuple):
    """One ``key=value`` of ``--only``."""

    key: str
    value: str


@dataclass(frozen=True)
class Expansion:
    """The finals of a suite, in the order they are run, and the searches that some of them wait for."""

    suite: Suite
    specs: tuple[Spec, ...]
    """With the suite's values, which a search replaces."""
    searches: tuple[Search, ...] = ()

    def waiting(self) -> set[str]:
        """Return the run ids, by the suite's values, of the finals that wait for a search."""
        return {run_id(spec) for search in self.searches for spec in search.finals}

    def first(self) -> tuple[Spec, ...]:
        """Return what waits for nothing: finals without a search, and the first trials of every search."""
        waiting = self.waiting()
        trials = [
            search.trial(search.rungs[0], candidate, search.rounds(search.rungs[0])[0])
            for search in self.searches
            for candidate in search.candidates
        ]
        return (*(spec for spec in self.specs if not waiting or run_id(spec) not in waiting), *trials)


def expand(suite: Suite, only: Sequence[Filter] = ()) -> Expansion:
    """Return the specs of a suite: backbone, then task, then method, then budget, then seed.

    Raises:
        UnknownName: for a method, task or protocol that nothing has.
        BadSuite: if a value makes no sense, or nothing is left to run.
    """
    suite = suite.model_copy(update={"tasks": tuple(_spelled_out(suite, task) for task in suite.tasks)})
    _check_names(suite, only)
    try:
        asked = {run_id(spec): (spec, settings) for spec, settings in _specs(suite)}
        # A filter changes what is run, and never what a search tries: that is made from the whole suite.
        found = searches(asked.values(), suite.seeds[0])
        specs = tuple(spec for spec, _ in asked.values() if passes(spec, only))
    except ValidationError as error:
        raise BadSuite(f"{suite.name}: {explain(error, Spec)}") from error
    if not specs:
        chosen = ", ".join(f"{key}={value}" for key, value in only)
        raise BadSuite(
            f"{suite.name}: nothing is left to run{f' with --only {chosen}' if chosen else ''}; widen the filter"
        )
    return Expansion(suite, specs, tuple(kept(found, specs)))


def parse_only(text: str | None) -> tuple[Filter, ...]:
    """Parse ``method=a,method=b,seed=0``: equal keys are alternatives, different keys must all hold.

    Raises:
        BadSuite: for a part that is no ``key=value`` with a known key.
    """
    filters = []
    for part in text.split(",") if text else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in FILTERS:
            raise BadSuite(
                f"--only takes KEY=VALUE with a key of {', '.join(FILTERS)}, separated by commas; {part!r} came"
            )
        filters.append(Filter(key, value))
    return tuple(filters)


def check_values(specs: Iterable[Spec]) -> None:
    """Find out whether methods know the values they are asked for; this imports the methods.

    Raises:
        BadSuite: naming the method, what came, and the nearest known value.
    """
    for method, values in {(spec.method, repr(spec.values)): (spec.method, spec.values) for spec in specs}.values():
        config = registry.load_method(method).Config
        try:
            config.model_validate(values)
        except ValidationError as error:
            raise BadSuite(f"method {method!r}: {explain(error, config)}") from error


def _spelled_out(suite: Suite, task: TaskEntry) -> TaskEntry:
    """Return a task with the names that a pattern such as ``mmlu/*`` stands for among those that it is scored on.

    These are tasks that are only scored; what takes its rows from among another's (``where``) is named in full.
    """
    names: list[str] = []
    for asked in task.score:
        found = [asked]
        if "*" in asked:
            cards = {name: entry.card for name, entry in registry.tasks().items() if fnmatchcase(name, asked)}
            only_scored = {name: card["source"] for name, card in cards.items() if card.get("score_only_with")}
            found = [name for name, source in only_scored.items() if isinstance(source, dict) and "where" not in source]
        if not found:
            raise BadSuite(f"{suite.name}: no task that is only scored is called {asked!r}; see `paretune list tasks`")
        names += found
    return task.model_copy(update={"score": tuple(dict.fromkeys(names))})


def _specs(suite: Suite) -> Iterator[tuple[Spec, SearchSettings | None]]:
    for backbone in suite.backbones:
        for task in suite.tasks:
            if task.backbones and backbone not in task.backbones:
                continue
            for method in suite.methods:
                for budget in _budgets(suite, backbone, method):
                    for seed in suite.seeds:
                        yield _spec(suite, backbone, task, method, budget, seed)


def _budgets(suite: Suite, backbone: str, method: MethodEntry) -> tuple[Budget | None, ...]:
    knob = registry.find("method", method.name).card.get("budget")
    asked = method.budgets or (suite.budget if knob and knob not in method.values else None) or ()
    rungs = [ladder(backbone, suite.targets) if isinstance(one, str) else (one,) for one in asked]
    return tuple(itertools.chain(*rungs)) or (None,)


def _spec(
    suite: Suite, backbone: str, task: TaskEntry, method: MethodEntry, budget: Budget | None, seed: int
) -> tuple[Spec, SearchSettings | None]:
    """Return a final with the suite's values, and the search that will replace some of them."""
    search, training, sizes = suite.search, suite.training.model_dump(), suite.sizes.model_dump()
    protocol = task.protocol or suite.protocol or registry.load_task(task.train).card.protocols[0]
    options, values = dict(suite.options.get(protocol, {})), dict(method.values)
    targets, policy = suite.targets, suite.policy
    for override in suite.overrides:
        if override.when.matches(backbone, method, task, budget):
            training |= override.training
            sizes |= override.sizes
            options |= override.options
            values |= override.values
            targets, policy = override.targets or targets, override.policy or policy
            if override.search:
                search = (search or SearchSettings()).changed(override.search)
    pinned, knob = (registry.find("method", method.name).card.get(key) for key in ("targets", "budget"))
    if budget and knob in values:
        raise BadSuite(f"{suite.name}: {method.name!r} has a budget, which sets {knob}; give one of the two")
    spec = Spec(
        backbone=backbone,
        method=method.name,
        values=values,
        budget=budget,
        targets=str(pinned) if pinned else targets,
        train=task.train,
        score=task.score,
        protocol=protocol,
        options=options,
        policy=policy,
        sizes=Sizes.model_validate(sizes),
        training=Training.model_validate(training),
        seed=seed,
        data_seed=suite.data_seed,
        threads=suite.threads,
    )
    return spec, search


def _check_names(suite: Suite, only: Sequence[Filter]) -> None:
    for method in suite.methods:
        _check_method(suite, method)
    for task in suite.tasks:
        _check_task(suite, task)
        for name in task.backbones:
            if name not in suite.backbones:
                raise UnknownName("backbone", name, suite.backbones, f"{suite.name}, tasks, {task.train}")
    if isinstance(suite.targets, str) and suite.targets not in TARGETS:
        raise UnknownName(
            "targets", suite.targets, TARGETS, f"{suite.name}; or give a list of patterns of module names"
        )
    for override in suite.overrides:  # one for a run that this suite does not have is no mistake, a typing error is
        for name in override.when.method:
            registry.find("method", name, f"{suite.name}, overrides")
        for name in override.when.task:
            registry.find("task", name, f"{suite.name}, overrides")
    known = {
        "method": [method.name for method in suite.methods],
        "task": [task.train for task in suite.tasks],
        "backbone": list(suite.backbones),
        "seed": [str(seed) for seed in suite.seeds],
    }
    for name in suite.options:
        if name not in protocols():
            raise UnknownName("protocol", name, protocols(), f"{suite.name}, options")
    _check_options(suite)
    for key, value in only:
        if key in known and value not in known[key]:
            raise UnknownName(key, value, known[key], f"suite {suite.name}")


def _check_options(suite: Suite) -> None:
    """Refuse options of a protocol that no task of the suite is met through: they would change nothing."""
    cards = {
        task.train: registry.load_task(registry.find("task", task.train, suite.name).name).card for task in suite.tasks
    }
    used = {task.protocol or suite.protocol or cards[task.train].protocols[0] for task in suite.tasks}
    unused = sorted(suite.options.keys() - used)
    if unused:
        raise BadSuite(
            f"{suite.name}: options of {unused[0]} change nothing here: its tasks are met through "
            f"{' and '.join(sorted(used))}; leave these options out, or choose protocol: {unused[0]}"
        )


def _check_method(suite: Suite, method: MethodEntry) -> None:
    knob = registry.find("method", method.name, suite.name).card.get("budget")
    if method.budgets and not knob:
        raise BadSuite(f"{suite.name}: method {method.name!r} has one size and takes no budget; leave budget out")
    if method.budgets and knob in method.values:
        raise BadSuite(f"{suite.name}: {method.name!r} has a budget, which sets {knob}; give one of the two")


def _check_task(suite: Suite, task: TaskEntry) -> None:
    trained, *scored = (
        registry.load_task(registry.find("task", name, suite.name).name).card for name in (task.train, *task.score)
    )
    if trained.score_only_with:
        raise BadSuite(
            f"{suite.name}: {task.train} has no training split; "
            f"write {{train: {trained.score_only_with}, score: [{task.train}]}}"
        )
    for card in scored:
        if card.source.hub and "evaluation" not in card.source.splits:
            raise BadSuite(
                f"{suite.name}: {card.name} has no split to be scored on; "
                f"write {{train: {task.train}, score: [...]}} with the tasks that the trained model is scored on"
            )
    protocol = task.protocol or suite.protocol or trained.protocols[0]
    for card in (trained, *scored):
        if protocol not in card.protocols:
            raise UnknownName("protocol", protocol, card.protocols, card.name)
        if card.hidden_labels:
            raise BadSuite(
                f"{suite.name}: {card.name} cannot be scored here: {card.hidden_labels}; leave it out of score"
            )
        if (card.labels, card.label_range) != (trained.labels, trained.label_range):
            raise BadSuite(
                f"{suite.name}: a model trained on {task.train} cannot be scored on {card.name}: their labels differ"
            )


def passes(spec: Spec, only: Sequence[Filter]) -> bool:
    """Return whether a spec is among those that a filter picks."""
    wanted: dict[str, list[str]] = {}
    for key, value in only:
        wanted.setdefault(key, []).append(value)
    budgets = [parse_budget(value) for value in wanted.pop("budget", [])]
    facts = {"method": spec.method, "task": spec.train, "backbone": spec.backbone, "seed": str(spec.seed)}
    return all(facts[key] in values for key, values in wanted.items()) and (not budgets or spec.budget in budgets)
