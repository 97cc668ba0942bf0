"""Ranks that train apart: given to a method that asks for them, and to no other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.errors import NotApplicable
from runners.apart import Apart, ranks_for
from runners.ranks import Ranks
from runners.shards import Shards
from tests.methods.attaching import attach, backbone


def test_gradients_of_ranks_that_train_apart_stay_their_own() -> None:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    Apart(1, 2).add_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0, 3.0]


def test_only_a_method_with_workers_trains_apart() -> None:
    two = attach("sparse_update", backbone("bert"), count=10, workers=2).method
    assert isinstance(ranks_for(two, Ranks(1, 2)), Apart)
    assert ranks_for(two, Ranks(1, 2)).index == 1
    for other in (attach("lora", backbone("bert")).method, attach("sparse_update", backbone("bert"), count=10).method):
        ranks = Ranks(0, 2)
        assert ranks_for(other, ranks) is ranks


def test_another_number_of_ranks_than_workers_is_refused_with_what_to_do() -> None:
    method = attach("sparse_update", backbone("bert"), count=10, workers=2).method
    with pytest.raises(NotApplicable, match=r"asks for 2 workers and has 1; give the suite resources: \{ranks: 2\}"):
        ranks_for(method, Ranks())
    with pytest.raises(NotApplicable, match="leave sharded out"):
        ranks_for(method, Shards(0, 2))
