"""Head only: a linear probe; the backbone is frozen and the newly initialised head is trained.

Paper: none; the reference point that every method must beat.    Code: none
Maths: y = h(f(x; theta_0); w), only w moves    Count: 0 (no method is charged for the head)
Starts at identity: yes, the backbone never changes.
"""

from __future__ import annotations

from torch import nn

from harness.errors import NotApplicable
from harness.method import Method, Plan

CARD = {
    "name": "head_only",
    "title": "Head only (linear probe)",
    "paper": "reference point",
    "url": "",
    "year": 2018,
    "code": None,
    "version": 1,
    "count": "0",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {"lr": [1e-3, 1.0]},
    "targets": "none",
}


class HeadOnly(Method):
    """Train the head and nothing else, which is what the contract does by itself."""

    def count(self, model: nn.Module, plan: Plan) -> int:
        if not plan.head:
            raise NotApplicable("this model has no head for the task, so nothing would be trained; base is the same")
        return super().count(model, plan)


METHOD = HeadOnly
