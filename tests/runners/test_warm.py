"""What a worker keeps between runs saves time and unseals nothing."""

from __future__ import annotations

import pytest

from harness.splits import SealedSplit
from runners import prepare
from runners.prepare import protocol_of
from tests.runners.specs import TASK, fresh, generated_once, run, spec

rows = generated_once


def test_rows_cached_by_a_final_stay_sealed_for_a_trial() -> None:
    warm, asked = fresh(), spec("base", sizes={"train": 48})
    run(asked, warm)
    protocol = protocol_of(asked)
    _, backbone = warm.backbone(asked, protocol)
    sealed = prepare.splits(asked.model_copy(update={"purpose": "trial"}), warm.source).tests[TASK]
    opened = prepare.splits(asked, warm.source).tests[TASK]
    assert sealed.key() == opened.key(), "the cache knows these rows"
    with pytest.raises(SealedSplit):
        warm.encoded(sealed, protocol, backbone, asked)


def test_a_backbone_and_its_rows_are_loaded_once() -> None:
    warm = fresh()
    run(spec("head_only"), warm)
    loaded, encoded = list(warm.backbones.values()), list(warm.examples.values())
    run(spec("full", seed=1), warm)
    assert [id(one) for one in warm.backbones.values()] == [id(one) for one in loaded]
    assert [id(one) for one in warm.examples.values()] == [id(one) for one in encoded]


def test_the_last_few_backbones_are_kept() -> None:
    warm, protocol = fresh(), protocol_of(spec("base"))
    keys = [warm.backbone(spec("base", f"tiny:{name}"), protocol)[0] for name in ("bert", "gpt2", "opt")]
    assert list(warm.backbones) == keys[1:]


def test_encoded_rows_that_take_much_memory_are_dropped_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    import runners.warm

    asked = spec("base", "tiny:vit", train="embedded/shapes", score=("embedded/shapes",), protocol="image")
    whole, warm = 32 * 32 * 3, fresh()
    run(asked, warm)
    names = list(warm.examples)
    assert [one.num_bytes for one in warm.examples.values()] == [48 * whole, 24 * whole, 40 * whole]
    monkeypatch.setattr(runners.warm, "KEPT_BYTES", 70 * whole)
    warm.examples.clear()
    run(asked, warm)
    assert list(warm.examples) == names[1:], "train and validation fit, the test rows took the place of train"
