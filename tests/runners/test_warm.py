"""What a worker keeps between runs saves time and unseals nothing."""

from __future__ import annotations

import pytest
import torch

from harness.splits import SealedSplit
from runners import prepare
from runners.execute import Outcome
from runners.prepare import protocol_of
from runners.warm import TOKEN_BYTES, Kept, Memory, Warm, held_bytes
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


def test_what_a_method_computed_of_the_data_serves_every_budget_and_is_charged_to_each() -> None:
    def fish(count: int, seed: int = 0, warm: Warm | None = None) -> Outcome:
        return run(spec("fish", values={"count": count, "samples": 8}, seed=seed), warm)

    warm = fresh()
    first, second = fish(60, warm=warm), fish(200, warm=warm)
    assert len(warm.results) == 1
    assert second.seconds["calibrate"] > 0.5 * first.seconds["calibrate"]
    assert any("earlier run" in note for note in second.notes)
    alone = fish(200)
    assert not any("earlier run" in note for note in alone.notes)
    assert second.state is not None
    assert alone.state is not None
    assert all(torch.equal(second.state[name], alone.state[name]) for name in alone.state)
    fish(60, seed=1, warm=warm)  # another head to begin with, and another sample
    assert len(warm.results) == 2


def test_an_untrained_backbone_without_a_head_is_scored_once_for_all_seeds() -> None:
    values = {"train": "embedded/choice", "score": ("embedded/choice",), "protocol": "prompt"}
    warm, found = fresh(), []
    for seed in (0, 1):
        found.append(run(spec("base", "tiny:llama", seed=seed, **values), warm))
    assert len(warm.results) == 1
    assert found[0].scores == found[1].scores
    assert found[0].items is not None
    assert found[0].items.equals(found[1].items)
    assert found[1].seconds["score"] > 0.5 * found[0].seconds["score"]
    alone = run(spec("base", "tiny:llama", seed=1, **values))
    assert alone.scores == found[1].scores
    run(spec("base", seed=0), warm)  # a head's start differs from seed to seed
    assert len(warm.results) == 1


def test_results_that_take_much_memory_are_dropped_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    import runners.warm

    monkeypatch.setattr(runners.warm, "KEPT_RESULTS", 100)
    kept: dict[str, Kept] = {}
    memory = Memory(kept, "here")
    for name in ("a", "b", "c"):
        memory(name, lambda: {"scores": torch.zeros(10)})
    assert list(kept) == ["here/b", "here/c"]


def test_backbones_with_one_tokenizer_share_their_encoded_rows() -> None:
    warm = fresh()
    run(spec("head_only"), warm)
    kept = list(warm.examples)
    run(spec("head_only", "tiny:bert@64x1"), warm)
    assert len(warm.backbones) == 2
    assert list(warm.examples) == kept


def test_the_memory_of_texts_is_reckoned_by_their_tokens() -> None:
    warm = fresh()
    run(spec("head_only"), warm)
    for examples in warm.examples.values():
        assert examples.num_bytes == 0
        assert held_bytes(examples) == TOKEN_BYTES * examples.lengths.sum() > 0


def test_texts_that_take_much_memory_are_dropped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import runners.warm

    monkeypatch.setattr(runners.warm, "KEPT_BYTES", 1)
    warm = fresh()
    run(spec("head_only"), warm)
    assert len(warm.examples) == 1
