"""lm-eval's tasks that need functions which transformers dropped can be imported, and score as SQuAD's script does."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import lm_eval.tasks
import pytest

from harness.former import PACKAGE, stand_in


def record() -> object:
    """Import the code of lm-eval's ReCoRD from its file, as lm-eval does."""
    path = f"{next(iter(lm_eval.tasks.__path__))}/super_glue/record/util.py"
    spec = importlib.util.spec_from_file_location("record_util_of_lm_eval", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_record_of_lm_eval_scores_the_chosen_entity() -> None:
    stand_in()
    process = record().process_results  # type: ignore[attr-defined]  # a module of lm-eval
    doc = {"entities": ["The Hague", "New York City"], "answers": ["hague", "New York"]}
    assert process(doc, [(0.0, True), (-1.0, False)]) == {"f1": 1.0, "em": 1}
    assert process(doc, [(-1.0, True), (0.0, False)]) == {"f1": pytest.approx(0.8), "em": 0}
    assert process({**doc, "answers": ["Paris"]}, [(0.0, True), (-1.0, False)]) == {"f1": 0.0, "em": 0}


def test_what_is_there_stays() -> None:
    stand_in()
    there = sys.modules[PACKAGE]
    stand_in()
    assert sys.modules[PACKAGE] is there
