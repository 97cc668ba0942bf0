"""What a suite's searches try: equal quantiles for every method, the papers' grids, one search where one is asked."""

from __future__ import annotations

from typing import Any

from harness.matrix import Expansion, expand, parse_only
from harness.search import Search
from harness.spec import Spec
from harness.suite import parse

SMALL: dict[str, Any] = {
    "name": "small",
    "backbones": ["tiny:bert"],
    "methods": ["lora"],
    "tasks": ["embedded/agreement"],
    "seeds": [3, 4],
    "training": {"epochs": 2},
    "search": {"trials": 4},
}
RATES = ["1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6"]
GLUE = [f"glue/{name}" for name in ("qnli", "sst2", "mnli", "cola", "mrpc", "stsb", "rte", "qqp")]


def expansion(only: str | None = None, **changes: Any) -> Expansion:
    return expand(parse({**SMALL, **changes}), parse_only(only))


def searches(only: str | None = None, **changes: Any) -> tuple[Search, ...]:
    return expansion(only, **changes).searches


def trials(search: Search, rung: int = 0) -> list[Spec]:
    return [search.trial(search.rungs[rung], one, None) for one in search.candidates]


def test_trials_are_their_finals_but_for_values_seed_and_purpose() -> None:
    (search,) = searches()
    assert [spec.seed for spec in search.finals] == [3, 4]
    for spec, candidate in zip(trials(search), search.candidates, strict=True):
        assert (spec.purpose, spec.seed, spec.training.lr) == ("trial", 3, candidate["lr"])
        as_final = {"purpose": "final", "training": search.finals[0].training}
        assert spec.model_copy(update=as_final) == search.finals[0]
    assert len({spec.run_id for spec in trials(search)}) == 4


def test_what_has_nothing_to_tune_has_no_trials() -> None:
    found = expansion(methods=["base", "lora"])
    assert [search.rungs[0].method for search in found.searches] == ["lora"]
    assert [spec.method for spec in found.specs] == ["base", "base", "lora", "lora"]
    assert [(spec.method, spec.purpose) for spec in found.first()] == [("base", "final")] * 2 + [("lora", "trial")] * 4
    assert found.searches[0].unequal == ""


def test_a_suite_without_a_search_has_none() -> None:
    found = expansion(search=None)
    assert found.searches == ()
    assert found.first() == found.specs


def test_a_search_is_for_each_budget_or_shared_at_the_middle_one() -> None:
    methods = [{"random_mask": {"budget": ["10%", "0.1%", "1%", "5%"]}}, {"lora": {"rank": 2}}]
    each = searches(methods=methods)
    assert [(str(search.rungs[0].budget), len(search.rungs), len(search.finals)) for search in each] == [
        ("10 %", 1, 2),
        ("0.1 %", 1, 2),
        ("1 %", 1, 2),
        ("5 %", 1, 2),
        ("None", 1, 2),
    ]
    mask, lora = searches(methods=methods, search={"trials": 4, "share": "task"})
    assert [str(rung.budget) for rung in mask.rungs] == ["1 %", "0.1 %", "5 %", "10 %"]
    assert len(mask.finals) == 4 * 2
    assert len(lora.finals) == 2
    # Values, tasks and backbones are searched apart.
    apart = {
        "methods": [{"fish": {"budget": 50}}, {"fish": {"budget": 50, "reselect": True}}],
        "tasks": ["embedded/agreement", "embedded/polarity"],
        "backbones": ["tiny:bert", "tiny:gpt2"],
    }
    assert len(searches(**apart, search={"trials": 2, "share": "task"})) == 8


def test_a_filter_changes_what_is_run_and_not_what_is_searched() -> None:
    methods = [{"random_mask": {"budget": ["0.1%", "1%", "5%"]}}, "lora"]
    whole = searches(methods=methods, search={"trials": 4, "share": "task"})
    (search,) = searches("budget=5%,seed=4", methods=methods, search={"trials": 4, "share": "task"})
    assert (search.rungs, search.candidates, search.id) == (whole[0].rungs, whole[0].candidates, whole[0].id)
    assert [(str(spec.budget), spec.seed) for spec in search.finals] == [("5 %", 4)]


# Grids of the papers


def test_the_grid_of_random_masking_is_six_rates_for_every_method() -> None:
    methods = ["base", "full", "lora", "adapter", "bitfit", {"random_mask": {"budget": ["0.1%", "0.001%"]}}]
    tasks = ["random_masking/cb", "random_masking/rte"]
    found = searches(
        methods=methods,
        tasks=tasks,
        policy="subsampled",
        training={"epochs": 5, "select": "loss"},
        search={"grid": {"lr": RATES}, "select": "loss"},
    )
    assert len(found) == 2 * (4 + 2)
    assert all(len(trials(search)) == 6 and search.num_epochs == 30 and not search.unequal for search in found)
    assert [one["lr"] for one in found[0].candidates] == [float(rate) for rate in RATES]


