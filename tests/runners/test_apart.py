"""Ranks that train apart: given to a method that asks for them, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from harness.api import run_suite
from harness.errors import NotApplicable
from runners.apart import Apart, ranks_for
from runners.ranks import Ranks
from runners.shards import Shards
from tests.methods.attaching import attach, backbone
from tests.runners.faulty import suite


def test_gradients_of_ranks_that_train_apart_stay_their_own() -> None:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    Apart(1, 2).add_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0, 3.0]


def test_only_a_method_with_ranks_trains_apart() -> None:
    two = attach("sparse_update", backbone("bert"), count=10, ranks=2).method
    assert isinstance(ranks_for(two, Ranks(1, 2)), Apart)
    assert ranks_for(two, Ranks(1, 2)).index == 1
    for other in (attach("lora", backbone("bert")).method, attach("sparse_update", backbone("bert"), count=10).method):
        ranks = Ranks(0, 2)
        assert ranks_for(other, ranks) is ranks


def test_another_number_of_ranks_than_ranks_is_refused_with_what_to_do() -> None:
    method = attach("sparse_update", backbone("bert"), count=10, ranks=2).method
    with pytest.raises(NotApplicable, match=r"asks for 2 ranks and has 1; give the suite resources: \{ranks: 2\}"):
        ranks_for(method, Ranks())
    with pytest.raises(NotApplicable, match="leave sharded out"):
        ranks_for(method, Shards(0, 2))


def test_ranks_that_merge_leave_one_record_with_what_they_sent_and_the_epochs_wrote(tmp_path: Path) -> None:
    updates = {"budget": 100, "samples": 4, "ranks": 2, "merge_every": 1}
    ask = {"backbones": ["tiny:llama"], "resources": {"ranks": 2}}
    (record,) = run_suite(suite([{"sparse_update": updates}], **ask), out=tmp_path, workers=1, device="cpu").records
    assert (record.status, record.environment["ranks"]) == ("ok", 2), record.error
    assert record.counts is not None
    head = record.counts.head
    assert record.counts.trained == 100
    assert record.cost.checkpoint_bytes == 4 * (2 * 100 + head)
    assert record.counts.stored_bits > 2 * 100 * 32, "the other rank's scalars are in the model, too"
    merged = record.cost.sent_bytes
    assert merged is not None
    assert record.cost.steps is not None
    assert merged > record.cost.steps * 4 * (100 + head), "every step was merged, and the masks were told before"


def test_ranks_without_ranks_are_not_applicable_and_others_send_nothing(tmp_path: Path) -> None:
    methods = [{"sparse_update": {"budget": 100, "samples": 4, "ranks": 2}}, "head_only"]
    found = run_suite(suite(methods, backbones=["tiny:llama"]), out=tmp_path, workers=1, device="cpu").records
    apart, other = sorted(found, key=lambda record: record.spec.method, reverse=True)
    assert apart.status == "not_applicable"
    assert apart.error is not None
    assert "asks for 2 ranks and has 1" in apart.error.message
    assert (other.status, other.cost.sent_bytes, other.cost.checkpoint_bytes) == ("ok", None, None)
