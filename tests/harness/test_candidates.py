"""What trials try: equal quantiles for every method, from samples that stay the same for ever."""

from __future__ import annotations

import math

import pytest
from hypothesis import given as examples
from hypothesis import settings as profile
from hypothesis import strategies as st

from harness import registry
from harness.candidates import quantiles
from harness.search_settings import SearchSettings
from harness.suite import BadSuite
from tests.harness.test_search import searches, trials


@profile(max_examples=30)
@examples(st.integers(1, 20), st.sampled_from(["halton", "sobol"]), st.integers(0, 2**31))
def test_trial_i_is_at_the_same_quantile_of_every_methods_range(count: int, sampler: str, seed: int) -> None:
    methods = ["lora", "full", "head_only", "random_mask", "pst", "goft"]
    asked = {"trials": count, "sampler": sampler, "seed": seed}
    found = searches(methods=methods, seeds=[0], search=asked)
    assert [search.rungs[0].method for search in found] == methods
    expected = [row["lr"] for row in quantiles(SearchSettings.model_validate(asked))]
    assert len(expected) == count == len(set(expected))
    for search in found:
        low, high = registry.methods()[search.rungs[0].method].card["tuned"]["lr"]  # type: ignore[index, call-overload]
        for candidate, quantile in zip(search.candidates, expected, strict=True):
            rate = candidate["lr"]
            assert isinstance(rate, float)
            assert low <= rate <= high
            assert math.log(rate / low) / math.log(high / low) == pytest.approx(quantile, abs=0.005)  # three digits


@profile(max_examples=30)
@examples(st.integers(1, 30), st.integers(1, 30), st.sampled_from(["halton", "sobol"]), st.integers(0, 2**31))
def test_more_trials_are_the_same_trials_and_some_new_ones(few: int, many: int, sampler: str, seed: int) -> None:
    asked = {"sampler": sampler, "seed": seed, "over": ["lr", "samples"]}
    short, long = (
        quantiles(SearchSettings.model_validate({**asked, "trials": count})) for count in sorted((few, many))
    )
    assert long[: len(short)] == short
    assert all(0 <= quantile < 1 for row in long for quantile in row.values())


def test_samples_stay_the_same_for_ever() -> None:
    drawn = {
        sampler: [row["lr"] for row in quantiles(SearchSettings.model_validate({"sampler": sampler, "trials": 5}))]
        for sampler in ("halton", "sobol")
    }
    step = 0.2349178422584337
    assert drawn["halton"] == pytest.approx([(step + point) % 1 for point in (0, 0.5, 0.25, 0.75, 0.125)])
    assert drawn["sobol"] == pytest.approx([(step + point) % 1 for point in (0, 0.5, 0.75, 0.25, 0.375)])
    (search,) = searches()
    assert [candidate["lr"] for candidate in search.candidates] == [0.000295, 0.00295, 0.000933, 0.00933]


def test_a_whole_range_gives_whole_values(monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry.methods()["fish"].card
    monkeypatch.setitem(card, "tuned", {"lr": [1e-4, 3e-2], "samples": [32, 1024], "epochs": [1, 8]})
    over = {"trials": 8, "over": ["lr", "samples"]}
    fish, lora = searches(methods=[{"fish": {"budget": 50}}, "lora"], search=over)
    assert all(isinstance(one["samples"], int) and 32 <= one["samples"] <= 1024 for one in fish.candidates)
    assert len({one["samples"] for one in fish.candidates}) == 8
    assert {spec.values["samples"] for spec in trials(fish)} == {one["samples"] for one in fish.candidates}
    # LoRA has no such value, and the same learning rates as without it.
    assert lora.candidates == searches(search={"trials": 8})[0].candidates
    with pytest.raises(BadSuite, match="'lora' states no range for epochs, only for lr; leave epochs out, or give"):
        searches(methods=["lora", {"fish": {"budget": 50}}], search={"over": ["lr", "epochs"]})
    (fish,) = searches(methods=[{"fish": {"budget": 50}}], search={"over": "epochs"})
    assert {spec.training.epochs for spec in trials(fish)} <= set(range(1, 9))
