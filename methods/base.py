"""Base: the pretrained backbone with its freshly initialised head, nothing trained.

Paper: none; the reference line that every method starts from.    Code: none
Maths: y = f(x; theta_0)    Count: 0
Starts at identity: yes, it is the identity.
"""

from __future__ import annotations

from harness.method import Method

CARD = {
    "name": "base",
    "title": "Nothing trained",
    "paper": "reference point",
    "url": "",
    "year": 2018,
    "code": None,
    "version": 1,
    "count": "0",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {},
    "targets": "none",
}


class Base(Method):
    """Train nothing, not even the head."""

    trains_head = False


METHOD = Base
