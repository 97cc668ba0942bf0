"""A broken promise is found, by exactly the check that is meant for it, in methods of a third party."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch

from runners.check import check_method
from runners.promises import PROMISES
from tests.runners.promise_breakers import FAULTS, breakers


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with breakers(tmp_path_factory.mktemp("plugins")):
        yield


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_the_promise_that_it_breaks_and_no_other(name: str) -> None:
    _, expected, words = FAULTS[name]
    findings = check_method(name)
    broken = [one for one in findings if one.outcome == "broken"]
    assert {one.promise for one in broken} == expected, broken
    assert [one.promise for one in findings] == ["card", *PROMISES], "every promise is checked, whatever breaks"
    assert not broken or any(re.search(words, one.detail) for one in broken), broken


def test_every_promise_is_broken_by_some_fault() -> None:
    assert set.union(*(broken for _, broken, _ in FAULTS.values())) == PROMISES.keys()
    assert len(FAULTS) >= 25


def test_a_sound_method_keeps_its_promises_in_bf16_as_well() -> None:
    findings = check_method("sound", dtype=torch.bfloat16)
    assert [one for one in findings if one.outcome == "broken"] == []
