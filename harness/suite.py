"""A suite: a YAML file of backbones, methods, tasks and values, read and checked before anything else happens."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationError, field_validator, model_validator

from harness.errors import MissingPrerequisite, UnknownName, UserError
from harness.search_settings import SearchSettings
from harness.spec import Budget, Policy, Sizes, Training, Values

SHIPPED = Path(__file__).parent / "suites"
LONGEST_SHOWN = 80
"""Characters of a wrong value that a message repeats."""
WORDS = {"too_short": "is empty; name at least one", "tuple_type": "is no list; write one such as [0, 1]"}
"""Mistakes that pydantic words for Python and not for YAML."""
ALLOWED = "allowed are a count such as 5000, or a share of the backbone such as 0.1% (over 0, up to 100%)"
"""What ``parse_budget`` takes."""
LADDER: Literal["ladder"] = "ladder"
"""Asks for the shipped ladder of each backbone; see ``harness.ladder``."""


Budgets = Annotated[tuple[Budget | Literal["ladder"], ...], Field(min_length=1)]
"""Budgets one by one; ``ladder`` stands for those of each backbone's shipped ladder."""


def _below_home(value: tuple[str, ...]) -> tuple[str, ...]:
    # Specs are published, and equal on two machines: a path below the home folder does not name its owner.
    home = os.path.join(os.path.expanduser("~"), "")
    return tuple(f"path:~/{one[len('path:' + home) :]}" if one.startswith(f"path:{home}") else one for one in value)


References = Annotated[tuple[str, ...], AfterValidator(_below_home)]
"""Backbones by reference."""


class TaskEntry(Values):
    """One training task and what the trained model is scored on."""

    train: str
    score: tuple[str, ...] = Field(min_length=1)
    protocol: str | None = None
    """The protocol of this task, where it is not the suite's or the task's default."""
    backbones: References = ()
    """Those of the suite's backbones that meet this task; all where it is empty."""


class MethodEntry(Values):
    """One method with its values and the ladder of budgets it is asked for."""

    name: str
    values: dict[str, JsonValue] = Field(default_factory=dict)
    budgets: Budgets | None = None


class When(Values):
    """Which runs an override is for: all that match every key given."""

    backbone: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    budget: tuple[Budget, ...] = ()
    values: dict[str, JsonValue] = Field(default_factory=dict)
    """Values of the method, as the suite gives them; those not named here are of no matter."""

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
            and all(name in method.values and method.values[name] == value for name, value in self.values.items())
        )


class Override(Values):
    """Values that differ for some runs; later overrides win."""

    when: When
    values: dict[str, JsonValue] = Field(default_factory=dict)
    """Of the method, beside those that the suite gives it."""
    targets: str | tuple[str, ...] | None = None
    """What the method may touch; a ladder stays that of the suite's own targets."""
    policy: Policy | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)
    training: dict[str, JsonValue] = Field(default_factory=dict)
    sizes: dict[str, JsonValue] = Field(default_factory=dict)
    search: dict[str, JsonValue] = Field(default_factory=dict)


class Resources(Values):
    """What each worker is given; of these, one machine shares its own cores and devices among its workers."""

    cpus: float | None = Field(default=None, gt=0)
    """Cores; the suite's ``threads`` where it is null."""
    gpus: float = Field(default=0, ge=0)
    """Devices; a half lets two workers share one."""
    accelerator: str | None = None
    """The kind of device, in the cluster's own words, such as A100 or H100."""
    ranks: int = Field(default=1, ge=1)
    """Processes that train one run together, each on its share of every batch and on a device of its own."""
    sharded: bool = False
    """Whether each rank holds a share of the backbone only, for one that does not fit a device."""
    memory_gb: float | None = Field(default=None, gt=0)
    minutes: int | None = Field(default=None, gt=0)
    """How long a worker may hold its place, where the cluster wants to know (slurm)."""
    partition: str | None = None
    """Where it waits for one (slurm)."""

    @model_validator(mode="after")
    def _divided(self) -> Resources:
        if self.sharded and self.ranks == 1:
            raise ValueError("sharded divides a backbone among several ranks; set ranks to 2 or more, or leave it out")
        return self


