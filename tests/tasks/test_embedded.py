"""The generated tasks say what their labels claim, share no row, stay the same, and hide the label from word counts."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

import tasks.embedded
from harness.task import TaskCard
from tasks.embedded import CARDS, GRAMMARS, TASK, Draw

NAMES = sorted(GRAMMARS)
FIRST_ROWS = {
    "embedded/agreement": "9007062b4bd61d4a",
    "embedded/entailment": "17d4ad34f026ca7d",
    "embedded/polarity": "c8201bc361c5b199",
}

# The oracles know their own words and read the label back from the text; nothing here comes from the grammar.
MEN = "king father uncle boy monk son husband grandfather"
WOMEN = "queen mother aunt girl nun daughter sister grandmother"
KINDS = {
    "man": "father uncle king monk",
    "woman": "mother aunt queen nun",
    "animal": "dog horse cat sheep goat",
    "vehicle": "bus truck car tram van",
    "fruit": "apple pear plum cherry banana",
    "tool": "hammer saw drill wrench axe",
    "instrument": "violin flute drum trumpet piano",
    "building": "church school hotel castle",
    "road": "street lane highway avenue",
    "water": "river lake sea pond",
}
KIND_OF = {word: kind for kind, members in KINDS.items() for word in members.split()}
BAD = "awful dull poor boring mediocre dreadful nasty terrible"
TURNS = re.compile(r"\b(not|never|hardly|doubt|nobody|deny|few|wrong|myth)\b")


def agrees(text: str) -> bool:
    """Read the third word as the subject, and the last reflexive or form of be as what has to agree with it."""
    subject = text.split()[2]
    number = re.search(r"\b(is|are|was|were)\b", text)
    if number:
        return subject.endswith("s") == (number[0] in {"are", "were"})
    gender = re.search(r"\b(himself|herself)\b", text)
    assert gender, f"neither a verb nor a reflexive to check in {text!r}"
    assert subject in f"{MEN} {WOMEN}".split()
    return (subject in MEN.split()) == (gender[0] == "himself")


def entails(premise: str, hypothesis: str) -> bool:
    """Compare word by word: the same word, or the premise's word is one of the hypothesis' kind."""
    pairs = list(zip(premise.strip(".").split(), hypothesis.strip(".").split(), strict=True))
    assert all(a == b or {a, b} <= KINDS.keys() | KIND_OF.keys() for a, b in pairs), "only slots may differ"
    return all(a == b or KIND_OF.get(a) == b for a, b in pairs)


def praises(text: str) -> bool:
    """Cut the concession away, then count what turns the opinion round."""
    main = re.sub(r"^although [^,]*, |, although .*$|^.*, but ", "", text.strip("."))
    return (main.split()[-1] in BAD.split()) == bool(len(TURNS.findall(main)) % 2)


ORACLES: dict[str, Callable[..., bool]] = {
    "embedded/agreement": agrees,
    "embedded/entailment": entails,
    "embedded/polarity": praises,
}


@pytest.fixture(scope="module", params=NAMES)
def task(request: pytest.FixtureRequest) -> tasks.embedded.Embedded:
    return TASK(next(card for card in map(TaskCard.model_validate, CARDS) if card.name == request.param))


def rows(table: pa.Table) -> list[tuple[str | int, ...]]:
    """Return the rows of a table, label last."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_cards_are_a_literal_of_the_file() -> None:
    tree = ast.parse(Path(tasks.embedded.__file__).read_text(encoding="utf-8"))
    literal = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "CARDS")
    assert ast.literal_eval(literal) == CARDS
    assert sorted(str(card["name"]) for card in CARDS) == NAMES


def test_splits_have_the_columns_and_sizes_of_the_card_and_balanced_labels(task: tasks.embedded.Embedded) -> None:
    for split, size in task.card.sizes.items():
        table = task.table(split)
        assert set(table.column_names) == set(task.card.columns.values())
        labels = table[task.card.columns["label"]].to_pylist()
        assert len(labels) == size
        assert [labels.count(label) for label in range(len(task.card.labels))] == [size // 2, size // 2]


def test_no_text_occurs_twice_in_or_across_splits(task: tasks.embedded.Embedded) -> None:
    texts = [row[:-1] for split in task.card.sizes for row in rows(task.table(split))]
    assert len(set(texts)) == len(texts) == sum(task.card.sizes.values())


def test_labels_can_be_read_back_from_the_text(task: tasks.embedded.Embedded) -> None:
    for split in task.card.sizes:
        wrong = [row for row in rows(task.table(split)) if ORACLES[task.card.name](*row[:-1]) != bool(row[-1])]
        assert not wrong, wrong[:3]


def test_rows_stay_the_same_for_ever(task: tasks.embedded.Embedded) -> None:
    first = {split: rows(task.table(split)) for split in task.card.sizes}
    assert first == {split: rows(task.table(split)) for split in task.card.sizes}
    digest = hashlib.sha256(repr([first["train"][:100], first["evaluation"][:100]]).encode()).hexdigest()
    assert digest[:16] == FIRST_ROWS[task.card.name], "rows changed: raise the card's version, then pin the new digest"


def test_another_version_draws_other_rows(task: tasks.embedded.Embedded) -> None:
    newer = TASK(task.card.model_copy(update={"version": task.card.version + 1}))
    assert rows(newer.table("evaluation"))[:5] != rows(task.table("evaluation"))[:5]


def test_word_counts_do_not_give_the_label_away(task: tasks.embedded.Embedded) -> None:
    train, evaluation = task.table("train"), task.table("evaluation")
    sides = [column for field, column in task.card.columns.items() if field != "label"]
    counters = [CountVectorizer().fit(train[side].to_pylist()) for side in sides]
    counts = [
        scipy.sparse.hstack([c.transform(table[s].to_pylist()) for c, s in zip(counters, sides, strict=True)]).tocsr()
        for table in (train, evaluation)
    ]
    model = LogisticRegression(max_iter=1000).fit(counts[0], train["label"].to_pylist())
    assert model.score(counts[1], evaluation["label"].to_pylist()) < 0.6


@pytest.mark.parametrize("name", NAMES)
@given(stream=st.text(max_size=20), label=st.integers(0, 1))
def test_every_stream_gives_short_plain_text_with_its_label(name: str, stream: str, label: int) -> None:
    texts = GRAMMARS[name](Draw(stream), label)
    assert ORACLES[name](*texts) == bool(label)
    assert all(re.fullmatch(r"[a-z]+(,? [a-z]+)*\.", text) for text in texts)
    assert sum(len(text.split()) for text in texts) <= 26


@given(stream=st.text(max_size=20), size=st.integers(1, 10))
def test_distinct_options_are_distinct(stream: str, size: int) -> None:
    drawn = Draw(stream).distinct(range(10), size)
    assert len(set(drawn)) == len(drawn) == size
    assert set(drawn) <= set(range(10))