def test_the_grid_of_fish_is_three_rates_by_two_batches_on_every_task() -> None:
    grid = {"lr": ["1e-4", "5e-5", "1e-5"], "batch_size": [8, 16]}
    methods = [{"fish": {"budget": "0.5%"}}, {"random_mask": {"budget": "0.5%"}}, "full"]
    found = searches(methods=methods, tasks=GLUE, training={"epochs": 7}, search={"grid": grid})
    assert len(found) == 3 * 8
    for search in found:
        assert len({(spec.training.lr, spec.training.batch_size) for spec in trials(search)}) == 6
        assert {spec.training.epochs for spec in trials(search)} == {7}
        assert not search.unequal


def test_the_grid_of_pst_is_epochs_by_rates_that_differ_by_backbone_and_task() -> None:
    large = ["glue/mnli", "glue/qqp"]
    grids = {
        ("tiny:bert", "small"): {"epochs": [20, 40], "lr": ["3e-5", "5e-5", "1e-4", "5e-4"]},
        ("tiny:bert", "large"): {"epochs": [10, 20], "lr": ["3e-5", "5e-5", "1e-4", "5e-4"]},
        ("tiny:roberta", "small"): {"epochs": [20, 40], "lr": ["1e-5", "2e-5", "3e-5", "5e-5"]},
        ("tiny:roberta", "large"): {"epochs": [10, 20], "lr": ["1e-5", "2e-5", "3e-5", "5e-5"]},
    }
    overrides = [
        {"when": {"backbone": backbone, "task": large if size == "large" else GLUE}, "search": {"grid": grid}}
        for (backbone, size), grid in grids.items()
    ]
    found = searches(backbones=["tiny:bert", "tiny:roberta"], methods=["pst"], tasks=GLUE, overrides=overrides)
    assert len(found) == 2 * 8
    for search in found:
        rung = search.rungs[0]
        grid = grids[rung.backbone, "large" if rung.train in large else "small"]
        assert {spec.training.epochs for spec in trials(search)} == set(grid["epochs"])
        assert {spec.training.lr for spec in trials(search)} == {float(rate) for rate in grid["lr"]}
        assert len(trials(search)) == 8
        assert not search.unequal


def test_an_override_gives_a_method_its_own_grid_and_the_inequality_is_said() -> None:
    override = {"when": {"method": "fish"}, "search": {"grid": {"lr": [0.1], "samples": [16, 32]}}}
    fish, lora = searches(methods=[{"fish": {"budget": 50}}, "lora"], overrides=[override])
    assert [spec.values for spec in trials(fish)] == [{"samples": 16}, {"samples": 32}]
    assert {spec.training.lr for spec in trials(fish)} == {0.1}
    assert len(trials(lora)) == 4
    assert fish.unequal.startswith("unequal search: 2 trials of 4 epochs in all, where the methods on this task ")
    assert fish.unequal.endswith(" have 2 to 4 trials of 4 to 8 epochs")
    assert lora.unequal.startswith("unequal search: 4 trials of 8 epochs in all")
    (back,) = searches(overrides=[{**override, "when": {}}, {"when": {}, "search": {"trials": 3}}])
    assert len(back.candidates) == 3


def test_unequal_epochs_and_methods_without_a_search_are_said_too() -> None:
    longer = [{"when": {"method": "full"}, "training": {"epochs": 5}}]
    for search in searches(methods=["full", "lora"], overrides=longer):
        assert search.unequal.endswith("have 4 to 4 trials of 8 to 20 epochs")
    (search,) = searches(
        methods=["full", "lora"], search=None, overrides=[{"when": {"method": "full"}, "search": {"trials": 2}}]
    )
    assert search.rungs[0].method == "full"
    assert search.unequal.endswith("have 0 to 2 trials of 0 to 4 epochs")
    assert not any(search.unequal for search in searches(methods=["full", "lora"]))


def test_halving_gives_a_quarter_of_the_epochs_first_and_the_best_quarter_all() -> None:
    (search,) = searches(training={"epochs": 9}, search={"trials": 6, "halving": True})
    assert search.rounds(search.rungs[0]) == (3, 9)
    assert (search.num_trials, search.num_epochs) == (6 + 2, 6 * 3 + 2 * 9)
    assert search.trial(search.rungs[0], search.candidates[0], 3).training.epochs == 3
