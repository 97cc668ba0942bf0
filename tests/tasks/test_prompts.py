"""The prompts of ours render as they state, through lm-eval's own task class, and a right answer is scored as one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tasks.prompting import NAMES, config, requests, task

WSC = {"text": "Mark told Pete a lie, so He was angry.", "span1_text": "Pete", "span2_text": "He", "label": 1}
WIC = {"word": "place", "sentence1": "Come to my place.", "sentence2": "A place for all.", "label": 0}
RECORD = {
    "passage": "Costa won.\n@highlight\nKurt ran.\n@highlight\nAll saw it",
    "query": 'It was @placeholder\'s day, and "@placeholder" knew.',
    "entities": ["Kurt", "Costa", "All"],
    "answers": ["All", "Costa"],
}
FILLED = [f'It was {name}\'s day, and "{name}" knew.' for name in RECORD["entities"]]
SQUAD = {
    "title": "Rome",
    "context": "It is old.",
    "question": "What is old?",
    "answers": {"text": ["It", 'it "is"'], "answer_start": [0, 0]},
}
CHOSEN: dict[str, tuple[dict[str, Any], str, list[str], int | list[int]]] = {
    "random_masking/boolq": (
        {"passage": "Cats purr.", "question": "do cats purr", "label": 1},
        "Cats purr. Do cats purr?",
        ["\nNo", "\nYes"],
        1,
    ),
    "random_masking/cb": (
        {"premise": "It rains.", "hypothesis": "it is wet", "label": 2},
        'Suppose the following: It rains. Does "it is wet" follow from it? Say yes, no or maybe.',
        ["\nYes", "\nNo", "\nMaybe"],
        2,
    ),
    "random_masking/copa": (
        {
            "premise": "It rained.",
            "choice1": "The road got wet.",
            "choice2": "I went.",
            "question": "effect",
            "label": 0,
        },
        "It rained so",
        [" the road got wet.", " I went."],
        0,
    ),
    "random_masking/multirc": (
        {"paragraph": "Tom ran.", "question": "Who?", "answer": "Tom", "label": 1},
        'Tom ran.\nQuestion: Who?\nAn answer was found: "Tom". Is it correct? Yes or no?',
        ["\nNo", "\nYes"],
        1,
    ),
    "random_masking/record": (
        RECORD,
        "Costa won.\n- Kurt ran.\n- All saw it\n-",
        [f" {text}" for text in FILLED],
        [1, 2],
    ),
    "random_masking/rte": (
        {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
        'It rains.\nIs it then true that "It is wet."? Yes or no?',
        ["\nYes", "\nNo"],
        0,
    ),
    "random_masking/sst2": (
        {"sentence": "a fine film . ", "label": 1},
        "a fine film . It was",
        [" terrible", " great"],
        1,
    ),
    "random_masking/wic": (
        WIC,
        'Do both sentences use the word "place" with the same meaning? Yes or no?\nCome to my place.\nA place for all.',
        ["\nNo", "\nYes"],
        0,
    ),
    "random_masking/wsc": (
        WSC,
        'Mark told Pete a lie, so He was angry.\nDoes the pronoun "he" stand for Pete in this text? Yes or no?',
        ["\nNo", "\nYes"],
        1,
    ),
    "mmlu_auxiliary": (
        {"question": " 1 + 1? ", "choices": ["0", "2", 'it\'s "3"', "4"], "answer": 1},
        '1 + 1?\nA. 0\nB. 2\nC. it\'s "3"\nD. 4\nAnswer:',
        [" A", " B", " C", " D"],
        1,
    ),
}
"""Prompt to a row, its context, its continuations, and which of them are right."""
WRITTEN: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "squad_v1": (SQUAD, "Title: Rome\nContext: It is old.\nQuestion: What is old?\nAnswer:", ["It", 'it "is"']),
    "squad_v2": (
        {**SQUAD, "answers": {"text": [], "answer_start": []}},
        "Title: Rome\nContext: It is old.\nQuestion: What is old?\nAnswer (or unanswerable):",
        ["unanswerable"],
    ),
    "drop": (
        {
            "passage": "Two goals.",
            "question": "How many?",
            "answers": ["2", "two"],
        },
        "Passage: Two goals.\nQuestion: How many?\nAnswer:",
        ["2", "two"],
    ),
    "vicuna": (
        {"question_id": 7, "category": "math", "turns": ["What is 1 + 1?"], "reference": []},
        "What is 1 + 1?\n",
        [],
    ),
}
"""Prompt of a text that is generated to a row, its context, and the accepted answers."""


def test_every_prompt_is_checked_here() -> None:
    elsewhere = {name for name in NAMES if name.startswith("embedded")}
    assert {*CHOSEN, *WRITTEN, "instruct"} == set(NAMES) - elsewhere


@pytest.mark.parametrize("name", CHOSEN)
def test_a_choice_is_asked_for_as_stated(name: str) -> None:
    row, context, continuations, _ = CHOSEN[name]
    asked = requests(task(config(name), [row]), row)
    assert asked == [(context, continuation) for continuation in continuations]


@pytest.mark.parametrize("name", CHOSEN)
def test_only_the_right_choice_scores(name: str) -> None:
    row, _, continuations, right = CHOSEN[name]
    met = task(config(name), [row])
    for chosen in range(len(continuations)):
        results = [(0.0 if choice == chosen else -1.0, False) for choice in range(len(continuations))]
        expected = chosen in right if isinstance(right, list) else chosen == right
        assert met.process_results(row, results)["acc"] == float(expected)


def test_copa_asks_for_a_cause_with_because() -> None:
    row = {"premise": "I fell!", "choice1": "Ice lay there.", "choice2": "I'm old.", "question": "cause", "label": 1}
    assert requests(task(config("random_masking/copa"), [row]), row) == [
        ("I fell! because", " ice lay there."),
        ("I fell! because", " i'm old."),
    ]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_text_is_asked_for_as_stated(name: str) -> None:
    row, context, answers = WRITTEN[name]
    met = task(config(name), [row])
    ((asked, settings),) = requests(met, row)
    assert asked == context
    assert not settings["do_sample"]
    if answers:
        assert met.doc_to_target(row) == answers
        assert (settings["until"], settings["max_gen_toks"]) == (["\n"], 50)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (" in 1066\n", "in 1066"),
        ("unanswerable", ""),
        (" Unanswerable.", ""),
        ("unanswerables", "unanswerables"),
        ("", ""),
    ],
)
def test_squad_without_an_answer_is_read_as_none(said: str, read: str) -> None:
    row = WRITTEN["squad_v2"][0]
    (pipeline,) = task(config("squad_v2"), [row])._filters
    resps, docs = [[said]], [row]
    for step in pipeline.filters:
        resps = list(step().apply(resps, docs))
    assert resps == [read]


@pytest.mark.parametrize(
    ("extra", "middle"), [("", ""), ("3 and 4", "### Input:\n3 and 4\n\n")], ids=["no input", "input"]
)
def test_an_instruction_leaves_out_an_input_that_is_empty(extra: str, middle: str) -> None:
    row = {"instruction": "Add.", "input": extra, "output": "Seven."}
    ((context, response),) = requests(task(config("instruct"), [row]), row)
    assert context == f"### Instruction:\nAdd.\n\n{middle}### Response:"
    assert response == "\nSeven."
