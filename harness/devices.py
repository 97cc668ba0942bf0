"""Devices: what a name such as ``auto`` or ``cuda:1`` means on this machine."""

from __future__ import annotations

from harness.errors import UnknownName


def check_device(name: str) -> None:
    """Refuse a device that is not here; the two that always are need no tensor library to know."""
    if name not in ("auto", "cpu"):
        resolve_device(name)


def resolve_device(name: str) -> str:
    """Return the device that a name means here; ``auto`` is a GPU where there is one.

    Raises:
        UnknownName: for a device that is not here.
    """
    if name == "cpu":  # which needs no tensor library to know
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    allowed = ["auto", "cpu", *(["cuda"] if count else []), *(f"cuda:{index}" for index in range(count))]
    if name not in allowed:
        raise UnknownName("device", name, allowed, "--device")
    return name
