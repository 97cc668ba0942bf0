"""Devices: what a name means on this machine, and which names are refused."""

from __future__ import annotations

import pytest
import torch

from harness.devices import check_device, resolve_device
from harness.errors import UnknownName


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    check_device("auto")
    check_device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "CPU", ""])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name: str) -> None:
    for asked in (check_device, resolve_device):
        with pytest.raises(UnknownName, match=rf"unknown device '{name}' in --device; .*cpu"):
            asked(name)
