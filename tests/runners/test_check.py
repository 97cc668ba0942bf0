"""Checking a method gives one finding per promise, whatever the method does, and leaves no trace in the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from harness.errors import UnknownName
from runners.check import PROMISES, Finding, check_method
from tests.runners.promise_breakers import breakers


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with breakers(tmp_path_factory.mktemp("plugins")):
        yield


def outcomes(findings: tuple[Finding, ...], outcome: str) -> set[str]:
    return {one.promise for one in findings if one.outcome == outcome}


def test_a_start_that_refuses_what_planning_took_breaks_the_count() -> None:
    findings = check_method("refuses_late")
    assert outcomes(findings, "broken") == {"count"}
    assert outcomes(findings, "kept") == {"card"}
    assert {one.detail for one in findings if one.outcome == "not_applicable"} == {"smallest is 7"}


def test_a_pair_that_makes_no_sense_is_not_applicable_with_the_reason() -> None:
    findings = check_method("bitfit", "tiny:llama")
    assert outcomes(findings, "not_applicable") == set(PROMISES)
    assert "has no biases" in findings[-1].detail


def test_values_and_a_budget_reach_the_method() -> None:
    counted = {one.promise: one.detail for one in check_method("lora", values={"rank": 1})}
    larger = {one.promise: one.detail for one in check_method("lora", budget=2000)}
    assert counted["count"] == "896 scalars"
    assert larger["count"] == "1792 scalars"


def test_an_unknown_method_or_backbone_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean lora"):
        check_method("lroa")
    with pytest.raises(UnknownName, match="tiny:bert"):
        check_method("lora", "tiny:brt")


def test_checking_leaves_this_process_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    check_method("sound")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.are_deterministic_algorithms_enabled() == before[1]
