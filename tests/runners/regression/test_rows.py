"""Claims about rows: every generated task, policy and role is there, and their digests hang on the order."""

from __future__ import annotations

from harness import registry
from harness.spec import POLICIES
from runners.regression import rows


def test_every_generated_task_and_policy_is_there() -> None:
    found = rows.values()
    generated = {name for name in registry.tasks() if name.startswith("embedded/")}
    assert {task.card.name for task in rows.generated()} == generated
    assert len(generated) >= 7
    for name in generated:
        for policy in POLICIES:
            mine = [key for key in found if key.startswith(f"{name} {policy} ")]
            assert len(mine) in (4, 12), "all and small, two seeds, of three roles or of none"
    assert found["embedded/agreement train: rows"].startswith("4000, ")  # type: ignore[union-attr]
    assert found["embedded/agreement held_out small, seed 0: train"].startswith("40, ")  # type: ignore[union-attr]


def test_a_digest_hangs_on_the_order() -> None:
    assert rows._counted(["a", "b"]) != rows._counted(["b", "a"])
    assert rows._counted(["ab"]) != rows._counted(["a", "b"])
    assert rows._counted(iter(["a", "b"])).startswith("2, ")
