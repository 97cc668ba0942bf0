"""What masks by Fisher information share: the head that a size may include, what is kept, and what is let go."""

from __future__ import annotations

import pytest

from methods.parts.fisher import FisherMask, num_head
from runners.specimen import Specimen
from tests.methods.attaching import attach, backbone


@pytest.fixture(params=["fish", "sparse_update"])
def started(request: pytest.FixtureRequest) -> Specimen:
    return attach(request.param, backbone("bert"), count=200, samples=4, charge_head=True)


def test_a_charged_head_is_part_of_the_size(started: Specimen) -> None:
    head = num_head(started.model, started.plan)
    assert head == sum(parameter.numel() for parameter in started.method.head().values()) > 0
    assert sum(parameter.numel() for parameter in started.method.trained().values()) == 200 - head


def test_what_holds_the_model_is_let_go_with_it(started: Specimen) -> None:
    assert isinstance(started.method, FisherMask)
    assert started.method._model is started.model
    started.method.remove(started.model)
    assert not {"_model", "_samples"} & vars(started.method).keys()


def test_every_scored_row_gives_its_own_loss(started: Specimen) -> None:
    assert isinstance(started.method, FisherMask)
    losses = list(started.method.true_losses())
    assert len(losses) == 4
    assert all(loss.dim() == 0 and weight == 1.0 and not again for loss, weight, again in losses)
