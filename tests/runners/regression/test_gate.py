"""Claims about the gate: which groups it looks at, what it accepts, and that one broken group hides no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UnknownName, UserError
from harness.gate import Outcome
from methods.lora import Lora
from runners.regression import metrics
from tests.runners.regression.gating import COMMITTED, failed, gate


def test_only_chosen_groups_are_looked_at() -> None:
    report = gate("exact/metrics", "exact/streams")
    assert {check.group for check in report.checks} == {"exact/metrics", "exact/streams"}
    with pytest.raises(UnknownName, match="did you mean exact/metrics"):
        gate("exact/metric")
    with pytest.raises(UnknownName, match="unknown method"):
        gate("micro", methods=["lorra"])


def test_every_committed_file_is_of_a_group() -> None:
    from runners.regression.gate import MICRO, Gate

    groups = {group.name for group in Gate(COMMITTED, lambda folders, out: None).groups()}
    files = {path.relative_to(COMMITTED).with_suffix("").as_posix() for path in COMMITTED.glob("*/*.json")}
    assert files - {"micro/known"} == groups | set(MICRO) - {"micro/runs", "micro/floors"}


def test_accepting_writes_values_that_then_pass(tmp_path: Path) -> None:
    accepted = gate("exact/metrics", folder=tmp_path, accepting=True)
    assert accepted.outcome is Outcome.PASS
    assert "exact/metrics: + accuracy: [0.6666666666666666, 0.875]" in accepted.notes
    assert gate("exact/metrics", folder=tmp_path).outcome is Outcome.PASS
    assert gate("exact/metrics", folder=tmp_path, accepting=True).notes == ("exact/metrics: nothing changed",)
    assert (tmp_path / "exact" / "metrics.json").read_bytes() == (COMMITTED / "exact" / "metrics.json").read_bytes()


def test_some_methods_alone_cannot_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--method"):
        gate("micro", folder=tmp_path, accepting=True, methods=["lora"])


def test_losses_of_runs_that_failed_are_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import registry

    alone = {"lora": registry.methods()["lora"]}
    monkeypatch.setattr(registry, "methods", lambda: alone)
    monkeypatch.setattr(Lora, "attach", lambda *given: 1 / 0)
    report = gate("micro/losses", "micro/runs", folder=tmp_path, accepting=True)
    assert report.outcome is Outcome.FAIL
    assert "micro/losses: not accepted, since some of its runs failed" in report.notes
    assert not (tmp_path / "micro").exists()


def test_a_group_that_cannot_be_computed_fails_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BY_KIND", {})
    report = gate("exact/metrics", "exact/streams")
    assert failed(report) == {"exact/metrics": ["values"]}
    assert "cannot be computed" in report.odd[0].detail
    assert sum(check.group == "exact/streams" for check in report.checks) == 10


def test_other_versions_leave_the_losses_unseen_and_the_runs_looked_at(tmp_path: Path) -> None:
    for name in ("losses", "items"):
        committed = json.loads((COMMITTED / "micro" / f"{name}.json").read_text())
        committed["versions"] = {**committed["versions"], "torch": "1.0"} if name == "losses" else {}
        (tmp_path / "micro").mkdir(exist_ok=True)
        (tmp_path / "micro" / f"{name}.json").write_text(json.dumps(committed))
    report = gate("micro", folder=tmp_path, methods=["lora"])
    assert report.outcome is Outcome.PASS
    assert [check.mark for check in report.odd] == ["not looked at"]
    assert "torch 1.0 when committed" in report.odd[0].detail
    assert sum(check.group == "micro/runs" for check in report.checks) == 5
