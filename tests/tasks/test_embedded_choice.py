"""embedded/choice says what its labels claim, gives nothing away for free, and a tiny language model learns it."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from harness.registry import load_task
from harness.spec import Spec
from tests.runners.specs import run

# The oracle knows its own opposites; nothing here comes from the grammar.
OPPOSITES = dict(chain.from_iterable(((a, b), (b, a)) for a, b in (
    ("hard", "soft"), ("fast", "slow"), ("rich", "poor"), ("open", "shut"),
    ("warm", "cool"), ("wild", "tame"), ("loud", "mute"), ("kind", "mean"),
)))  # fmt: skip
TASK = load_task("embedded/choice")
ROWS = {split: TASK.table(split).to_pylist() for split in ("train", "evaluation")}


def closes(text: str) -> str:
    found = re.fullmatch(r"the [a-z ]+ is (not|never|hardly|yet|still|really) (\w{4}), so it is", text)
    assert found, text
    return OPPOSITES[found[2]] if found[1] in ("not", "never", "hardly") else found[2]


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_the_right_word_is_right_and_stands_once(split: str) -> None:
    assert len(ROWS[split]) == TASK.card.sizes[split]  # type: ignore[index]
    for row in ROWS[split]:
        assert row["choices"][row["label"]] == closes(row["text"])
        assert len(set(row["choices"])) == 4
        assert {OPPOSITES[word] for word in row["choices"]} == set(row["choices"])


def test_no_text_stands_twice() -> None:
    texts = [row["text"] for rows in ROWS.values() for row in rows]
    assert len(set(texts)) == len(texts) == 5000


def test_place_length_and_a_constant_word_are_worth_a_quarter() -> None:
    rows = ROWS["evaluation"]
    places = Counter(row["label"] for row in rows)
    assert max(places.values()) / len(rows) == pytest.approx(0.25, abs=0.005)
    assert {len(word) for row in rows for word in row["choices"]} == {4}
    offered = Counter(word for row in rows for word in row["choices"])
    right = Counter(row["choices"][row["label"]] for row in rows)
    for word in OPPOSITES:
        assert right[word] / offered[word] == pytest.approx(0.25, abs=0.09)


def test_counting_words_is_worth_a_half() -> None:
    """Words and their offered answers together, without the relation of adverb and word, tell the pair only."""
    vectors = CountVectorizer(token_pattern=r"\w+")
    words = sorted(OPPOSITES)
    texts = {split: [row["text"] for row in rows] for split, rows in ROWS.items()}
    model = LogisticRegression(max_iter=300)
    model.fit(vectors.fit_transform(texts["train"]), [words.index(closes(text)) for text in texts["train"]])
    chances = model.predict_log_proba(vectors.transform(texts["evaluation"]))
    said = [
        int(np.argmax([chance[words.index(word)] for word in row["choices"]]))
        for row, chance in zip(ROWS["evaluation"], chances, strict=True)
    ]
    right = np.mean([one == row["label"] for one, row in zip(said, ROWS["evaluation"], strict=True)])
    assert 0.40 < right < 0.60


def test_a_tiny_language_model_learns_it() -> None:
    spec = Spec.model_validate(
        {
            "backbone": "tiny:llama@64x2",
            "method": "full",
            "targets": "all",
            "train": "embedded/choice",
            "score": ("embedded/choice",),
            "protocol": "prompt",
            "sizes": {"train": 1000, "validation": 50, "test": 200},
            "training": {"epochs": 6, "batch_size": 16, "max_length": 96, "lr": 3e-3},
        }
    )
    outcome = run(spec)
    assert outcome.scores[0].metrics["mean.acc"] > 0.9
    assert outcome.reusable
