"""What the tests of prompts share: a YAML of ours met by lm-eval's own task class, on rows that are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import yaml
from lm_eval.api.task import ConfigurableTask

from harness.registry import ROOT

PROMPTS = ROOT / "tasks" / "prompts"
NAMES = sorted(path.relative_to(PROMPTS).with_suffix("").as_posix() for path in PROMPTS.rglob("*.yaml"))


def config(name: str) -> dict[str, Any]:
    """Return a YAML of ours as it is read."""
    return dict(yaml.safe_load((PROMPTS / f"{name}.yaml").read_text(encoding="utf-8")))


def task(settings: dict[str, Any], rows: Sequence[dict[str, Any]]) -> ConfigurableTask:
    """Return lm-eval's task of a YAML whose every split is the given rows."""
    made = datasets.Dataset.from_list(list(rows))
    splits = {value for key, value in settings.items() if key.endswith("_split")}
    return ConfigurableTask(config={**settings, "custom_dataset": lambda **_: dict.fromkeys(splits, made)})


def requests(asked: ConfigurableTask, row: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the arguments of the requests that score a row."""
    made = asked.construct_requests(row, asked.fewshot_context(row, 0), metadata=("", 0, 1))
    return [one.args for one in (made if isinstance(made, list) else [made])]
