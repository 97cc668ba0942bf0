"""Claims about draws: they follow the seed where they are drawn, and nothing is left attached."""

from __future__ import annotations

from harness import registry
from runners import specimen
from runners.regression import draws


def test_a_seed_moves_what_is_drawn_and_nothing_else() -> None:
    found = draws.values()
    masks = {name: value for name, value in found.items() if "indices" in str(value)}
    indices = {name: str(value).partition(", ")[0] for name, value in masks.items()}
    assert indices["random_mask, seed 0"] != indices["random_mask, seed 1"]
    assert indices["magnitude_mask, seed 0"] == indices["magnitude_mask, seed 1"]
    assert found["lora, seed 0"] != found["lora, seed 1"]
    assert len(masks) >= 10
    methods = {name for name, entry in registry.methods().items() if entry.origin == "built-in" and not entry.family}
    assert {name.partition(",")[0] for name in found} == methods


def test_draws_are_the_same_twice() -> None:
    assert draws.values() == draws.values()
    assert draws.streams() == draws.streams()


def test_digests_tell_tensors_apart_by_name_shape_and_value() -> None:
    template = specimen.load("tiny:bert")
    named = dict(list(template.pristine.items())[:3])
    assert draws._of(named) == draws._of(dict(reversed(named.items())))
    first = next(iter(named))
    assert draws._of(named) != draws._of({**named, first: named[first].flatten()})
    assert draws._of(named) != draws._of({**named, first: named[first] + 1})
