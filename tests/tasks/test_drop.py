"""DROP's answers are whole in every form that its rows come in, and its card agrees with the real rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.metric import find
from harness.splits import Part

NO_DATE = {"day": "", "month": "", "year": ""}


def answer(number: str = "", spans: tuple[str, ...] = (), **date: str) -> dict[str, Any]:
    return {"number": number, "date": {**NO_DATE, **date}, "spans": list(spans), "worker_id": "w", "hit_id": "h"}


WHOLE = [
    (answer(spans=("Tom Brady", "Carson Palmer")), [answer(spans=("Tom Brady",)), answer(number="2")]),
    (answer(number="12"), [answer(number="12")]),
    (answer(day="3", month="May"), []),
    (answer(), [answer(spans=("the Bears",))]),
    (answer(), []),
]
TEXTS = [["Tom Brady and Carson Palmer", "Tom Brady", "2"], ["12"], ["3 May"], ["the Bears"], [""]]


def in_mirror(folder: Path, hub: str, rows: dict[str, Any]) -> Part:
    """A mirror whose evaluation split has some rows."""
    place = folder / hub / "default"
    place.mkdir(parents=True)
    pq.write_table(pa.table(rows), place / "validation.parquet")
    return Part(registry.load_task("drop/all"), "evaluation", DataSource(folder))


@pytest.mark.parametrize("form", ["a list of answers", "a list of each field"])
def test_an_answer_of_several_spans_is_one_answer(tmp_path: Path, form: str) -> None:
    further: list[Any] = [others for _, others in WHOLE]
    if form == "a list of each field":
        further = [{key: [one[key] for one in others] for key in answer()} for others in further]
    part = in_mirror(
        tmp_path, "EleutherAI/drop", {"answer": [first for first, _ in WHOLE], "validated_answers": further}
    )
    assert part.fields(answers=list)["answers"] == TEXTS
    f1, em = find("drop.f1"), find("drop.em")
    half = [["Tom Brady and Carson Palmer"]]
    assert em.score(em.rows(["Tom Brady"], half)) == 0
    assert f1.score(f1.rows(["Tom Brady"], half)) == pytest.approx(0.57)


def test_joined_answers_of_a_mirror_are_read_and_flat_ones_refused(tmp_path: Path) -> None:
    spans = {"spans": ["a and b", "a"], "types": ["span", "span"]}
    part = in_mirror(tmp_path / "joined", "ucinlp/drop", {"answers_spans": [spans]})
    assert part.fields(answers=list)["answers"] == [["a and b", "a"]]
    flat = in_mirror(tmp_path / "flat", "ucinlp/drop", {"answers_spans": [spans] * 9535})
    with pytest.raises(MissingPrerequisite, match="hub's ucinlp/drop, whose answers .* fetch EleutherAI/drop"):
        flat.fields(answers=list)
    other = in_mirror(tmp_path / "other", "EleutherAI/drop", {"passage": ["p"]})
    with pytest.raises(MissingPrerequisite, match="no columns answer and validated_answers.*; they have passage"):
        other.fields(answers=list)


def answers(split: str) -> list[list[str]]:
    part = Part(registry.load_task("drop/all"), split, DataSource.of())  # type: ignore[arg-type]  # a split
    return part.fields(answers=list)["answers"]


@pytest.mark.data
def test_chance_is_the_best_constant_on_all_development_questions() -> None:
    # The mirror cuts train and evaluation from the official development split, so both together are all of it.
    everything = answers("train") + answers("evaluation")
    assert len(everything) == 9536
    often = Counter(text for accepted in everything for text in set(accepted)).most_common(3)
    metric = find("drop.f1")
    reached = max(metric.score(metric.rows([text] * len(everything), everything)) for text, _ in often)
    assert registry.load_task("drop/all").card.metric.chance == pytest.approx(reached, abs=5e-5)


@pytest.mark.data
def test_any_accepted_answer_reaches_the_ceiling() -> None:
    accepted = answers("evaluation")[:500]
    for name in ("drop.f1", "drop.em", "squad.f1"):
        metric = find(name)
        for pick in (0, -1):
            rows = metric.rows([texts[pick] for texts in accepted], accepted)
            assert metric.score(rows) >= 0.99, name  # a few accepted answers are bare of words
