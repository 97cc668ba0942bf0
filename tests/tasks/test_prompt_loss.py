"""Prompt's losses are sums by hand over what the model says of the right continuation's tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.backbone import Backbone
from harness.errors import NotApplicable
from tests.tasks.lm_tasks import TASKS, Toys, backbone, evaluator, theirs, write

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Toys:
    return write(tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def loaded() -> Backbone:
    return backbone("tiny:llama")


def test_the_loss_is_the_mean_over_rows_of_the_mean_over_the_continuations_tokens(toys: Toys, loaded: Backbone) -> None:
    protocol, examples = toys.protocol("choice"), toys.encode("choice", loaded.tokenizer)
    rows = [0, 1, 2, 5]
    batch = protocol.collate(examples, rows, loaded.tokenizer, CPU)
    with torch.no_grad():
        loss = float(protocol.loss(loaded.model, batch))
        by_hand = []
        for row in rows:
            answer = examples.inputs[row].answers[examples.inputs[row].gold[0]]
            logits = loaded.model(torch.tensor([answer.read])).logits[0].double()
            chances = torch.log_softmax(logits, dim=-1)
            places = range(len(answer.read) - answer.num_scored, len(answer.read))
            by_hand.append(-np.mean([float(chances[place, answer.ids[place + 1]]) for place in places]))
    assert loss == pytest.approx(np.mean(by_hand), abs=1e-5)


@pytest.mark.parametrize("task", ["choice", "one_token", "inputs"])
def test_candidates_is_the_cross_entropy_over_mean_token_log_likelihoods(
    task: str, toys: Toys, loaded: Backbone
) -> None:
    protocol = toys.protocol(task, loss="candidates")
    examples = toys.encode(task, loaded.tokenizer, loss="candidates")
    batch = protocol.collate(examples, list(range(13)), loaded.tokenizer, CPU)
    with torch.no_grad():
        loss = float(protocol.loss(loaded.model, batch))
    samples = theirs(toys, task, loaded)["samples"][f"toy_{task}"]
    expected = []
    for sample, row in zip(sorted(samples, key=lambda one: one["doc_id"]), examples.inputs, strict=True):
        sums = np.array([float(response[0]) for response in sample["filtered_resps"]])
        means = sums / [answer.num_scored for answer in row.answers]
        expected.append(np.log(np.exp(means).sum()) - means[row.gold[0]])
    assert loss == pytest.approx(np.mean(expected), abs=1e-5)
    predicted = evaluator(loaded).predict(loaded.model, protocol, examples)
    assert predicted.loss == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_the_validation_loss_is_the_training_loss_of_the_same_rows(task: str, toys: Toys, loaded: Backbone) -> None:
    protocol, examples = toys.protocol(task), toys.encode(task, loaded.tokenizer)
    predicted = evaluator(loaded).predict(loaded.model, protocol, examples, validating=True)
    with torch.no_grad():
        batch = protocol.collate(examples, list(range(len(examples))), loaded.tokenizer, CPU)
        assert predicted.loss == pytest.approx(float(protocol.loss(loaded.model, batch)), abs=1e-5)


def test_log_likelihoods_are_normalised_over_the_answers(toys: Toys, loaded: Backbone) -> None:
    protocol, examples = toys.protocol("choice"), toys.encode("choice", loaded.tokenizer)
    batch = protocol.collate(examples, [0, 3], loaded.tokenizer, CPU)
    with torch.no_grad():
        found = protocol.log_likelihoods(loaded.model, batch)
    assert found.shape == (2, 3)
    assert torch.allclose(found.exp().sum(dim=1), torch.ones(2), atol=1e-6)
    samples = sorted(theirs(toys, "choice", loaded)["samples"]["toy_choice"], key=lambda one: one["doc_id"])
    sums = torch.tensor([[float(r[0]) for r in samples[row]["filtered_resps"]] for row in (0, 3)])
    assert torch.allclose(found, torch.log_softmax(sums, dim=1), atol=1e-5)
    text = toys.encode("text", loaded.tokenizer)
    with pytest.raises(NotApplicable, match="no multiple choice"):
        toys.protocol("text").log_likelihoods(
            loaded.model, toys.protocol("text").collate(text, [0], loaded.tokenizer, CPU)
        )


def test_a_generated_answer_is_trained_to_end_as_it_is_stopped(toys: Toys, loaded: Backbone) -> None:
    examples = toys.encode("text", loaded.tokenizer)
    (answer,) = examples.inputs[2].answers
    assert loaded.tokenizer.decode(answer.ids[-answer.num_scored :]) == " very large\n"
    assert loaded.tokenizer.decode(answer.ids[1 : -answer.num_scored]) == "Thing: thingss 2\nSize:"
