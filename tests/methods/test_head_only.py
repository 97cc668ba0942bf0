"""Head only is a linear probe of the frozen backbone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import NotApplicable
from tests.methods.attaching import attach, backbone


def test_only_the_head_is_updated_and_none_of_it_is_charged() -> None:
    started = attach("head_only", backbone("gpt2"))
    assert list(started.method.updated()) == ["score.weight"]
    assert started.method.trained() == {}
    assert started.method.count(started.model, started.plan) == 0


def test_one_step_of_gradient_descent_is_that_of_a_softmax_regression_by_hand() -> None:
    started = attach("head_only", backbone("bert"))
    inputs = dict(started.batch)
    labels = inputs.pop("labels")
    weight, bias = started.model.classifier.weight, started.model.classifier.bias  # type: ignore[union-attr]
    started.model.eval()
    with torch.no_grad():
        features = started.model.bert(**inputs).pooler_output  # type: ignore[operator,union-attr]
        error = torch.softmax(features @ weight.T + bias, dim=1) - torch.nn.functional.one_hot(labels)
        expected = weight - 0.5 * error.T @ features / 4, bias - 0.5 * error.mean(dim=0)
    optimizer = torch.optim.SGD(started.method.parameter_groups(), lr=0.5)
    torch.nn.functional.cross_entropy(started.model(**inputs).logits, labels).backward()
    optimizer.step()
    torch.testing.assert_close((weight.detach(), bias.detach()), expected)


def test_without_a_head_there_is_nothing_to_train() -> None:
    started = attach("head_only", backbone("gpt2"))
    with pytest.raises(NotApplicable, match="no head for the task.* base is the same"):
        started.method.count(started.model, replace(started.plan, head=frozenset()))
