"""A search: the trials that try values of a method on validation rows, and the finals that take the best of them.

Where values come from the ranges of the cards, trial i has the same quantile of every method's range: no method is
luckier than another. The points are those of a SciPy sequence, moved by one seeded step for each value, so that more
trials are the same trials and some new ones.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from harness import registry
from harness.errors import UnknownName
from harness.random import uniforms
from harness.spec import Spec, Training
from harness.suite import TUNABLE, BadSuite, SearchSettings

DIGITS = 3
"""Significant digits of a value drawn from a range: what differs by less makes no other run."""
CUT = 4
"""Successive halving: the first round has this part of the epochs, and this part of its trials goes on."""

Candidate = dict[str, JsonValue]
"""Value name to what one trial tries."""


@dataclass(frozen=True)
class Search:
    """What one search tries, where, and which finals take its winner."""

    settings: SearchSettings
    candidates: tuple[Candidate, ...]
    rungs: tuple[Spec, ...]
    """One trial for each budget, with the suite's values; it runs at the first of these that the method can meet."""
    finals: tuple[Spec, ...]
    """With the suite's values; what the search chooses comes in their place."""
    unequal: str = ""
    """What differs from the searches of other methods on the same task; empty where none has more than another."""

    def rounds(self, rung: Spec) -> tuple[int | None, ...]:
        """Return the epochs of each round of trials; null where they have those of the suite or the grid."""
        whole = rung.training.epochs
        return (math.ceil(whole / CUT), whole) if self.settings.halving else (None,)

    def survivors(self, number: int) -> int:
        """Return how many trials a round has."""
        return len(self.candidates) if number == 0 else math.ceil(len(self.candidates) / CUT)

    @property
    def num_trials(self) -> int:
        """The trials of all rounds."""
        return sum(self.survivors(number) for number, _ in enumerate(self.rounds(self.rungs[0])))

    @property
    def num_epochs(self) -> int:
        """The epochs of all trials together."""
        rounds = enumerate(self.rounds(self.rungs[0]))
        if self.settings.halving:
            return sum(self.survivors(number) * (epochs or 0) for number, epochs in rounds)
        return sum(given(self.rungs[0], candidate).training.epochs for candidate in self.candidates)

    @property
    def id(self) -> str:
        """What names this search: a digest of all that it tries, and of how it chooses."""
        content = [[rung.run_id for rung in self.rungs], self.candidates, self.settings.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def trial(self, rung: Spec, candidate: Candidate, epochs: int | None) -> Spec:
        """Return one trial, at a rung and in a round."""
        return given(rung, candidate if epochs is None else candidate | {"epochs": epochs})


def given(spec: Spec, values: Mapping[str, JsonValue]) -> Spec:
    """Return a spec with other values: those of training by name, the others are the method's own."""
    training = {name: value for name, value in values.items() if name in Training.model_fields}
    own = {name: value for name, value in values.items() if name not in training}
    changed = Training.model_validate(spec.training.model_dump() | training)
    return spec.model_copy(update={"training": changed, "values": spec.values | own})


def searches(asked: Iterable[tuple[Spec, SearchSettings | None]], first_seed: int) -> tuple[Search, ...]:
    """Return the searches of a suite's finals, in their order.

    Args:
        asked: every final with the suite's values, and the settings of the search that it waits for, if any.
        first_seed: the seed of trials.

    Raises:
        UnknownName, BadSuite: for what cannot be searched, by name.
    """
    groups: dict[str, list[tuple[Spec, SearchSettings]]] = {}
    alone: list[Spec] = []
    for spec, settings in asked:
        if settings is None:
            alone.append(spec)
        else:
            groups.setdefault(_key(spec, settings), []).append((spec, settings))
    tunable = _tunable(spec.method for group in groups.values() for spec, _ in group)
    found = []
    for group in groups.values():
        tried = candidates(group[0][0], group[0][1], tunable)
        specs = tuple(spec for spec, _ in group)
        if tried:
            found.append(Search(group[0][1], tried, _rungs(specs, first_seed), specs))
            _check_halving(found[-1])
    return _compared(found, alone)


def candidates(spec: Spec, settings: SearchSettings, tunable: Iterable[str] = ()) -> tuple[Candidate, ...]:
    """Return what each trial of a search tries; nothing for a method that has nothing to tune.

    Args:
        spec: a final of the search.
        settings: how it searches.
        tunable: every value that some method of the suite has a range for.

    Raises:
        UnknownName, BadSuite: for a name that nothing has a range for, or that is given a value already.
    """
    card, ranges = registry.find("method", spec.method).card, _ranges(spec.method)
    if not ranges:
        return ()
    names = tuple(settings.grid) or _ranged(spec.method, settings, ranges, tunable)
    for name in names:
        if name in spec.values or (spec.budget is not None and name == card.get("budget")):
            by = f"its budget, which sets {name}," if name not in spec.values else f"{name} = {spec.values[name]}"
            raise BadSuite(f"method {spec.method!r} is given {by} and a search over {name}; give one of the two")
    if settings.grid:
        tried = [[_plain(name, value) for value in values] for name, values in settings.grid.items()]
        for name, values in zip(names, tried, strict=True):
            if len({json.dumps(value) for value in values}) < len(values):
                raise BadSuite(f"search.grid.{name} names a value twice ({values} came)")
        return tuple(dict(zip(names, combination, strict=True)) for combination in itertools.product(*tried))
    drawn = quantiles(settings) if names else []
    return tuple({name: _between(name, ranges[name], row[name]) for name in names} for row in drawn)


def quantiles(settings: SearchSettings) -> list[dict[str, float]]:
    """Return for each trial the quantile of each searched value, in [0, 1): the same for every method."""
    from scipy.stats import qmc  # takes most of a second, for which a suite without a search need not wait

    count, size = settings.trials, len(settings.over)
    if settings.sampler == "sobol":  # a whole power of two, of which the first are taken
        points = qmc.Sobol(size, scramble=False).random_base2((count - 1).bit_length())[:count]
    else:
        points = qmc.Halton(size, scramble=False).random(count)
    # SciPy's own scrambling may change with its version; the plain sequences are mathematics, and the step is ours.
    steps = [float(uniforms(1, seed=settings.seed, purpose="search", name=name)[0]) for name in settings.over]
    return [
        {name: (float(point) + step) % 1.0 for name, point, step in zip(settings.over, row, steps, strict=True)}
        for row in points
    ]


def _check_halving(search: Search) -> None:
    for rung in search.rungs if search.settings.halving else ():
        if rung.training.epochs == 1:
            raise BadSuite(
                f"search.halving: {rung.method} on {rung.train} trains 1 epoch, of which nothing can be cut; "
                f"raise training.epochs, or leave halving out"
            )


def _ranged(
    method: str, settings: SearchSettings, ranges: Mapping[str, object], tunable: Iterable[str]
) -> tuple[str, ...]:
    """Return those of the searched values that a method has."""
    for name in settings.over:
        if name in ranges:
            continue
        if name not in tunable:
            raise UnknownName("value", name, {*tunable, *ranges}, "search.over; or try values of it by search.grid")
        if name in Training.model_fields:
            raise BadSuite(
                f"search.over: the card of method {method!r} states no range for {name}, only for "
                f"{', '.join(ranges)}; leave {name} out, or give the method a grid in overrides"
            )
    return tuple(name for name in settings.over if name in ranges)


def _tunable(methods: Iterable[str]) -> set[str]:
    return {name for method in dict.fromkeys(methods) for name in _ranges(method)}


def _ranges(method: str) -> Mapping[str, Any]:  # Any: JSON of a literal, which the architecture's test checks
    """Return the ranges that a method's card states; none for a method that has nothing to tune."""
    tuned: Any = registry.find("method", method).card.get("tuned")
    return dict(tuned or {})


def _plain(name: str, value: JsonValue) -> JsonValue:
    """Return a value as a spec holds it: YAML reads 1e-3 as a text."""
    if name not in Training.model_fields:
        return value
    plain: JsonValue = Training.model_validate({name: value}).model_dump(mode="json")[name]
    return plain


def _between(name: str, ends: Sequence[float], quantile: float) -> JsonValue:
    """Return the value at a quantile of a log-uniform range; a whole number where the range is one of such."""
    low, high = ends
    value = low * (high / low) ** quantile
    whole = isinstance(Training.model_fields[name].default if name in Training.model_fields else low, int)
    return round(value) if whole else min(max(float(f"{value:.{DIGITS}g}"), low), high)


def _key(spec: Spec, settings: SearchSettings) -> str:
    left_out = {"seed", "purpose"} | ({"budget", "training"} if settings.share == "task" else set())
    return json.dumps([spec.model_dump(mode="json", exclude=left_out), settings.model_dump(mode="json")])


def _rungs(finals: Sequence[Spec], seed: int) -> tuple[Spec, ...]:
    """Return one trial for each budget, the middle budget first, then those next to it, the smaller before."""
    by_budget = {str(spec.budget): spec for spec in finals if spec.seed == seed}
    ascending = sorted(by_budget.values(), key=_size)
    middle = (len(ascending) - 1) // 2
    order = sorted(range(len(ascending)), key=lambda place: (abs(place - middle), place))
    return tuple(ascending[place].model_copy(update={"purpose": "trial"}) for place in order)


def _size(spec: Spec) -> tuple[bool, float]:
    if spec.budget is None:
        return False, 0.0
    return spec.budget.count is not None, float(spec.budget.count or spec.budget.fraction or 0)


def _compared(found: Sequence[Search], alone: Sequence[Spec]) -> tuple[Search, ...]:
    """Return the searches, each with what it has more or less of than those it will be compared with."""
    spent: dict[str, set[tuple[int, int]]] = {}
    for search in found:
        spent.setdefault(_ground(search.finals[0]), set()).add((search.num_trials, search.num_epochs))
    for spec in alone:
        if _ranges(spec.method):
            spent.setdefault(_ground(spec), set()).add((0, 0))
    return tuple(replace(search, unequal=_unequal(search, spent[_ground(search.finals[0])])) for search in found)


def _ground(spec: Spec) -> str:
    return json.dumps([spec.backbone, spec.train, spec.protocol])


def _unequal(search: Search, spent: set[tuple[int, int]]) -> str:
    if len(spent) == 1:
        return ""
    spans = (f"{min(values)} to {max(values)}" for values in zip(*spent, strict=True))
    trials, epochs = spans
    return (
        f"unequal search: {search.num_trials} trials of {search.num_epochs} epochs in all, where the methods on this "
        f"task have {trials} trials of {epochs} epochs"
    )


def kept(found: Iterable[Search], finals: Iterable[Spec]) -> Iterator[Search]:
    """Yield the searches that some finals wait for, each with those alone."""
    wanted = {spec.run_id for spec in finals}
    for search in found:
        if left := tuple(spec for spec in search.finals if spec.run_id in wanted):
            yield replace(search, finals=left)


def check_grids(found: Iterable[Search]) -> None:
    """Find out whether methods know the values that grids name beside those of training; this imports the methods.

    Raises:
        UnknownName: naming the method, and what can be tried.
    """
    for search in found:
        method = search.rungs[0].method
        own = search.candidates[0].keys() - Training.model_fields.keys()
        known = registry.load_method(method).Config.model_fields if own else {}
        for name in sorted(own - known.keys()):
            raise UnknownName("value", name, {*TUNABLE, *known}, f"the search of method {method!r}")
