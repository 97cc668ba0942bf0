"""lm-eval's model around one in memory: a second scoring encodes nothing, and filters are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.encoding import encode
from harness.errors import UnknownName
from harness.live import judge, live, respond
from harness.requests import ask
from tests.tasks.lm_tasks import TASKS, backbone, write

FILTERS = [
    {"name": "whole", "filter": [{"function": "take_first"}]},
    {"name": "short", "filter": [{"function": "regex", "regex_pattern": "(.)"}, {"function": "take_first"}]},
]


def test_a_second_scoring_encodes_nothing_and_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys, loaded = write(tmp_path), backbone()
    asked = ask(toys.part("choice"), f"path:{toys.folder / 'choice.yaml'}")
    encoded = encode(asked, loaded.tokenizer, 64)
    said = []
    for _ in range(2):
        with live(loaded.model, loaded.tokenizer, 4, 64) as scorer:
            monkeypatch.setattr(type(scorer), "tok_encode", None)
            respond(scorer, asked, encoded)
        said.append(judge(asked))
    assert repr(said[0]) == repr(said[1])


def test_a_filter_is_chosen_by_name(tmp_path: Path) -> None:
    toys = write(tmp_path, {"text": TASKS["text"] | {"filter_list": FILTERS}})
    loaded = backbone()
    asked = ask(toys.part("text"), f"path:{toys.folder / 'text.yaml'}")
    with live(loaded.model, loaded.tokenizer, 4, 64) as scorer:
        respond(scorer, asked, encode(asked, loaded.tokenizer, 64))
    whole, short = judge(asked)[1], judge(asked, "short")[1]
    assert [text[:1] for text in whole] == short
    assert any(len(text) > 1 for text in whole)
    with pytest.raises(UnknownName, match="unknown filter 'longer'.*whole"):
        judge(asked, "longer")
