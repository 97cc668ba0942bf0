"""Rounds: masks are dealt evenly; what merges do is shown with real ranks in ``tests.methods.test_sparse_update``."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from methods.parts.exchange import Exchange
from methods.parts.kept import KeptPart
from methods.parts.rounds import Rounds, deal_out


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4), masks=st.integers(1, 4))
def test_dealt_masks_are_disjoint_even_and_whole(sizes: list[int], masks: int) -> None:
    support = {str(place): torch.arange(size) for place, size in enumerate(sizes)}
    dealt = deal_out(support, masks)
    counts = [sum(map(len, one.values())) for one in dealt]
    assert max(counts) - min(counts) <= 1
    assert counts == sorted(counts, reverse=True)
    for name, indices in support.items():
        assert sorted(place for one in dealt for place in one[name].tolist()) == indices.tolist()


def test_a_rank_alone_trains_the_first_mask_and_knows_what_the_others_have_to_add_to() -> None:
    layer = nn.Linear(4, 3, bias=False).requires_grad_(False)
    part = KeptPart(layer, {"weight": torch.empty(0, dtype=torch.int64)})
    rounds = Rounds(part, Exchange(2), mean=False)
    before = rounds.select(deal_out({"weight": torch.tensor([1, 4, 6, 9])}, 2))
    assert part.indices["weight"].tolist() == [1, 6]
    assert before["weight"].tolist() == [-1, -1]
    ((places, base),) = rounds._others[0].values()
    assert places.tolist() == [4, 9]
    assert torch.equal(base, layer.weight.flatten()[[4, 9]])
    rounds.take_up()  # nothing was looked at
    assert torch.equal(part.base["weight"], layer.weight.flatten()[[1, 6]])
