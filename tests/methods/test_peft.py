"""Every tuner of the installed peft keeps the contract's promises at width 64, or is refused in peft's own words."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from transformers import LlamaForCausalLM

from harness import registry
from harness.backbone import Backbone, same_bits
from harness.errors import NotApplicable
from harness.matrix import expand
from harness.method import MethodCard
from harness.random import Streams
from harness.single import run_spec
from harness.spec import Budget, Spec
from harness.suite import BadSuite, parse
from methods.parts.peft_cards import tuners
from runners.specimen import Specimen, load, plan, start

NAMES = sorted(name for name, entry in registry.methods().items() if entry.module == "methods.peft")
REGISTERED = [name for name in NAMES if not tuners()[name].fixed]
WIDE = "tiny:bert@64x2"
NEEDED: dict[str, dict[str, Any]] = {
    # One value that peft asks for and that no rule could give: which tokens get a vector of their own.
    "peft/trainable_tokens": {"token_indices": [0, *range(5, 100, 5)]},
}
# May only shrink: a term of the tuner that BERT's arithmetic ignores, so that it never moves there; it is not counted.
DEAD = {"peft/glora": "self.key.glora_C"}  # one shift of all keys changes no attention
MINDS_PADDING = {"peft/lily"}
"""Choose weights by a mean over all places of a row, those of padding too: nothing of ours makes up for that."""
STEPS, LOSS_STEPS = 3, 30
"""Steps after which all has moved (a product of two that start at zero needs some), and the loss has fallen."""


def backbone(reference: str = WIDE, dtype: torch.dtype = torch.float32) -> Backbone:
    """Return a tiny backbone whose biases and norms are not all equal, as in one that was trained."""
    loaded = load(reference)
    generator = torch.Generator().manual_seed(1)
    for parameter in loaded.model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    loaded = Backbone(loaded.files, loaded.model, loaded.head, loaded.tokenizer)
    loaded.place("cpu", dtype)
    return loaded


def attach(name: str, loaded: Backbone, **options: Any) -> Specimen:
    options.setdefault("values", NEEDED.get(name))
    started = start(name, loaded, length=16, **options)
    for module in started.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return started


@functools.cache
def outcome(name: str, reference: str = WIDE) -> str:
    """Return what became of a tuner: ``kept``, ``refused: `` and peft's own words, or ``idle: `` for those of ``DEAD``.

    A broken promise asserts.
    """
    loaded = backbone(reference)
    structure = [(key, type(module)) for key, module in loaded.model.named_modules()]
    attributes = {key: set(vars(module)) for key, module in loaded.model.named_modules()}
    try:
        first = attach(name, loaded)
    except NotApplicable as error:
        assert loaded.changed() == []
        assert [(key, type(module)) for key, module in loaded.model.named_modules()] == structure
        return f"refused: {error}"
    card = MethodCard.model_validate(registry.methods()[name].card)

    plain = backbone(reference)
    plain.initialise_head(Streams(0).integer("init", "head"))
    before = Specimen(first.method, plain, first.plan, first.batch).outputs()
    if card.starts_at_identity:
        torch.testing.assert_close(first.outputs(), before, rtol=0, atol=1e-6)
    else:  # some drawn values change outputs by little more than rounding
        assert not same_bits(first.outputs(), before), "declared to change outputs at the start"

    trained = sum(parameter.numel() for parameter in first.method.trained().values())
    assert 0 < trained == first.method.count(first.model, first.plan), "count"
    assert {parameter.dtype for parameter in first.method.updated().values()} == {torch.float32}

    declared, rest = first.method.state(), first.tensors()
    losses = first.train(STEPS)
    moved = first.method.updated()
    still = [key for key in moved if torch.equal(moved[key], declared[key])]
    dead = DEAD.get(name)
    assert [key for key in still if dead is None or dead not in key] == [], "all that is declared moves"
    free = {id(parameter) for parameter in moved.values()}
    frozen = {key: parameter for key, parameter in first.model.named_parameters() if id(parameter) not in free}
    assert [key for key, p in frozen.items() if not same_bits(p, rest[key]) or p.grad is not None] == [], "nothing else"
    state, after = first.method.state(), first.outputs()

    config = type(first.method.config).model_validate_json(first.method.config.model_dump_json())
    assert config == first.method.config, "configuration as JSON"
    other = backbone(reference)
    again = attach(name, other, values=config.model_dump())
    again.train(STEPS)
    assert all(same_bits(again.method.state()[key], tensor) for key, tensor in state.items()), "same seed, same bits"
    again.detach()
    assert other.changed() == [], "detach"
    assert [(key, type(module)) for key, module in other.model.named_modules()] == structure, "detach"
    assert {key: set(vars(module)) for key, module in other.model.named_modules()} == attributes, "detach"
    assert not any(parameter.requires_grad for parameter in other.model.parameters()), "detach"

    fresh = attach(name, other, values=config.model_dump())
    other.initialise_head(99)
    fresh.method.load_state(state)
    assert same_bits(fresh.outputs(), after), "save and load"
    extra = fresh.method.extra_at_inference()
    if extra:
        with pytest.raises(NotApplicable, match="cannot be merged"):
            fresh.method.merge(fresh.model)
        assert extra == trained
    else:
        fresh.method.merge(fresh.model)
        assert [(key, type(module)) for key, module in other.model.named_modules()] == structure, "merge"
        torch.testing.assert_close(fresh.outputs(), after, rtol=1e-5, atol=1e-5)
    fresh.detach()
    assert other.changed() == [], "detach after merging"
    assert {key: set(vars(module)) for key, module in other.model.named_modules()} == attributes, "detach after merging"

    assert first.train(LOSS_STEPS, lr=3e-3)[-1] < 0.9 * losses[0], "loss"
    return "kept" if not still else f"idle: {name}: scalars without a gradient, {', '.join(still)}"


@pytest.mark.parametrize("name", NAMES)
def test_a_tuner_keeps_every_promise_or_is_refused_in_pefts_own_words(name: str) -> None:
    found = outcome(name)
    if name in DEAD:
        assert found.startswith("idle: "), "one whose scalars all move leaves the table"
    elif name in MINDS_PADDING:
        assert found == f"refused: {name}: what this model says of a text would depend on the padding beside it"
    else:
        assert found == "kept" or re.match(f"refused: {name}: peft (raises|\\S+ switches nothing)", found), found


def test_at_least_36_of_the_registered_tuners_keep_the_contract(
    record_property: Callable[[str, object], None], pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {name: outcome(name) for name in REGISTERED}
    kept = [name for name, what in found.items() if what == "kept"]
    record_property("tuners_of_peft_that_keep_the_contract", f"{len(kept)} of {len(found)}")
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    lines = [found[name].removeprefix("refused: ") for name in sorted(found.keys() - set(kept))]
    with capsys.disabled():
        for line in (f"\n{len(kept)} of peft's {len(found)} tuners keep the contract on {WIDE}; the others:", *lines):
            terminal.write_line(line)
    assert len(found) >= 45
    assert len(kept) >= 36


@pytest.mark.parametrize("name", ["peft/adaption_prompt", "peft/glora"])
def test_what_fits_a_decoder_better_keeps_every_promise_on_one(name: str) -> None:
    assert outcome(name, "tiny:llama@64x2") == "kept"


def test_what_fills_a_decoders_cache_keeps_every_promise_where_peft_knows_its_name() -> None:
    # From transformers 5.24 on a decoder takes ``cache``, where peft 0.21 looks for ``past_key_values``.
    is_known = "past_key_values" in inspect.signature(LlamaForCausalLM.forward).parameters
    refusal = "refused: peft/cartridge: peft raises ValueError: Model does not support past key values"
    assert outcome("peft/cartridge", "tiny:llama@64x2").startswith("kept" if is_known else refusal)


@pytest.mark.parametrize("budget", [1_600, 9_000])
@pytest.mark.parametrize("name", ["peft/c3a", "peft/dora", "peft/oft", "peft/prompt_tuning", "peft/vera"])
def test_a_budget_is_met_as_closely_as_whole_numbers_allow(name: str, budget: int) -> None:
    loaded = backbone()
    kind, planned = registry.load_method(name), plan(loaded, "linear", budget)
    floor = {"peft/dora": 2304 + 1152}.get(name, 0)
    if budget < floor:
        with pytest.raises(NotApplicable, match=f"smallest is {floor}"):
            kind().solve(loaded.model, planned)
        return
    started = attach(name, loaded, budget=Budget(count=budget))
    trained = sum(parameter.numel() for parameter in started.method.trained().values())
    assert 0.3 * budget < trained <= budget  # sizes of blocks are divisors, far apart
    knob = registry.methods()[name].card["budget"]
    assert getattr(started.method.config, str(knob)) is not None, "the record holds the size that was found"


def test_a_count_at_planning_is_that_of_the_run_and_leaves_the_shapes_alone() -> None:
    loaded = backbone()
    shapes = backbone().model.to("meta")
    names = [(key, type(module)) for key, module in shapes.named_modules()]
    meta = plan(Backbone(loaded.files, shapes, loaded.head, None), "linear", 6_000)
    for name in ("peft/boft", "peft/adalora", "peft/shira", "peft/p_tuning"):  # one reads values to set itself up
        kind = registry.load_method(name)
        values = NEEDED.get(name, {})
        planned = kind(kind.Config.model_validate(values)).count(shapes, meta)
        started = attach(name, loaded)
        assert planned == sum(parameter.numel() for parameter in started.method.trained().values())
        started.detach()
        assert [(key, type(module)) for key, module in shapes.named_modules()] == names
        assert all(parameter.is_meta for parameter in shapes.parameters())


def test_values_that_are_given_are_kept_and_others_are_fitted_to_the_widths() -> None:
    loaded = backbone()
    started = attach("peft/c3a", loaded)
    assert started.method.config.block_size == 64  # type: ignore[attr-defined]  # peft's default is 256
    started.detach()
    with pytest.raises(NotApplicable, match=r"peft/c3a: peft raises ValueError: The block size should be a factor"):
        attach("peft/c3a", loaded, values={"block_size": 48})
    assert loaded.changed() == []


@pytest.mark.parametrize(
    ("name", "values"), [("peft/lora", {"r": 65}), ("peft/dora", {"r": 4000}), ("peft/adalora", {"init_r": 65})]
)
def test_a_rank_above_the_smallest_side_is_refused_while_it_is_planned(name: str, values: dict[str, int]) -> None:
    loaded, kind = backbone(), registry.load_method(name)
    (rank,) = values.values()
    with pytest.raises(NotApplicable, match=f"{name}: rank {rank} is over 64, the smallest side of a targeted weight"):
        kind(kind.Config.model_validate(values)).count(loaded.model, plan(loaded, "linear"))


def test_a_rank_that_nobody_set_is_lowered_to_what_the_layers_have() -> None:
    narrow = load("tiny:bert")  # HiRA's own rank is 32, and of 32 inputs
    narrow.model.bert.encoder.layer[0].intermediate.dense = nn.Linear(32, 16)  # type: ignore[union-attr,index]
    kind = registry.load_method("peft/hira")
    planned = plan(narrow, ("*.layer.0.intermediate.dense",))
    assert kind().count(narrow.model, planned) == 16 * (32 + 16)


def test_a_step_of_adalora_takes_ranks_away_and_its_penalty_reaches_the_loss() -> None:
    started = attach("peft/adalora", backbone())
    assert started.method.extra_loss() is not None
    started.train(10, lr=1e-2)
    gone = [int((p == 0).sum()) for key, p in started.method.trained().items() if ".lora_E." in key]
    assert sum(gone) == len(gone) * (12 - 8), "the plan ends after ten steps, at the final rank"
    plain = attach("peft/dora", backbone())
    assert plain.method.extra_loss() is None


def test_initial_values_follow_the_runs_seed_and_leave_the_global_one_alone() -> None:
    states = [attach("peft/lora", backbone(), seed=seed).method.state() for seed in (1, 2)]
    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0] if "lora_A" in key)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    attach("peft/vera", backbone())
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", ["peft/dora", "peft/ia3", "peft/oft", "peft/vera", "peft/prompt_tuning"])
def test_frozen_weights_in_bf16_are_tuned_in_fp32(name: str) -> None:
    started = attach(name, backbone(dtype=torch.bfloat16))
    assert {parameter.dtype for parameter in started.method.updated().values()} == {torch.float32}
    assert started.train(20, lr=3e-3)[-1] < 0.7
    started.detach()
    assert started.backbone.changed() == []


def test_a_switch_that_does_nothing_on_plain_layers_is_refused() -> None:
    with pytest.raises(NotApplicable, match="switches nothing by {'use_qalora': True}"):
        attach("peft/qalora", backbone())


def test_values_are_checked_by_name_before_anything_runs() -> None:
    suite = {"name": "s", "backbones": [WIDE], "tasks": ["embedded/agreement"], "seeds": [0]}
    values = {"lora_alpha": 4, "r": 2}
    specs = expand(parse(suite | {"methods": ["peft/rslora", {"peft/dora": values}]})).specs
    assert [(spec.method, spec.values) for spec in specs] == [("peft/rslora", {}), ("peft/dora", values)]
    with pytest.raises(ValidationError, match="lora_alhpa"):
        registry.load_method("peft/dora").Config.model_validate({"lora_alhpa": 4})
    with pytest.raises(BadSuite, match="has one size and takes no budget"):
        expand(parse(suite | {"methods": [{"peft/ia3": {"budget": 500}}]}))


@pytest.mark.parametrize("name", ["peft/dora", "peft/ia3", "peft/prompt_tuning"])
def test_a_cell_runs_from_spec_to_record(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARETUNE_MIRROR", raising=False)
    spec = Spec(
        backbone=WIDE,
        method=name,
        train="embedded/agreement",
        score=("embedded/agreement",),
        protocol="classify",
        sizes={"train": 16, "validation": 8, "test": 8},
        training={"epochs": 1, "max_length": 16},
    )
    record, _ = run_spec(spec, tmp_path)
    assert (record.status, record.error) == ("ok", None)
    assert record.counts is not None
    assert record.counts.trained > 0
    assert (record.counts.extra_at_inference > 0) == (name == "peft/prompt_tuning")
