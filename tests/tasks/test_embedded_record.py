"""The generated records are read back from every sentence, stay the same, and need more than copying."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks.embedded_record
from harness import metric
from harness.task import TaskCard
from tasks.embedded import Draw
from tasks.embedded_record import CARDS, TASK, line, record, sentences

CARD = TaskCard.model_validate(CARDS[0])
FIRST_ROWS = "08c6aa9e9ec75284"

# The oracle knows its own words and reads the record back from a sentence; nothing here comes from the grammar.
SINGULAR = {
    "cats": "cat", "dogs": "dog", "owls": "owl", "foxes": "fox", "ponies": "pony", "mice": "mouse", "geese": "goose",
}  # fmt: skip
COUNTS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
PREPOSITIONS = {"sea": "by", "lake": "by", "hill": "on", "farm": "on", "wood": "in", "barn": "in"}
OWNER, THING = (
    r"(?P<owner>ann|ben|eva|max|tom|zoe)",
    r"(?P<count>\w+) (?:(?P<colour>red|grey|black|white|orange|ivory) )?(?P<noun>\w+)",
)
PLACE = r"(?P<preposition>by|on|in) the (?P<place>\w+)"
FORMS = (
    rf"{OWNER} has {THING}(?: {PLACE})?\.",
    rf"{THING}(?: {PLACE})? (?P<verb>belongs?) to {OWNER}\.",
    rf"(?:{PLACE}, )?{OWNER} keeps {THING}\.",
)


def read(sentence: str) -> str:
    """Return the line of the record that a sentence speaks of."""
    found = [match.groupdict() for form in FORMS if (match := re.fullmatch(form, sentence))]
    assert len(found) == 1, sentence
    facts = found[0]
    number, noun = COUNTS[facts["count"]], facts["noun"]
    assert (noun in SINGULAR) == (number > 1) or noun == "sheep", sentence
    if number == 1:
        following = facts["colour"] or noun
        assert facts["count"] == ("an" if following[0] in "aeiou" else "a"), sentence
    assert facts.get("verb") in (None, "belongs" if number == 1 else "belong"), sentence
    assert facts["place"] is None or PREPOSITIONS[facts["place"]] == facts["preposition"], sentence
    return f"{facts['owner']} {number} {SINGULAR.get(noun, noun)} {facts['colour'] or '-'} {facts['place'] or '-'}"


def rows(split: str) -> list[tuple[str, list[str]]]:
    table = TASK(CARD).table(split)  # type: ignore[arg-type]  # one of the card's splits
    return list(zip(table["record"].to_pylist(), table["sentences"].to_pylist(), strict=True))


def test_the_card_is_a_literal_of_the_file() -> None:
    tree = ast.parse(Path(tasks.embedded_record.__file__).read_text(encoding="utf-8"))
    literal = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "CARDS")
    assert ast.literal_eval(literal) == CARDS


def test_splits_have_the_sizes_of_the_card_and_no_record_twice() -> None:
    lines = {split: [record for record, _ in rows(split)] for split in ("train", "evaluation")}
    assert {split: len(found) for split, found in lines.items()} == CARD.sizes
    together = [*lines["train"], *lines["evaluation"]]
    assert len(set(together)) == len(together)


def test_every_sentence_says_its_record() -> None:
    for split in ("train", "evaluation"):
        for record_line, texts in rows(split):
            assert len(set(texts)) == 3
            assert [read(text) for text in texts] == [record_line] * 3


def test_rows_stay_the_same_for_ever() -> None:
    first = {split: rows(split)[:100] for split in ("train", "evaluation")}
    assert first == {split: rows(split)[:100] for split in ("train", "evaluation")}
    digest = hashlib.sha256(repr([first["train"], first["evaluation"]]).encode()).hexdigest()
    assert digest[:16] == FIRST_ROWS, "rows changed: raise the card's version, then pin the new digest"


def test_another_version_draws_other_rows() -> None:
    newer = TASK(CARD.model_copy(update={"version": 2})).table("evaluation")
    assert newer["record"].to_pylist()[:5] != [record_line for record_line, _ in rows("evaluation")[:5]]


@given(stream=st.text(max_size=20))
def test_every_stream_gives_sentences_that_a_byte_model_can_write_in_full(stream: str) -> None:
    drawn = record(Draw(stream))
    texts = sentences(*drawn)
    assert [read(text) for text in texts] == [line(*drawn)] * 3
    assert max(len(text) for text in texts) < int(str(CARD.options["max_new_tokens"])), "with its end"


REFERENCES = [texts for _, texts in rows("evaluation")]


def bleu(predictions: list[str]) -> float:
    found = metric.find(CARD.metric.name)
    return found.score(found.rows(predictions, REFERENCES))


def test_perfect_sentences_reach_the_ceiling() -> None:
    for place in range(3):
        assert bleu([texts[place] for texts in REFERENCES]) == pytest.approx(CARD.metric.ceiling)


def test_copying_the_record_into_a_template_is_far_from_enough() -> None:
    template = []
    for record_line, _ in rows("evaluation"):
        owner, number, animal, colour, place = record_line.split()
        template.append(
            f"{owner} has {number} {colour} {animal} by the {place}.".replace("- ", "").replace(" by the -", "")
        )
    assert bleu([record_line for record_line, _ in rows("evaluation")]) < 0.05
    assert bleu(template) < 0.5


def test_the_chance_level_is_what_the_best_of_one_hundred_constant_sentences_reaches() -> None:
    constants = [texts[0] for _, texts in rows("train")[:100]]
    best = max(bleu([constant] * CARD.sizes["evaluation"]) for constant in constants)
    assert best == pytest.approx(CARD.metric.chance, abs=0.005)
