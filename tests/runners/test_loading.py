"""``evaluate`` is loaded without what no run uses of it, computes all the same, and the rest can be loaded later."""

from __future__ import annotations

import json
import subprocess
import sys

from runners.loading import UNUSED, without

LOADED = """
import importlib, json, sys
from runners.loading import UNUSED, without
from tasks.metrics.module import load, prepare

with without(UNUSED):
    prepare()
number = load("accuracy").compute(predictions=[1, 0, 0], references=[1, 0, 1])
loaded = [name for name in UNUSED if name in sys.modules]
import scipy.stats
from transformers import pipeline
print(json.dumps([number, loaded, scipy.stats.pearsonr([1, 2, 3], [2, 4, 6])[0], pipeline.__name__]))
"""


def test_a_fresh_process_scores_without_them_and_has_them_when_asked() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    number, loaded, correlation, name = json.loads(ended.stdout)
    assert number == {"accuracy": 2 / 3}
    assert loaded == []
    assert (round(correlation, 6), name) == (1, "pipeline")


def test_what_is_loaded_already_stays() -> None:
    before = sys.modules["json"]
    with without(("json", *UNUSED)):
        assert sys.modules["json"] is before
        import json as again
    assert again is before
