"""A spec: one fully resolved run, and the run id that names the question it asks."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

TARGETS = ("query_value", "attention", "mlp", "linear", "all", "none")


class Values(BaseModel):
    """A frozen group of values that refuses keys it does not know, and numbers that JSON cannot hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(Values):
    """What was asked for: a count of trained scalars outside the head, or a fraction of the backbone's N."""

    count: int | None = Field(default=None, ge=1)
    fraction: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_way(self) -> Budget:
        if (self.count is None) == (self.fraction is None):
            raise ValueError("a budget is either a count or a fraction")
        return self

    def scalars(self, total: int) -> int:
        """Return the largest whole number of scalars the budget allows on a backbone of ``total`` scalars."""
        # 0.1 % of 22 million must not lose a scalar to the binary form of 0.001.
        return self.count if self.count is not None else int(float(self.fraction or 0) * total + 1e-6)

    def __str__(self) -> str:
        return f"{self.count:,}" if self.count is not None else f"{100 * float(self.fraction or 0):.6g} %"


POLICIES = ("held_out", "as_published", "subsampled", "final_on_all")
"""Split policies; ``harness.splits`` says what each does."""
Policy = Literal["held_out", "as_published", "subsampled", "final_on_all"]


class Sizes(Values):
    """The largest number of rows used of each split; null takes all that the split policy gives."""

    train: int | None = Field(default=None, ge=1)
    validation: int | None = Field(default=None, ge=1)
    test: int | None = Field(default=None, ge=1)


class Training(Values):
    """How the trained part is optimised; every method goes through the same loop with these values."""

    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=16, ge=1, description="rows per optimiser step")
    accumulation: int = Field(default=1, ge=1, description="equal parts a batch is split into, to save memory")
    max_length: int = Field(default=128, ge=4, description="tokens a text is truncated to")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: float = Field(default=0.06, ge=0, lt=1, description="share of the steps")
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float | None = Field(
        default=1.0, gt=0, description="largest gradient norm; null leaves gradients as they are"
    )
    gradient_checkpointing: bool = False
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the frozen weights; auto is bfloat16 on a GPU and float32 elsewhere"
    )
    deterministic: bool = Field(default=False, description="deterministic GPU kernels (the CPU always is)")
    select: Literal["metric", "loss"] = Field(
        default="metric",
        description="what the best epoch is chosen by: the headline metric, or the validation loss",
    )


class Spec(Values):
    """One run, with nothing left to a default elsewhere."""

    backbone: str
    method: str
    values: dict[str, JsonValue] = Field(default_factory=dict, description="the method's own values, as asked")
    budget: Budget | None = None
    targets: str | tuple[str, ...] = "linear"
    train: str
    score: tuple[str, ...] = Field(min_length=1)
    protocol: str
    options: dict[str, JsonValue] = Field(default_factory=dict, description="the protocol's own values, as asked")
    policy: Policy = "held_out"
    sizes: Sizes = Sizes()
    training: Training = Training()
    seed: int = Field(default=0, ge=0)
    data_seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)
    purpose: Literal["trial", "final"] = "final"

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(targets, str) and targets not in TARGETS:
            raise ValueError(
                f"unknown targets {targets!r}; allowed are {', '.join(TARGETS)}, or a list of patterns of module names"
            )
        if not targets:
            raise ValueError("targets is an empty list; name at least one pattern of module names")
        return targets

    @property
    def run_id(self) -> str:
        """Return the content hash of this spec: 16 hexadecimal digits that name the question, not the answer."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:16]

    def canonical(self) -> str:
        """Return the one JSON text of this spec: sorted keys, no spaces.

        What was added to specs later is left out where it has its default, so that older run ids stay what they are.
        """
        content = self.model_dump(mode="json")
        if not content["options"]:
            del content["options"]
        if content["training"]["select"] == "metric":
            del content["training"]["select"]
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def cell(self) -> dict[str, Any]:  # Any: the JSON form of the fields named here
        """Return what the runs of one cell have in common: everything but seed and purpose."""
        return self.model_dump(mode="json", exclude={"seed", "purpose"})
