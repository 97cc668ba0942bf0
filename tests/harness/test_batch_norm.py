"""Statistics move where the backbone says so, come and go with the trained part, and are put back bit by bit."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.backbone import train_mode
from harness.batch_norm import batch_norms, moves, moving_statistics
from harness.method import STATISTICS
from runners.specimen import Specimen, load, start
from tests.methods.attaching import backbone

SCRATCH = "scratch:resnet34-cifar@4"


def started(name: str = "head_only", reference: str = SCRATCH) -> Specimen:
    return start(name, load(reference), targets="all", values={} if name != "random_mask" else {"count": 50})


def test_statistics_move_on_a_backbone_made_from_scratch_only() -> None:
    scratch, pretrained = load(SCRATCH), backbone("resnet")
    norms = batch_norms(scratch.model)
    assert len(norms) == 36  # 33 of the layers' convolutions, 3 of the shortcuts
    assert all(map(moves, norms.values()))
    assert len(moving_statistics(scratch.model)) == 3 * 36
    assert not any(map(moves, batch_norms(pretrained.model).values()))
    assert moving_statistics(pretrained.model) == {}
    for loaded, expected in ((scratch, True), (pretrained, False)):
        train_mode(loaded.model)
        assert {norm.training for norm in batch_norms(loaded.model).values()} == {expected}


@pytest.mark.parametrize("name", ["full", "head_only", "random_mask", "fish", "magnitude_mask"])
def test_the_trained_part_holds_what_moved_and_detaching_takes_it_back(name: str) -> None:
    specimen = start(name, load(SCRATCH), targets="all", values={"count": 50} if "budget" in _card(name) else {})
    before = specimen.outputs()
    specimen.train(2)
    moved, state = specimen.outputs(), specimen.method.state()
    statistics = moving_statistics(specimen.model)
    assert {f"{STATISTICS}{key}" for key in statistics} <= state.keys()
    assert not torch.equal(before, moved)
    assert specimen.method.statistics_bits() == sum(8 * now.nbytes for now in statistics.values()) > 0
    specimen.detach()
    assert specimen.backbone.changed() == []

    again = start(name, specimen.backbone, targets="all", values={"count": 50} if "budget" in _card(name) else {})
    again.method.load_state(state)
    assert torch.equal(again.outputs(), moved)


def test_a_trained_part_without_the_statistics_does_not_fit() -> None:
    specimen = started()
    state = specimen.method.state()
    gone = f"{STATISTICS}resnet.embedder.embedder.normalization.running_mean"
    with pytest.raises(ValueError, match=r"differs in resnet\.embedder\.embedder\.normalization\.running_mean"):
        specimen.method.load_state({key: tensor for key, tensor in state.items() if key != gone})


def test_a_pretrained_backbone_s_trained_part_holds_none() -> None:
    specimen = start("head_only", backbone("resnet"), targets="all")
    specimen.train(2)
    assert not any(name.startswith(STATISTICS) for name in specimen.method.state())
    assert specimen.method.statistics_bits() == 0


def _card(name: str) -> dict[str, object]:
    return dict(registry.methods()[name].card)
