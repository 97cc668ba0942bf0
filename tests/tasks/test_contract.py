"""Every registered task keeps every promise of ``paretune check task``, through each of its protocols."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from harness import registry
from harness.data import DataSource
from runners.check_task import PROMISES, check_task

ONE_CODE = ("mmlu/",)
"""Families whose tasks differ by a name alone; three of them are checked, and all are scored elsewhere."""
FEW = 3


class Met(NamedTuple):
    """A task and one of its protocols."""

    task: str
    protocol: str


def _chosen(names: list[str]) -> list[str]:
    family = [name for name in names if name.startswith(ONE_CODE)]
    return [name for name in names if name not in family[FEW:]]


def _met(names: list[str]) -> list[Met]:
    return [Met(name, protocol) for name in _chosen(names) for protocol in registry.load_task(name).card.protocols]


GENERATED = _met([name for name in registry.tasks() if not registry.load_task(name).card.source.hub])
FETCHED = _met([name for name in registry.tasks() if registry.load_task(name).card.source.hub])


def _check(met: Met) -> None:
    source = DataSource.of()
    if source.reach(registry.load_task(met.task)) == "missing":
        pytest.skip("data: its rows are not in the mirror")
    findings = check_task(met.task, source, met.protocol)
    assert [found.promise for found in findings] == list(PROMISES)
    broken = [f"{found.promise}: {found.detail}" for found in findings if found.outcome == "broken"]
    assert not broken, broken


@pytest.mark.parametrize("met", GENERATED, ids=str)
def test_generated_tasks_keep_every_promise(met: Met) -> None:
    _check(met)


@pytest.mark.data
@pytest.mark.timeout(900)  # ReCoRD's passages have some twenty candidates each
@pytest.mark.parametrize("met", FETCHED, ids=str)
def test_tasks_of_the_mirror_keep_every_promise(met: Met) -> None:
    _check(met)


def test_there_is_a_generated_task_for_every_protocol() -> None:
    from harness.protocol import names

    assert {met.protocol for met in GENERATED} == set(names())
    assert len(GENERATED) >= 3
    assert len(FETCHED) >= 10
