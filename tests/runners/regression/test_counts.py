"""Claims about counts: by hand on one backbone, for every method and backbone, and the same from several processes."""

from __future__ import annotations

from harness import registry, tiny
from runners.regression import counts


def test_counts_by_hand() -> None:
    found = counts.on_backbone("bert", family=False)
    # Two blocks of four 32 x 32 and two 32 x 64 weights: rank r takes r (4 (32 + 32) + 2 (32 + 64)) each; N is 31,744.
    per_rank = 2 * (4 * 64 + 2 * 96)
    line = f"own {8 * per_rank}, of a tenth {3 * per_rank}, floor {per_rank}, ceiling {32 * per_rank}"
    assert found["lora on tiny:bert"] == line
    assert (
        found["random_mask on tiny:bert"] == f"own none, of a tenth 3174, floor 1, ceiling {2 * (4 * 1024 + 2 * 2048)}"
    )
    assert found["full on tiny:bert"] == "own 31744"
    assert found["base on tiny:bert"] == "own 0"


def test_every_method_meets_every_backbone() -> None:
    found = counts.values(family=False)
    methods = [name for name, entry in registry.methods().items() if entry.origin == "built-in" and not entry.family]
    assert set(found) == {f"{method} on tiny:{one}" for method in methods for one in tiny.ARCHITECTURES}
    assert len(found) > 100


def test_members_of_families_are_counted_apart() -> None:
    found = counts.on_backbone("gpt2", family=True)
    assert found["peft/lora on tiny:gpt2"].startswith("own ")  # type: ignore[union-attr]
    assert all(name.startswith("peft/") for name in found)
    assert len(found) >= 45
