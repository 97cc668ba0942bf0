"""What a run starts from: cells that make no sense are refused from shapes, and texts are cut where positions end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.backbone import locate
from harness.errors import NotApplicable
from runners import prepare
from runners.prepare import applicable
from tests.runners.specs import METHODS, fresh, generated_once, run, spec

rows = generated_once


def test_texts_are_cut_at_what_the_backbone_has_positions_for() -> None:
    for backbone, allowed in (("tiny:bert", 160), ("tiny:roberta", 159), ("tiny:opt", 160)):
        asked = spec("base", backbone, training={"max_length": 400})
        _, loaded = fresh().backbone(asked, prepare.protocol_of(asked))
        assert prepare.max_length(asked, loaded) == allowed
        ids = torch.full((1, allowed), 7)
        loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    notes = run(spec("base", training={"max_length": 12})).notes
    assert notes[0].endswith("training texts were cut to fit 12 tokens")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "lora", "budget": {"count": 10}}, "smallest is 896 .rank 1"),
        ({"method": "lora", "budget": {"fraction": 1.0}}, "largest is 28672 .rank 32"),
        ({"method": "lora", "budget": {"fraction": 0.1}, "targets": "all"}, "names none"),
        ({"method": "random_mask", "budget": {"fraction": 1.0}}, "largest is 16384 on targets linear"),
        ({"method": "full", "budget": {"fraction": 0.1}}, "Full has one size and takes no budget"),
        ({"method": "bitfit", "backbone": "tiny:llama"}, "has no biases"),
        ({"method": "lora", "backbone": "tiny:vit"}, "reads text; vision came"),
        ({"method": "lora", "targets": ("*.nothing",)}, "matches targets"),
    ],
)
def test_cells_that_make_no_sense_are_found_from_shapes_alone(values: dict[str, Any], message: str) -> None:
    asked = spec(**values)
    with pytest.raises(NotApplicable, match=message):
        applicable(asked, locate(asked.backbone))


@pytest.mark.parametrize("method", METHODS)
def test_cells_that_make_sense_pass(method: str) -> None:
    applicable(spec(method), locate("tiny:bert"))