class Suite(Values):
    """The whole file; a suite states differences from the defaults only."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    description: str = ""
    backbones: Annotated[References, Field(min_length=1)]
    methods: tuple[MethodEntry, ...] = Field(min_length=1)
    tasks: tuple[TaskEntry, ...] = Field(min_length=1)
    protocol: str | None = None
    """The protocol of every task; each task's own default where it is null."""
    options: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Protocol to values of its own, such as ``{prompt: {num_fewshot: 5}}``."""
    budget: Budgets | None = None
    """For every method that has a knob and is given no size of its own; the others run once."""
    targets: str | tuple[str, ...] = "linear"
    policy: Policy = "held_out"
    sizes: Sizes = Sizes()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)
    data_seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)
    training: Training = Training()
    search: SearchSettings | None = None
    """Null where every run has the values that the suite states."""
    overrides: tuple[Override, ...] = ()
    max_minutes: float | None = Field(default=None, gt=0, description="a run over this is stopped as timed_out")
    checkpoint_minutes: float | None = Field(
        default=10.0, gt=0, description="time between savepoints of a long run, from which it goes on if it is killed"
    )
    keep: Literal["none", "final", "all"] = "final"
    resources: Resources = Resources()

    @field_validator("methods", mode="before")
    @classmethod
    def _methods(cls, value: object) -> object:
        return [_method_entry(entry) for entry in value] if isinstance(value, list) else value

    @field_validator("budget", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return _budgets(value)

    @field_validator("tasks", mode="before")
    @classmethod
    def _tasks(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        return [{"train": entry, "score": [entry]} if isinstance(entry, str) else _task_entry(entry) for entry in value]


class BadSuite(UserError, ValueError):
    """A suite that cannot be used; the message says where and why."""


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
    try:
        if not path.is_file():
            raise UnknownName("suite", name_or_path, shipped(), "the shipped suites, and it is no file")
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a safe loader
    except OSError as error:
        raise BadSuite(f"the suite {name_or_path!r} cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSuite(f"{path.name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        came = "nothing" if content is None else f"a {type(content).__name__}"
        raise BadSuite(
            f"{path.name} holds {came}, but a suite is a mapping of keys to values (name, backbones, methods, tasks)"
        )
    content.setdefault("name", path.stem)
    for setting in settings:
        assign(content, setting)
    return parse(content, path.name)


def parse(content: Mapping[str, Any], where: str = "suite") -> Suite:  # Any: YAML as it came
    """Validate a suite's content.

    Raises:
        BadSuite: naming each wrong key (with the nearest known one) and value.
    """
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise BadSuite(f"{where}: {explain(error, Suite)}") from error
    if suite.search:
        _check_grid(suite.search, where, ("search",))
    for number, override in enumerate(suite.overrides):
        _check_search(suite, override, where, ("overrides", number, "search"))
        for name, defaults, changed in (
            ("training", suite.training, override.training),
            ("sizes", suite.sizes, override.sizes),
        ):
            try:
                type(defaults).model_validate(defaults.model_dump() | changed)
            except ValidationError as error:
                place = ("overrides", number, name)
                raise BadSuite(f"{where}: {explain(error, type(defaults), place)}") from error
    return suite


def _check_search(suite: Suite, override: Override, where: str, place: tuple[int | str, ...]) -> None:
    try:
        settings = (suite.search or SearchSettings()).changed(override.search)
    except ValidationError as error:
        raise BadSuite(f"{where}: {explain(error, SearchSettings, place)}") from error
    _check_grid(settings, where, place)


def _check_grid(settings: SearchSettings, where: str, place: tuple[int | str, ...]) -> None:
    for name in settings.grid.keys() & Training.model_fields.keys():
        for value in settings.grid[name]:
            try:
                Training.model_validate({name: value})
            except ValidationError as error:
                raise BadSuite(f"{where}: {explain(error, Training, (*place, 'grid'))}") from error


def parse_budget(value: object) -> Budget:
    """Parse ``0.1%``, ``5000`` or ``0.001``.

    Raises:
        BadSuite: if it is no such thing or out of range.
    """
    if isinstance(value, Budget):
        return value
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*%\s*", value) if isinstance(value, str) else None
    number = _number(match[1] if match else value)
    if number.is_nan():
        raise BadSuite(f"{value!r} is no budget; {ALLOWED}")
    try:
        if match:  # in decimal: 0.07% must be the very budget that 0.0007 is, and its run the same run
            return Budget(fraction=float(number / 100))
        whole = number >= 1 and number == int(number)
        return Budget(count=int(number)) if whole else Budget(fraction=float(number))
    except (ValueError, ArithmeticError) as error:
        raise BadSuite(f"budget {value!r} is out of range; {ALLOWED}") from error


def _number(value: object) -> Decimal:
    """Return a number as it is written; NaN for anything that is none."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return Decimal("nan")
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return Decimal("nan")


