"""Protocols are found by file name, and each offers what the loop and the scorer call."""

from __future__ import annotations

import inspect

import pytest

from harness.errors import MissingPrerequisite, UnknownName
from harness.protocol import Protocol, meet, names, protocol_class
from harness.registry import load_task

NEEDED = ("build", "encode", "collate", "loss")
"""What has no default in the contract."""


@pytest.mark.parametrize("name", names())
def test_every_protocol_offers_the_whole_contract(name: str) -> None:
    kind = protocol_class(name)
    assert issubclass(kind, Protocol)
    assert kind.KINDS
    assert kind.__name__.lower() == name
    for function, wanted in inspect.getmembers(Protocol, inspect.isfunction):
        found = getattr(kind, function)
        assert list(inspect.signature(found).parameters) == list(inspect.signature(wanted).parameters)
        assert function not in NEEDED or found is not wanted, f"{name} lacks {function}"
    assert kind.outputs is not Protocol.outputs or kind.predict is not Protocol.predict


def test_an_unknown_protocol_offers_the_nearest() -> None:
    assert "classify" in names()
    with pytest.raises(UnknownName, match="unknown protocol 'clasify'; did you mean classify"):
        protocol_class("clasify")
    with pytest.raises(UnknownName):
        protocol_class("__init__")


def test_a_value_that_a_protocol_does_not_know_is_refused_by_name() -> None:
    card = load_task("glue/rte").card
    with pytest.raises(MissingPrerequisite, match="options of classify for glue/rte: unknown key 'beams'"):
        meet("classify", card, {"beams": 4})
