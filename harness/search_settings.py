"""What a suite says of a search: what is tried of which values, what chooses among it, and for which runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from harness.spec import Training, Values

TUNABLE = ("lr", "epochs", "batch_size", "max_length", "optimizer", "schedule", "warmup", "weight_decay", "clip")
"""Training values that a search may try; the others say how a run is computed or its epoch chosen."""
MOST_TRIALS = 100
"""Trials of one search: its bill lists each, and a record stays under 50 KB."""


class SearchSettings(Values):
    """How the values of a method are chosen: trials over the ranges of its card, or an explicit grid."""

    trials: int = Field(default=6, ge=1, le=MOST_TRIALS)
    over: tuple[str, ...] = Field(default=("lr",), min_length=1)
    """Training values, and values of methods, that the cards state ranges for."""
    grid: dict[str, Annotated[tuple[JsonValue, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Value to what is tried of it, each with each; in place of ``trials`` and ``over``."""
    select: Literal["validation", "loss"] = "validation"
    """Whether the validation metric of a trial's best epoch chooses, or its validation loss."""
    share: Literal["budget", "task"] = "budget"
    """One search for each budget of a method, or one for all, at the middle one that it can meet."""
    sampler: Literal["halton", "sobol"] = "halton"
    seed: int = Field(default=0, ge=0)
    halving: bool = False
    """Whether all trials first run a quarter of the epochs, and the best quarter of them all."""

    @field_validator("over", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("grid", mode="before")
    @classmethod
    def _lists(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: tried if isinstance(tried, list | tuple) else [tried] for name, tried in value.items()}

    @model_validator(mode="after")
    def _one_way(self) -> SearchSettings:
        if self.grid and {"trials", "over"} & self.model_fields_set:
            raise ValueError("a search has a grid, or trials over ranges; leave out the one or the other")
        names = tuple(self.grid) or self.over
        if len(set(names)) < len(names):
            raise ValueError(f"over names a value twice ({', '.join(names)} came)")
        for name in names:
            if name in Training.model_fields and name not in TUNABLE:
                raise ValueError(f"{name} cannot be searched; of the training values these can: {', '.join(TUNABLE)}")
        if math.prod(map(len, self.grid.values())) > MOST_TRIALS:
            raise ValueError(f"the grid has over {MOST_TRIALS} trials, the most that one search may have; try fewer")
        if self.halving and "epochs" in names:
            raise ValueError("halving sets the epochs of trials; leave epochs out of the search, or halving")
        return self

    def changed(self, changes: Mapping[str, JsonValue]) -> SearchSettings:
        """Return these settings with an override's changes; a grid replaces trials over ranges, and these a grid."""
        gone = {"trials", "over"} if "grid" in changes else {"grid"} if {"trials", "over"} & changes.keys() else set()
        return SearchSettings.model_validate({**self.model_dump(exclude_unset=True, exclude=gone), **changes})
