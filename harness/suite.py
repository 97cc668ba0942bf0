"""A suite: a YAML file of backbones, methods, tasks and values that expands to specs, the same ones every time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, Field, JsonValue, ValidationError, field_validator

from harness import registry
from harness.errors import MissingPrerequisite, UnknownName
from harness.spec import TARGETS, Budget, Sizes, Spec, Training, Values

SHIPPED = Path(__file__).parent / "suites"
FILTERS = ("backbone", "method", "task", "budget", "seed")


class TaskEntry(Values):
    """One training task and what the trained model is scored on."""

    train: str
    score: tuple[str, ...] = Field(min_length=1)


class MethodEntry(Values):
    """One method with its values and the ladder of budgets it is asked for."""

    name: str
    values: dict[str, JsonValue] = Field(default_factory=dict)
    budgets: tuple[Budget | None, ...] = (None,)


class When(Values):
    """Which runs an override is for: all that match every key given."""

    backbone: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    budget: tuple[Budget, ...] = ()

    @field_validator("backbone", "method", "task", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("budget", mode="before")
    @classmethod
    def _budgets(cls, value: object) -> object:
        return tuple(map(parse_budget, value if isinstance(value, list) else [value]))

    def matches(self, backbone: str, method: MethodEntry, task: TaskEntry, budget: Budget | None) -> bool:
        """Return whether a run is meant."""
        return (
            (not self.backbone or backbone in self.backbone)
            and (not self.method or method.name in self.method)
            and (not self.task or task.train in self.task)
            and (not self.budget or budget in self.budget)
        )


class Override(Values):
    """Values that differ for some runs; later overrides win."""

    when: When
    training: dict[str, JsonValue] = Field(default_factory=dict)
    sizes: dict[str, JsonValue] = Field(default_factory=dict)


class Suite(Values):
    """The whole file; a suite states differences from the defaults only."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    description: str = ""
    backbones: tuple[str, ...] = Field(min_length=1)
    methods: tuple[MethodEntry, ...] = Field(min_length=1)
    tasks: tuple[TaskEntry, ...] = Field(min_length=1)
    protocol: str | None = None
    targets: str | tuple[str, ...] = "linear"
    policy: Literal["held_out", "as_published"] = "held_out"
    sizes: Sizes = Sizes()
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    data_seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)
    training: Training = Training()
    overrides: tuple[Override, ...] = ()
    max_minutes: float | None = Field(default=None, gt=0, description="a run over this is stopped as timed_out")
    keep: Literal["none", "final", "all"] = "final"

    @field_validator("methods", mode="before")
    @classmethod
    def _methods(cls, value: object) -> object:
        return [_method_entry(entry) for entry in value] if isinstance(value, list) else value

    @field_validator("tasks", mode="before")
    @classmethod
    def _tasks(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        return [{"train": entry, "score": [entry]} if isinstance(entry, str) else _task_entry(entry) for entry in value]


class BadSuite(ValueError):
    """A suite that cannot be used; the message says where and why."""


class Filter(NamedTuple):
    """One ``key=value`` of ``--only``."""

    key: str
    value: str


@dataclass(frozen=True)
class Expansion:
    """The specs of a suite, in the order they are run."""

    suite: Suite
    specs: tuple[Spec, ...]


def shipped() -> dict[str, Path]:
    """Return the suites that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def read(name_or_path: str, settings: Sequence[str] = ()) -> Suite:
    """Read a shipped suite by name or any by path, with ``KEY=VALUE`` settings applied to its dotted keys.

    Raises:
        BadSuite: if it is not a mapping or holds a wrong key or value.
        UnknownName: if there is no such file and no such shipped suite.
    """
    path = Path(name_or_path)
    if not path.suffix and name_or_path in shipped():
        path = shipped()[name_or_path]
    if not path.is_file():
        raise UnknownName("suite", name_or_path, shipped(), "the shipped suites, and it is no file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSuite(f"{path.name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        came = "nothing" if content is None else f"a {type(content).__name__}"
        raise BadSuite(
            f"{path.name} holds {came}, but a suite is a mapping of keys to values (name, backbones, methods, tasks)"
        )
    content.setdefault("name", path.stem)
    for setting in settings:
        _set(content, setting)
    return parse(content, path.name)


def parse(content: Mapping[str, Any], where: str = "suite") -> Suite:  # Any: YAML as it came
    """Validate a suite's content.

    Raises:
        BadSuite: naming each wrong key (with the nearest known one) and value.
    """
    try:
        suite = Suite.model_validate(content)
        for override in suite.overrides:
            Training.model_validate(suite.training.model_dump() | override.training)
            Sizes.model_validate(suite.sizes.model_dump() | override.sizes)
    except ValidationError as error:
        raise BadSuite(f"{where}: " + "; ".join(_explain(problem) for problem in error.errors())) from error
    return suite


def expand(suite: Suite, only: Sequence[Filter] = ()) -> Expansion:
    """Return the specs of a suite: backbone, then task, then method, then budget, then seed.

    Raises:
        UnknownName: for a method, task or protocol that nothing has.
        BadSuite: if a value makes no sense, or nothing is left to run.
    """
    _check_names(suite, only)
    specs = tuple(spec for spec in _specs(suite) if _passes(spec, only))
    if not specs:
        chosen = ", ".join(f"{key}={value}" for key, value in only)
        raise BadSuite(
            f"{suite.name}: nothing is left to run{f' with --only {chosen}' if chosen else ''}; widen the filter"
        )
    return Expansion(suite, tuple({spec.run_id: spec for spec in specs}.values()))


def parse_only(text: str | None) -> tuple[Filter, ...]:
    """Parse ``method=a,method=b,seed=0``: equal keys are alternatives, different keys must all hold.

    Raises:
        BadSuite: for a part that is no ``key=value`` with a known key.
    """
    filters = []
    for part in filter(None, (text or "").split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in FILTERS:
            raise BadSuite(
                f"--only takes KEY=VALUE with a key of {', '.join(FILTERS)}, separated by commas; {part!r} came"
            )
        filters.append(Filter(key, value))
    return tuple(filters)


def parse_budget(value: object) -> Budget:
    """Parse ``0.1%``, ``5000`` or ``0.001``.

    Raises:
        ValueError: if it is no such thing or out of range.
    """
    allowed = "allowed are a count such as 5000, or a share of the backbone such as 0.1% (over 0, up to 100%)"
    if isinstance(value, Budget):
        return value
    try:
        if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9.eE+-]+)\s*%\s*", value)):
            return Budget(fraction=float(match[1]) / 100)
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
        return Budget(count=int(number)) if number >= 1 and number == int(number) else Budget(fraction=number)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"budget {value!r} is out of range; {allowed}") from error


def _method_entry(entry: object) -> object:
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict) or len(entry) != 1:
        return entry
    ((name, values),) = entry.items()
    if name in MethodEntry.model_fields or not isinstance(values, dict | None):
        return entry
    values = dict(values or {})
    asked = values.pop("budget", None)
    ladder = [None] if asked is None else [parse_budget(one) for one in (asked if isinstance(asked, list) else [asked])]
    return {"name": name, "values": values, "budgets": ladder}


def _task_entry(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    score = entry.get("score", entry.get("train"))
    return entry | {"score": [score] if isinstance(score, str) else score}


def _specs(suite: Suite) -> Iterator[Spec]:
    for backbone in suite.backbones:
        for task in suite.tasks:
            for method in suite.methods:
                for budget in method.budgets:
                    for seed in suite.seeds:
                        yield _spec(suite, backbone, task, method, budget, seed)


def _spec(suite: Suite, backbone: str, task: TaskEntry, method: MethodEntry, budget: Budget | None, seed: int) -> Spec:
    training, sizes = suite.training.model_dump(), suite.sizes.model_dump()
    for override in suite.overrides:
        if override.when.matches(backbone, method, task, budget):
            training |= override.training
            sizes |= override.sizes
    pinned = registry.find("method", method.name).card.get("targets")
    protocols = registry.load_task(task.train).card.protocols
    return Spec(
        backbone=backbone,
        method=method.name,
        values=method.values,
        budget=budget,
        targets=str(pinned) if pinned else suite.targets,
        train=task.train,
        score=task.score,
        protocol=suite.protocol or protocols[0],
        policy=suite.policy,
        sizes=Sizes.model_validate(sizes),
        training=Training.model_validate(training),
        seed=seed,
        data_seed=suite.data_seed,
        threads=suite.threads,
    )


def _check_names(suite: Suite, only: Sequence[Filter]) -> None:
    for method in suite.methods:
        card = registry.find("method", method.name, suite.name).card
        if any(method.budgets) and not card.get("budget"):
            raise BadSuite(f"{suite.name}: method {method.name!r} has one size and takes no budget; leave budget out")
    for task in suite.tasks:
        for name in (task.train, *task.score):
            card_of = registry.load_task(registry.find("task", name, suite.name).name).card
            if suite.protocol and suite.protocol not in card_of.protocols:
                raise UnknownName("protocol", suite.protocol, card_of.protocols, name)
        trained = registry.load_task(task.train).card
        if trained.score_only_with:
            raise BadSuite(
                f"{suite.name}: {task.train} has no training split; "
                f"write {{train: {trained.score_only_with}, score: [{task.train}]}}"
            )
        for name in task.score:
            card_of = registry.load_task(name).card
            if (card_of.labels, card_of.label_range) != (trained.labels, trained.label_range):
                raise BadSuite(
                    f"{suite.name}: a model trained on {task.train} cannot be scored on {name}: their labels differ"
                )
    if isinstance(suite.targets, str) and suite.targets not in TARGETS:
        raise UnknownName(
            "targets", suite.targets, TARGETS, f"{suite.name}; or give a list of patterns of module names"
        )
    known = {
        "method": [method.name for method in suite.methods],
        "task": [task.train for task in suite.tasks],
        "backbone": list(suite.backbones),
        "seed": [str(seed) for seed in suite.seeds],
    }
    for key, value in only:
        if key in known and value not in known[key]:
            raise UnknownName(key, value, known[key], f"suite {suite.name}")


def _passes(spec: Spec, only: Sequence[Filter]) -> bool:
    wanted: dict[str, list[str]] = {}
    for key, value in only:
        wanted.setdefault(key, []).append(value)
    budgets = [parse_budget(value) for value in wanted.pop("budget", [])]
    facts = {"method": spec.method, "task": spec.train, "backbone": spec.backbone, "seed": str(spec.seed)}
    return all(facts[key] in values for key, values in wanted.items()) and (not budgets or spec.budget in budgets)


def _set(content: dict[str, Any], setting: str) -> None:  # Any: YAML as it came
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise BadSuite(f"--set takes KEY=VALUE such as training.lr=1e-2; {setting!r} came")
    *parents, last = key.strip().split(".")
    place: Any = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise BadSuite(f"--set {key}: {parent!r} is not a mapping in this suite")
    place[last] = yaml.safe_load(value)


def _explain(problem: Any) -> str:  # Any: pydantic's own typed dict of an error
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        key, model = str(problem["loc"][-1]), _model_at(problem["loc"][:-1])
        return str(UnknownName("key", key, model.model_fields, ".".join(map(str, problem["loc"][:-1]))))
    return f"{place}: {problem['msg'].removeprefix('Value error, ')} ({problem['input']!r} came)"


def _model_at(place: tuple[int | str, ...]) -> type[BaseModel]:
    models: dict[str, type[BaseModel]] = {
        "training": Training,
        "sizes": Sizes,
        "methods": MethodEntry,
        "tasks": TaskEntry,
        "overrides": Override,
        "when": When,
    }
    named = [models[part] for part in place if isinstance(part, str) and part in models]
    return named[-1] if named else Suite


def suite_card(path: Path) -> dict[str, JsonValue]:
    """Return what ``list suites`` shows of a file.

    Raises:
        BadSuite: if it cannot be used.
    """
    suite = read(str(path))
    if not suite.description:
        raise MissingPrerequisite(f"the shipped suite {path.name} has no description; add one")
    return {"name": suite.name, "title": suite.description, "path": path.name, "suite": suite.model_dump(mode="json")}
