"""An lm-eval task around rows of ours keeps track of them, and its seeds and templates leave everything else alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import stock
from harness.around import seeded
from harness.errors import MissingPrerequisite
from harness.requests import ask
from tests.tasks.lm_tasks import TASKS, Toys, backbone, write

CODE = """
def fewer(rows):
    return rows.filter(lambda row: row["colour"] != 1)

def several(rows):
    return rows.select([row for row in range(len(rows)) for _ in range(2)])

def renamed(rows):
    return rows.map(lambda row: {"what": row["thing"]}, remove_columns=rows.column_names)

def none(rows):
    return rows.select([])
"""


def toys(folder: Path, process: str) -> Toys:
    made = write(folder, {"target": TASKS["target"]})
    (folder / "code.py").write_text(CODE)
    path = folder / "target.yaml"
    text = path.read_text()
    if process == "renamed":
        text = text.replace("{{thing}}", "{{what}}").replace("{{size}}", "{{what}}")
    path.write_text(f"{text}process_docs: !function code.{process}\n")
    return made


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stock.ALLOW_CODE, "1")


def origins(made: Toys) -> list[int]:
    return [item.row for item in ask(made.part("target"), f"path:{made.folder / 'target.yaml'}").items]


def test_documents_know_their_rows(tmp_path: Path) -> None:
    kept = [row for row in range(13) if (row * 7) % 3 != 1]
    assert origins(toys(tmp_path / "a", "fewer")) == kept
    assert origins(toys(tmp_path / "b", "several")) == [row for row in range(13) for _ in range(2)]
    assert origins(toys(tmp_path / "c", "renamed")) == list(range(13))
    with pytest.raises(MissingPrerequisite, match="leaves no document"):
        origins(toys(tmp_path / "d", "none"))


def test_a_row_that_becomes_several_items_names_each(tmp_path: Path) -> None:
    made = toys(tmp_path, "several")
    examples = made.encode("target", backbone().tokenizer)
    assert examples.item_ids[:4] == ("evaluation:0.0", "evaluation:0.1", "evaluation:1.0", "evaluation:1.1")
    assert examples.cluster_ids[:4] == ("evaluation:0", "evaluation:0", "evaluation:1", "evaluation:1")


def test_seeds_are_lm_evals_inside_and_ours_outside() -> None:
    def draw() -> tuple[Any, ...]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    first = draw()
    with seeded():
        inside = draw()
    second = draw()
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    assert (first, second) == (draw(), draw())
    random.seed(0), np.random.seed(1234), torch.manual_seed(1234)
    assert inside == draw()


def test_a_users_template_cannot_reach_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(stock.ALLOW_CODE)
    reach = "{{ ''.__class__.__mro__[1].__subclasses__() | length }} {{thing}}"
    made = write(tmp_path, {"target": TASKS["target"] | {"doc_to_text": reach}})
    with pytest.raises(MissingPrerequisite, match="unsafe"):
        origins(made)
    monkeypatch.setenv(stock.ALLOW_CODE, "1")
    assert len(origins(made)) == 13
