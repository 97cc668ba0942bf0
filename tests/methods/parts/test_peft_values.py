"""A tuner's values are its configuration's own fields, refused by name where they do not fit."""

from __future__ import annotations

import re

import pytest
from peft import AdaLoraConfig, IA3Config, LoraConfig, OFTConfig, PrefixTuningConfig
from pydantic import BaseModel, ValidationError

from harness.suite import explain
from methods.parts.peft_values import FROM_RUN, divisors, fill, sizes, values_model
from runners.specimen import load, plan


def test_the_values_are_the_fields_that_do_not_follow_from_the_run() -> None:
    made = values_model("LoraValues", LoraConfig)
    assert {"r", "lora_alpha", "lora_dropout", "init_lora_weights", "use_dora"} <= made.model_fields.keys()
    assert not (FROM_RUN | {"task_type", "peft_type", "inference_mode"}) & made.model_fields.keys()
    assert set(made().model_dump().values()) == {None}, "peft's own defaults unless set"


@pytest.mark.parametrize(
    ("config", "values", "words"),
    [
        (LoraConfig, {"lora_alhpa": 4}, "unknown key 'lora_alhpa'; did you mean lora_alpha"),
        (LoraConfig, {"r": "many"}, "r: .*'many' came"),
        (OFTConfig, {"bias": "some"}, "bias: .*'none', 'all' or 'oft_only'"),
        (LoraConfig, {"target_modules": ["query"]}, "unknown key 'target_modules'"),
        (IA3Config, {"feedforward_modules": 3}, "feedforward_modules"),
    ],
)
def test_bad_values_are_refused_by_name(config: type, values: dict[str, object], words: str) -> None:
    made: type[BaseModel] = values_model("Values", config)
    with pytest.raises(ValidationError) as refused:
        made.model_validate(values)
    assert re.search(words, explain(refused.value, made))


def test_what_a_configuration_needs_of_the_run_is_filled_in_by_field_name() -> None:
    loaded = load("tiny:gpt2")
    planned = plan(loaded, "linear")
    adalora = fill(AdaLoraConfig, {"init_r": 6}, loaded.model, planned)
    assert adalora == {"init_r": 6, "target_r": 4, "total_step": planned.total_steps, "fan_in_fan_out": True}
    with pytest.raises(ValueError, match="init_r 1 leaves no rank to take away"):
        fill(AdaLoraConfig, {"init_r": 1}, loaded.model, planned)
    assert fill(PrefixTuningConfig, {}, loaded.model, planned)["num_virtual_tokens"] > 0
    assert fill(PrefixTuningConfig, {"num_virtual_tokens": 3}, loaded.model, planned) == {"num_virtual_tokens": 3}


def test_sizes_are_the_whole_numbers_that_nobody_set() -> None:
    found = sizes(LoraConfig, {"lora_alpha": 4})
    assert found["r"] == 8
    assert "lora_alpha" not in found
    assert "use_dora" not in found, "a switch is no number"
    assert divisors(plan(load("tiny:bert@64x2"), "linear")) == [64, 32, 16, 8, 4, 2, 1]
    assert divisors(plan(load("tiny:bert@64x2"), "all")) == [1]
