"""What is shown of the registry, and of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import listing
from harness.errors import UnknownName
from harness.record import EpochMetrics, Failure
from tests.leaderboard.making import Made, answers
from tests.runners.matrices import write
from tests.runners.searching import GRID, bill, end, record, started

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


@pytest.mark.parametrize("halving", [False, True])
def test_a_final_is_shown_with_the_bill_of_its_search(tmp_path: Path, halving: bool) -> None:
    searches, trials = started(search={"grid": {"lr": GRID}, "halving": halving}, training={"epochs": 2})
    scores = {trial.training.lr: 0.5 + place / 100 for place, trial in enumerate(trials)}
    status = {trials[0].training.lr: "diverged"}
    ready = trials
    while ready[0].purpose == "trial":
        rates = [(spec, spec.training.lr) for spec in ready]
        ready = end(searches, [record(spec, scores[lr], status=status.get(lr, "ok")) for spec, lr in rates])
    best = max(scores, key=lambda lr: scores[lr])
    paid = bill(searches, ready[0])
    write(record(ready[0], search=paid), tmp_path)
    lines = list(listing.describe_run(listing.find_run("", [tmp_path])))
    (first,) = [place for place, line in enumerate(lines) if line.startswith("  search ")]
    num = 5 if halving else 4
    assert lines[first] == (
        f"  search {paid['search']}: {num} trials (1 diverged, {num - 1} ok), {6 if halving else 8} epochs, "
        f"{1.25 * num} s; by the metric on validation"
    )
    told = lines[first + 1 : first + 1 + num]
    assert [line.split()[0] for line in told] == [trial["run_id"] for trial in paid["trials"]]
    assert [line.strip() for line in told if line.endswith("chosen")] == [
        f"{paid['trials'][-1]['run_id']}  lr {best:g}{', 2 epochs' if halving else ''}  ok  "
        f"metric {scores[best]:.4f}, loss 1.0000  chosen"
    ]
    assert lines[first + 1 + num] == f"  note: lr {best:g} is the largest tried"


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
