"""A search: the trials that try values of a method on validation rows, and the finals that take the best of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from harness import registry
from harness.candidates import Candidate, candidates, ranges, tunable
from harness.errors import UnknownName
from harness.record import run_id
from harness.search_settings import TUNABLE, SearchSettings
from harness.spec import Spec, Training
from harness.suite import BadSuite

CUT = 4
"""Successive halving: the first round has this part of the epochs, and this part of its trials goes on."""


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
        whole = self.rungs[0].training.epochs
        return sum(int(str(candidate.get("epochs", whole))) for candidate in self.candidates)

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
    known = tunable(spec.method for group in groups.values() for spec, _ in group)
    found = []
    for group in groups.values():
        tried = candidates(group[0][0], group[0][1], known)
        specs = tuple(spec for spec, _ in group)
        if tried:
            found.append(Search(group[0][1], tried, _rungs(specs, first_seed), specs))
            _check_halving(found[-1])
    return _compared(found, alone)


def _check_halving(search: Search) -> None:
    for rung in search.rungs if search.settings.halving else ():
        if rung.training.epochs == 1:
            raise BadSuite(
                f"search.halving: {rung.method} on {rung.train} trains 1 epoch, of which nothing can be cut; "
                f"raise training.epochs, or leave halving out"
            )


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
        if ranges(spec.method):
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
    wanted = {run_id(spec) for spec in finals}
    for search in found:
        if left := tuple(spec for spec in search.finals if run_id(spec) in wanted):
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
