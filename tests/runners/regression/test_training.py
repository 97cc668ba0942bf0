"""Claims about short runs: they are equal in every process, and what a method trained is told from what it did not."""

from __future__ import annotations

import pytest

from harness.spec import Sizes
from runners.regression.training import BATCH, CELLS, EPOCHS, SIZES, Ran, run, spec

METHODS = ("base", "head_only", "fish", "lora")


@pytest.fixture(scope="module")
def ran() -> dict[str, Ran]:
    return {one.method: one for one in run([spec(method, "classify") for method in METHODS])}


def test_losses_are_of_every_epoch(ran: dict[str, Ran]) -> None:
    assert {method: len(one.losses) for method, one in ran.items()} == {
        "base": 1,
        "head_only": 2 * EPOCHS,
        "fish": 2 * EPOCHS,
        "lora": 2 * EPOCHS,
    }
    assert all(one.status == "ok" for one in ran.values())


def test_moved_is_said_of_what_lies_outside_the_head(ran: dict[str, Ran]) -> None:
    assert {method: one.moved for method, one in ran.items()} == {
        "base": False,
        "head_only": False,
        "fish": True,  # whose mask is chosen after the start
        "lora": True,
    }


def test_every_method_scores_the_same_items(ran: dict[str, Ran]) -> None:
    (items,) = {one.items for one in ran.values()}
    assert items.startswith(f"{SIZES.test} items, ")


def test_order_and_processes_do_not_matter(ran: dict[str, Ran]) -> None:
    again = run([spec(method, "classify") for method in reversed(METHODS)], workers=2)
    assert [one.method for one in again] == list(reversed(METHODS))
    assert {one.method: one._replace(cpu_seconds=0) for one in again} == {
        method: one._replace(cpu_seconds=0) for method, one in ran.items()
    }


def test_a_run_that_cannot_be_says_how_it_ended() -> None:
    (one,) = run([spec("head_only", "prompt")])
    assert (one.status, one.losses, one.items, one.moved) == ("not_applicable", (), "", False)
    assert "no head" in one.message


def test_specs_state_a_budget_where_there_is_no_own_size() -> None:
    assert spec("random_mask", "span").budget is not None
    assert spec("full", "span").budget is None
    assert spec("peft/prompt_tuning", "span").budget is None
    other = spec("lora", "span", sizes=Sizes(train=16))
    assert other.sizes.train == 16
    assert other.training.batch_size == BATCH
    assert {spec("lora", protocol).train for protocol in CELLS} == {cell.task for cell in CELLS.values()}
