"""Candidates: the values that the trials of a search try.

Where they come from the ranges of the cards, trial i has the same quantile of every method's range: no method is
luckier than another. The points are those of a SciPy sequence, moved by one seeded step for each value, so that more
trials are the same trials and some new ones.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from harness import registry
from harness.errors import UnknownName
from harness.random import uniforms
from harness.search_settings import SearchSettings
from harness.spec import Spec, Training
from harness.suite import BadSuite

DIGITS = 3
"""Significant digits of a value drawn from a range: what differs by less makes no other run."""

Candidate = dict[str, JsonValue]
"""Value name to what one trial tries."""


def candidates(spec: Spec, settings: SearchSettings, tunable: Iterable[str] = ()) -> tuple[Candidate, ...]:
    """Return what each trial of a search tries; nothing for a method that has nothing to tune.

    Args:
        spec: a final of the search.
        settings: how it searches.
        tunable: every value that some method of the suite has a range for.

    Raises:
        UnknownName, BadSuite: for a name that nothing has a range for, or that is given a value already.
    """
    known, knob = ranges(spec.method), registry.find("method", spec.method).card.get("budget")
    if not known:
        return ()
    names = tuple(settings.grid) or _ranged(spec.method, settings, known, tunable)
    for name in names:
        if name in spec.values or (spec.budget is not None and name == knob):
            by = f"its budget, which sets {name}," if name not in spec.values else f"{name} = {spec.values[name]}"
            raise BadSuite(f"method {spec.method!r} is given {by} and a search over {name}; give one of the two")
    if settings.grid:
        tried = [[_plain(name, value) for value in values] for name, values in settings.grid.items()]
        for name, values in zip(names, tried, strict=True):
            if len({json.dumps(value) for value in values}) < len(values):
                raise BadSuite(f"search.grid.{name} names a value twice ({values} came)")
        return tuple(dict(zip(names, combination, strict=True)) for combination in itertools.product(*tried))
    drawn = quantiles(settings) if names else []
    return tuple({name: _between(name, known[name], row[name]) for name in names} for row in drawn)


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


def _ranged(
    method: str, settings: SearchSettings, known: Mapping[str, object], tunable: Iterable[str]
) -> tuple[str, ...]:
    """Return those of the searched values that a method has."""
    for name in settings.over:
        if name in known:
            continue
        if name not in tunable:
            raise UnknownName("value", name, {*tunable, *known}, "search.over; or try values of it by search.grid")
        if name in Training.model_fields:
            raise BadSuite(
                f"search.over: the card of method {method!r} states no range for {name}, only for "
                f"{', '.join(known)}; leave {name} out, or give the method a grid in overrides"
            )
    return tuple(name for name in settings.over if name in known)


def tunable(methods: Iterable[str]) -> set[str]:
    """Return every value that some of the methods have a range for."""
    return {name for method in dict.fromkeys(methods) for name in ranges(method)}


def ranges(method: str) -> Mapping[str, Any]:  # Any: JSON of a literal, which the architecture's test checks
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