def _method_entry(entry: object) -> object:
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict) or "name" in entry:
        return entry
    ((name, values),) = entry.items() if len(entry) == 1 else ((None, None),)
    if not isinstance(name, str) or not isinstance(values, dict | None):
        raise ValueError(f"a method is a name, or one name with its values such as {{lora: {{rank: 8}}}}; {entry} came")
    values = dict(values or {})
    return {"name": name, "budgets": _budgets(values.pop("budget", None)), "values": values}


def _budgets(asked: object) -> object:
    several = asked if isinstance(asked, list) else [asked]
    return None if asked is None else [_rung(one) for one in several]


def _rung(asked: object) -> object:
    if asked == LADDER:
        return asked
    try:
        return parse_budget(asked)
    except BadSuite as error:
        raise BadSuite(f"{error}, or the word {LADDER}") from error


def _task_entry(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    score = entry.get("score", entry.get("train"))
    backbones = entry.get("backbones", [])
    return entry | {
        "score": [score] if isinstance(score, str) else score,
        "backbones": [backbones] if isinstance(backbones, str) else backbones,
    }


def assign(content: dict[str, Any], setting: str) -> None:  # Any: YAML as it came
    """Apply one ``KEY=VALUE`` with a dotted key to a mapping.

    Raises:
        BadSuite: for what is no such setting, or a key below a value that is no mapping.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise BadSuite(f"--set takes KEY=VALUE such as training.lr=1e-2; {setting!r} came")
    *parents, last = key.strip().split(".")
    place: Any = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise BadSuite(f"--set {key}: {parent!r} is not a mapping")
    try:
        place[last] = yaml.load(value, _Loader)  # a safe loader
    except yaml.YAMLError as error:
        raise BadSuite(f"--set {key}: {value!r} is not YAML; quote it, or write it as in a suite") from error


class _Loader(yaml.SafeLoader):
    """Plain YAML that refuses a key given twice, of which one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # Any: YAML as it came
        """Return the mapping of a node."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]!r} stands twice", node.start_mark)
        try:
            return super().construct_mapping(node, deep)
        except ValueError as error:  # such as a date that no calendar has
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def explain(error: ValidationError, model: type[BaseModel], place: tuple[int | str, ...] = ()) -> str:
    """Return what is wrong in one line: each place, what came, and the nearest known key for an unknown one.

    Args:
        error: what validation raised.
        model: the model that was validated.
        place: where in the whole file its content stands.
    """
    problems = error.errors()
    # A list whose entries are all wrong is short of right ones; only the entries are worth a word.
    inner = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    told = [problem for problem in problems if problem["type"] != "too_short" or problem["loc"] not in inner]
    return "; ".join(dict.fromkeys(_explain(problem, model, place) for problem in told))


def _explain(problem: Any, model: type[BaseModel], place: tuple[int | str, ...]) -> str:  # Any: pydantic's typed dict
    where, key = ".".join(map(str, (*place, *problem["loc"]))), str(problem["loc"][-1]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        known = _model_at(problem["loc"][:-1], model).model_fields
        return str(UnknownName("key", key, known, where.rpartition(".")[0]))
    if problem["type"] == "missing":
        return f"the key {where!r} is missing; add it"
    came = repr(problem["input"])
    message: str = WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    shown = came if len(came) <= LONGEST_SHOWN else f"{came[:LONGEST_SHOWN]}..."
    # Only our own words repeat what came; in pydantic's, an equal number is the limit.
    told = problem["type"] == "value_error" and re.search(rf"(?<![\w.]){re.escape(came)}(?!\w)", message)
    return (f"{where}: " if where else "") + message + ("" if told else f" ({shown} came)")


def _model_at(place: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    models: dict[str, type[BaseModel]] = {
        "training": Training,
        "sizes": Sizes,
        "resources": Resources,
        "methods": MethodEntry,
        "tasks": TaskEntry,
        "overrides": Override,
        "when": When,
        "budget": Budget,
        "search": SearchSettings,
    }
    named = [models[part] for part in place if isinstance(part, str) and part in models]
    return named[-1] if named else model


def suite_card(path: Path) -> dict[str, JsonValue]:
    """Return what ``list suites`` shows of a file.

    Raises:
        BadSuite: if it cannot be used.
    """
    suite = read(str(path))
    if not suite.description:
        raise MissingPrerequisite(f"the shipped suite {path.name} has no description; add one")
    return {"name": suite.name, "title": suite.description, "path": path.name, "suite": suite.model_dump(mode="json")}
