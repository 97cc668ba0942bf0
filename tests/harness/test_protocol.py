"""Protocols are found by file name, and each offers what the loop and the scorer call."""

from __future__ import annotations

import inspect

import pytest

from harness.errors import UnknownName
from harness.protocol import FOLDER, Protocol, load_protocol

NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_"))


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_offers_the_whole_contract(name: str) -> None:
    module = load_protocol(name)
    wanted = {key for key, value in vars(Protocol).items() if inspect.isfunction(value) and not key.startswith("_")}
    assert {"build", "load", "encode", "collate", "loss", "predict"} <= wanted
    for function in wanted:
        asked = list(inspect.signature(getattr(Protocol, function)).parameters)[1:]
        assert list(inspect.signature(getattr(module, function)).parameters) == asked
    assert module.KINDS


def test_an_unknown_protocol_offers_the_nearest() -> None:
    assert "classify" in NAMES
    with pytest.raises(UnknownName, match="unknown protocol 'clasify'; did you mean classify"):
        load_protocol("clasify")
    with pytest.raises(UnknownName):
        load_protocol("__init__")
