"""Prompt trains on the tokens that lm-eval scores, and its scores are lm-eval's own, to the last bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.backbone import Backbone, locate
from harness.errors import MissingPrerequisite, NotApplicable
from harness.metric import find
from harness.protocol import meet
from harness.registry import load_task
from runners.score import Evaluator
from runners.specimen import start
from tests.tasks.lm_tasks import TASKS, Toys, backbone, evaluator, fed, theirs, write

CPU = torch.device("cpu")
KINDS = ("choice", "one_token", "two", "inputs", "text", "target", "whole")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Toys:
    return write(tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def loaded() -> Backbone:
    return backbone("tiny:llama")


def unpadded(rows: list[tuple[int, ...]], pad: int = 0) -> set[tuple[int, ...]]:
    kept = set()
    for row in rows:
        end = len(row)
        while end and row[end - 1] == pad:
            end -= 1
        kept.add(row[:end])
    return kept


def test_every_kind_of_request_is_tested() -> None:
    assert set(TASKS) == set(KINDS)


@pytest.mark.parametrize("length", [96, 24])
@pytest.mark.parametrize("task", KINDS)
def test_the_training_tokens_are_those_that_lm_eval_feeds_the_model(
    task: str, length: int, toys: Toys, loaded: Backbone
) -> None:
    examples = toys.encode(task, loaded.tokenizer, length)
    with fed(loaded.model) as seen:
        theirs(toys, task, loaded, length)
    trained = {row.answers[row.gold[0]] for row in examples.inputs}
    if task == "text":  # where it is generated, what is fed first is the prompt, and then token by token
        assert {one.ids[: -one.num_scored] for one in trained} == {row for row in seen if len(row) > 1}
    else:
        assert {one.read for one in trained} <= unpadded(seen)
        answers = {answer.read for row in examples.inputs for answer in row.answers}
        assert answers == unpadded(seen)
    assert (examples.truncated > 0) == (length == 24 and task != "whole")


@pytest.mark.parametrize("task", KINDS)
def test_predictions_are_lm_evals_item_by_item(task: str, toys: Toys, loaded: Backbone) -> None:
    protocol = toys.protocol(task)
    examples = toys.encode(task, loaded.tokenizer)
    ours = evaluator(loaded).predict(loaded.model, protocol, examples)
    found = theirs(toys, task, loaded)
    samples = sorted(found["samples"][f"toy_{task}"], key=lambda sample: sample["doc_id"])
    assert len(samples) == len(ours.values) == 13
    for sample, values in zip(samples, ours.values, strict=True):
        assert repr({name: sample[name] for name in sample["metrics"]}) == repr(
            {name: value for name, value in values.items() if name != "acc_per_token"}
        )


@pytest.mark.parametrize("task", KINDS)
def test_every_metric_of_the_card_is_lm_evals_number(task: str, toys: Toys, loaded: Backbone) -> None:
    protocol = toys.protocol(task)
    examples = toys.encode(task, loaded.tokenizer)
    ours = evaluator(loaded).predict(loaded.model, protocol, examples)
    numbers = theirs(toys, task, loaded)["results"][f"toy_{task}"]
    names = [protocol.card.metric.name, *protocol.card.also]
    assert len(names) == len(TASKS[task]["metric_list"])
    for name in names:
        metric = find(name)
        score = metric.score(metric.rows(ours.values, examples.references))
        assert score == pytest.approx(numbers[f"{name.partition('.')[2]},none"], abs=1e-12), name


@pytest.mark.parametrize("task", ["choice", "text"])
def test_demonstrations_are_those_of_lm_eval(task: str, toys: Toys, loaded: Backbone) -> None:
    examples = toys.encode(task, loaded.tokenizer, 160, num_fewshot=2)
    samples = theirs(toys, task, loaded, 160, num_fewshot=2)["samples"][f"toy_{task}"]
    asked = [item.instances[0].args[0] for item in examples.extra["asked"].items]
    assert asked == [sample["arguments"][0][0] for sample in sorted(samples, key=lambda one: one["doc_id"])]
    assert all(text.count("\n\n") == 2 for text in asked)


def test_a_row_is_no_demonstration_for_itself(toys: Toys, loaded: Backbone) -> None:
    examples = toys.encode("choice", loaded.tokenizer, 160, split="train", num_fewshot=8)
    for item in examples.extra["asked"].items:
        *shown, own = item.instances[0].args[0].split("\n\n")
        assert len(shown) == 8
        assert not any(one.startswith(own) for one in shown)


def test_scoring_leaves_no_trace(toys: Toys, loaded: Backbone) -> None:
    protocol, examples = toys.protocol("text"), toys.encode("text", loaded.tokenizer)
    loaded.model.train()
    embedding = next(loaded.model.modules())
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    kept = loaded.tokenizer.padding_side, loaded.tokenizer.pad_token, dict(vars(loaded.model))
    evaluator(loaded).predict(loaded.model, protocol, examples)
    toys.encode("choice", loaded.tokenizer, 160, num_fewshot=2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()
    assert kept[:2] == (loaded.tokenizer.padding_side, loaded.tokenizer.pad_token)
    assert kept[2].keys() == vars(loaded.model).keys()
    assert all(module.training for module in embedding.modules())
    assert not loaded.changed()
    loaded.model.eval()


def test_weights_that_a_method_untied_stay_untied(toys: Toys) -> None:
    loaded = backbone("tiny:gpt2")
    own = torch.nn.Parameter(loaded.model.lm_head.weight.detach().clone())  # type: ignore[union-attr]
    loaded.model.lm_head.weight = own  # type: ignore[union-attr]
    evaluator(loaded).predict(loaded.model, toys.protocol("choice"), toys.encode("choice", loaded.tokenizer))
    assert loaded.model.lm_head.weight is own  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["lora", "peft/lora", "random_mask", "full"])
def test_a_trained_model_scores_as_lm_eval_scores_it_attached_and_merged(method: str, toys: Toys) -> None:
    loaded = backbone("tiny:llama")
    protocol, examples = toys.protocol("choice"), toys.encode("choice", loaded.tokenizer)
    plain = evaluator(loaded).predict(loaded.model, protocol, examples)
    values = {"random_mask": {"density": 0.05}}.get(method, {})
    started = start(method, loaded, seed=0, targets="all" if method == "full" else "linear", budget=None, values=values)
    optimizer = torch.optim.SGD(started.method.parameter_groups(), lr=2.0)
    for step in range(1, 4):
        protocol.loss(loaded.model, protocol.collate(examples, list(range(13)), loaded.tokenizer, CPU)).backward()
        started.method.after_backward()
        optimizer.step()
        optimizer.zero_grad()
        started.method.after_step(step)
    compared = []
    for merged in (False, True):
        if merged:
            started.method.merge(loaded.model)
        ours = evaluator(loaded).predict(loaded.model, protocol, examples)
        samples = theirs(toys, "choice", loaded)["samples"]["toy_choice"]
        for sample, value in zip(sorted(samples, key=lambda one: one["doc_id"]), ours.values or (), strict=True):
            assert repr(sample["brier_score"]) == repr(value["brier_score"])
        compared.append(ours)
    assert compared[0].loss == pytest.approx(compared[1].loss, abs=1e-4)
    assert compared[0].loss < plain.loss - 0.1  # type: ignore[operator]  # a multiple choice always has one


@pytest.mark.parametrize("task", ["choice", "text"])
def test_frozen_bf16_weights_with_a_trained_fp32_part_are_trained_and_scored(task: str, toys: Toys) -> None:
    loaded = backbone("tiny:llama")
    loaded.place("cpu", torch.bfloat16)
    protocol, examples = toys.protocol(task), toys.encode(task, loaded.tokenizer)
    started = start("lora", loaded, values={"rank": 2})
    scoring = Evaluator(loaded.tokenizer, CPU, torch.bfloat16)
    with scoring.autocast():
        loss = protocol.loss(loaded.model, protocol.collate(examples, list(range(13)), loaded.tokenizer, CPU))
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(one.grad is not None for one in started.method.updated().values())
    predicted = scoring.predict(loaded.model, protocol, examples, validating=True)
    assert predicted.loss == pytest.approx(float(loss.detach()), rel=0.02)


def test_there_is_no_head_and_tied_weights_count_once() -> None:
    loaded = backbone("tiny:gpt2")
    assert loaded.head == frozenset()
    assert loaded.num_parameters == sum(p.numel() for p in {id(p): p for p in loaded.model.parameters()}.values())
    shapes, head = meet("prompt", load_task("lm/boolq").card).build(locate("tiny:gpt2"), meta=True)
    assert head == frozenset()
    assert sum(p.numel() for p in shapes.parameters()) == loaded.num_parameters


def bad(tmp_path: Path, loaded: Backbone, change: dict[str, Any], match: str, **options: Any) -> None:
    name = next(iter(change))
    toys = write(tmp_path, {name: TASKS[name] | change[name]})
    with pytest.raises((MissingPrerequisite, NotApplicable), match=match):
        toys.encode(name, loaded.tokenizer, split="train", **options)


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({"choice": {"doc_to_text": "{{absent}}"}}, {}, "absent"),
        ({"choice": {"doc_to_target": "unknown"}}, {}, r"\d+ rows whose right answer is none of the answers"),
        ({"text": {"generation_kwargs": {"until": ["\n"], "max_gen_toks": 200}}}, {}, "max_gen_tokens"),
        ({"text": {}}, {"loss": "candidates"}, "lists no answers"),
        ({"choice": {"num_fewshot": 0}}, {"num_fewshot": 2}, "without demonstrations"),
        ({"choice": {}}, {"num_fewshot": 99}, "rows to draw demonstrations from; 99 are asked for: set num_fewshot to"),
    ],
)
def test_bad_input_is_refused_by_name(
    change: dict[str, Any], options: dict[str, Any], match: str, tmp_path: Path, loaded: Backbone
) -> None:
    bad(tmp_path, loaded, change, match, **options)


def test_an_encoder_is_refused() -> None:
    with pytest.raises(NotApplicable, match="causal language model"):
        meet("prompt", load_task("lm/boolq").card).build(locate("tiny:bert"))
