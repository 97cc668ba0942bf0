"""The generated reading task says what its answers claim, stays the same, and gives nothing away to a simple rule."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks.embedded_span
from harness import registry
from harness.metric import find
from harness.task import TaskCard
from tasks.embedded_span import CARDS, QUESTIONS, TASK, Story, write

CARD = TaskCard.model_validate(CARDS[0])
FIRST_ROWS = "cd9c56fe01eedc82"
# The oracle knows the shapes of a story and reads each part from them; nothing here comes from the grammar.
HANDED = "sold|lent|sent|passed|handed"
TO, BY = r"(?: to the (?P<receiver>[a-z ]+?))?", r"(?: by the (?P<giver>[a-z ]+?))?"
REST = r"(?: near the (?P<place>\w+))?(?: on (?P<day>\w+day))?"
SHAPES = [
    rf"the (?P<thing>[a-z ]+?) was (?:{HANDED}){TO}{BY}{REST}",
    rf"the (?P<giver>[a-z ]+?) (?:{HANDED}) the (?P<thing>[a-z ]+?){TO}{REST}",
]
ASIDE = rf"the [a-z ]+ (?:slept|waited|sang|stood|worked){REST}"
ASKED = {"gave": "giver", "got": "receiver", "what": "thing", "where": "place", "when": "day"}


def read(question: str, context: str) -> str:
    """Return the answer, empty for none: that part of the one sentence in which something changes hands."""
    sentences = context.removesuffix(".").split(". ")
    [event] = [one for one in sentences if re.search(rf"\b({HANDED})\b", one)]
    assert re.fullmatch(ASIDE, next(one for one in sentences if one != event))
    found = next(match for shape in SHAPES if (match := re.fullmatch(shape, event)))
    role = next(role for word, role in ASKED.items() if word in question.split())
    return found.groupdict().get(role) or ""


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict[str, Any]]]:
    task = TASK(CARD)
    return {split: task.table(split).to_pylist() for split in CARD.sizes}


def test_the_card_is_a_literal_of_the_file() -> None:
    tree = ast.parse(Path(tasks.embedded_span.__file__).read_text(encoding="utf-8"))
    literal = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "CARDS")
    assert ast.literal_eval(literal) == CARDS
    assert registry.load_task("embedded/span", "span").card.options == {"unanswerable": True}


def test_splits_have_the_sizes_of_the_card_and_a_quarter_has_no_answer(tables: dict[str, list[dict[str, Any]]]) -> None:
    for split, rows in tables.items():
        assert len(rows) == CARD.sizes[split]  # type: ignore[index]
        assert sum(not row["answers"]["text"] for row in rows) == len(rows) * CARD.metric.chance
        assert {row["question"] for row in rows} == set(QUESTIONS.values())


def test_no_context_occurs_twice_in_or_across_splits(tables: dict[str, list[dict[str, Any]]]) -> None:
    contexts = [row["context"] for rows in tables.values() for row in rows]
    assert len(set(contexts)) == len(contexts) == 5000


def test_answers_can_be_read_from_the_text_and_stand_where_they_are_said_to(
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    for row in (row for rows in tables.values() for row in rows):
        text, start = ("".join(row["answers"]["text"]), row["answers"]["answer_start"])
        assert text == read(row["question"], row["context"]), row
        assert not text or row["context"][start[0] :].startswith(text)


def test_rows_stay_the_same_for_ever(tables: dict[str, list[dict[str, Any]]]) -> None:
    digest = hashlib.sha256(repr([rows[:100] for rows in tables.values()]).encode()).hexdigest()
    assert digest[:16] == FIRST_ROWS, "rows changed: raise the card's version, then pin the new digest"


def test_another_version_draws_other_rows(tables: dict[str, list[dict[str, Any]]]) -> None:
    newer = TASK(CARD.model_copy(update={"version": CARD.version + 1}))
    assert newer.table("evaluation").to_pylist()[:5] != tables["evaluation"][:5]


@given(stream=st.text(max_size=20), told=st.booleans())
def test_every_stream_gives_a_short_plain_story_with_its_answer(stream: str, told: bool) -> None:
    row = write(Story(stream), told)
    assert bool(row.answer) == told
    assert row.answer == read(row.question, row.context)
    assert row.context[row.start :].startswith(row.answer)
    assert re.fullmatch(r"[a-z ]+\. [a-z ]+\.", row.context)
    assert len(row.context.split()) <= 27


def nouns(text: str) -> list[str]:
    """Return the word after each article, preposition of a day, or adjective: what could be an answer."""
    adjectives = "old|quiet|famous|strange|tall|lovely|tired|happy"
    return re.findall(rf"\b(?:the|on) ((?:(?:{adjectives}) )?\w+)", text)


def overlap(question: str, context: str) -> str:
    """Return the first noun of the sentence that shares the most words with the question."""
    words = set(question.strip("?").split())
    return nouns(max(context.split(". "), key=lambda one: len(words & set(one.strip(".").split()))))[0]


def test_simple_rules_stay_far_from_the_ceiling(tables: dict[str, list[dict[str, Any]]]) -> None:
    answers: dict[str, set[str]] = {}
    for row in tables["train"]:
        answers.setdefault(row["question"], set()).update(row["answers"]["text"])

    def by_kind(which: int) -> Callable[[str, str], str]:
        """Answer with the first or last noun that was an answer to this question in training."""
        return lambda question, context: ([one for one in nouns(context) if one in answers[question]] or [""])[which]

    rules: dict[str, Callable[[str, str], str]] = {
        "no answer": lambda question, context: "",
        "first noun": lambda question, context: nouns(context)[0],
        "last noun": lambda question, context: nouns(context)[-1],
        "shared words": overlap,
        "first of its kind": by_kind(0),
        "last of its kind": by_kind(-1),
        "read": read,
    }
    rows, metric = tables["evaluation"], find("squad.f1")
    scores = {
        name: metric.score(
            metric.rows(
                [rule(row["question"], row["context"]) for row in rows], [row["answers"]["text"] for row in rows]
            )
        )
        for name, rule in rules.items()
    }
    assert scores["no answer"] == CARD.metric.chance
    assert scores["read"] == 1.0
    assert max(score for name, score in scores.items() if "noun" in name or "shared" in name) < 0.25
    assert max(score for name, score in scores.items() if "kind" in name) < 0.5
