"""The NLG cards are the official facts, records become lines as the papers write them, and real rows agree."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tasks.nlg
from harness import metric, registry
from harness.data import DataSource
from harness.errors import MissingPrerequisite
from harness.protocol import Examples, meet
from harness.spec import Sizes
from harness.splits import Part, split
from harness.task import Split, Task, TaskCard

CARDS = {card.name: card for card in (TaskCard.model_validate(facts) for facts in tasks.nlg.CARDS)}
ITEMS = {"nlg/e2e": 630, "nlg/dart": 4159, "nlg/webnlg": 1862, "nlg/webnlg_seen": 971, "nlg/webnlg_unseen": 891}
"""Records of the test splits that are spelt differently."""
E2E = {
    "meaning_representation": ["name[Blue Spice], eatType[coffee shop], area[city centre]", "name[The Mill]"],
    "human_reference": ["A coffee shop in the city centre is Blue Spice.", "The Mill is here."],
}
DART: dict[str, list[Any]] = {
    "tripleset": [[["Mars Hill College", "JOINED", "1973"], ["Mars Hill College", "LOCATION", "Mars Hill"]]],
    "subtree_was_extended": [False],
    "annotations": [{"source": ["a", "b"], "text": ["Mars Hill College joined in 1973.", "It joined."]}],
}


def webnlg(**lex: list[str]) -> dict[str, Any]:
    texts = {"text": ["One.", "Two."], "comment": ["good", "toFix"], "lid": ["1", "2"], "lang": ["", ""], **lex}
    triples = [['Aarhus_Airport | cityServed | "Aarhus, Denmark"', "Aarhus | country | Denmark"]]
    return {
        "category": "Airport",
        "modified_triple_sets": {"mtriple_set": triples},
        "original_triple_sets": {"otriple_set": [["A | b | C"]]},
        "lex": texts,
        "test_category": "",
    }


def prepared(name: str, table: pa.Table, which: Split = "train") -> pa.Table:
    task = registry.load_task(name)
    assert isinstance(task, Task)
    return task.prepare(table, which)


def test_the_family_is_e2e_dart_and_webnlg_with_its_two_halves() -> None:
    assert list(CARDS) == list(ITEMS)
    assert {name for name, card in CARDS.items() if card.score_only_with} == {"nlg/webnlg_seen", "nlg/webnlg_unseen"}


def test_cards_are_a_literal_of_the_file() -> None:
    tree = ast.parse(Path(tasks.nlg.__file__).read_text(encoding="utf-8"))
    literal = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "CARDS")
    assert ast.literal_eval(literal) == tasks.nlg.CARDS


def test_a_meaning_representation_becomes_slots_on_a_line() -> None:
    table = prepared("nlg/e2e", pa.table(E2E))
    assert table["source"].to_pylist() == [
        "name : Blue Spice | eatType : coffee shop | area : city centre",
        "name : The Mill",
    ]
    assert table.num_rows == 2


def test_triples_of_dart_become_a_line_with_the_relation_in_lower_case() -> None:
    (line,) = prepared("nlg/dart", pa.table(DART))["source"].to_pylist()
    assert line == "Mars Hill College : joined : 1973 | Mars Hill College : location : Mars Hill"


def test_modified_triples_of_webnlg_become_a_line_and_good_texts_its_references() -> None:
    rows = [webnlg(), webnlg(comment=["toFix", "toFix"])]
    table = prepared("nlg/webnlg", pa.Table.from_pylist(rows))
    line = 'Aarhus_Airport : cityServed : "Aarhus, Denmark" | Aarhus : country : Denmark'
    assert table["source"].to_pylist() == [line, line]
    assert table["references"].to_pylist() == [["One."], []]


def test_the_halves_of_webnlg_are_all_its_categories_and_none_twice() -> None:
    seen, unseen = (CARDS[name].source.where["category"] for name in ("nlg/webnlg_seen", "nlg/webnlg_unseen"))
    assert (len(seen), len(unseen), len({*seen, *unseen})) == (10, 5, 15)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "nlg/e2e",
            {**E2E, "meaning_representation": ["name[X]", "no slots"]},
            r"row 1 of nlg/e2e \(train\) .* 'no slots'",
        ),
        ("nlg/e2e", {**E2E, "meaning_representation": ["name[X] and, food[Y]", "a[b]"]}, "row 0 of nlg/e2e"),
        ("nlg/e2e", {"text": ["x"]}, "row 0 of nlg/e2e .* 'meaning_representation'"),
        ("nlg/dart", {**DART, "tripleset": [[["a", "b"]]]}, "row 0 of nlg/dart"),
        ("nlg/dart", {**DART, "tripleset": [None]}, "row 0 of nlg/dart"),
    ],
)
def test_a_record_in_another_form_is_refused_by_row(name: str, rows: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        prepared(name, pa.table(rows))


def tokenizer() -> Any:
    from harness.tiny import tokenizer as made

    return made()


def encoded(name: str, which: Split, source: DataSource) -> Examples:
    task = registry.load_task(name, "generate")
    return meet("generate", task.card).encode(Part(task, which, source), tokenizer(), 4096)


@pytest.fixture(scope="module")
def source() -> DataSource:
    return DataSource.of(os.environ["PARETUNE_MIRROR"])


@pytest.mark.data
def test_real_splits_have_the_official_sizes_where_they_are_complete(source: DataSource) -> None:
    files = json.loads((Path(os.environ["PARETUNE_MIRROR"]) / "MANIFEST.json").read_text())["files"]
    complete = 0
    for card in CARDS.values():
        for which, theirs in card.source.splits.items():
            row = files[f"{card.source.hub}/{card.source.config}/{theirs}.parquet"]
            complete += row["state"] == "complete"
            rows = source.read(registry.load_task(card.name), which).table.num_rows
            assert (rows == card.sizes[which]) == (row["state"] == "complete" or theirs == "test")
    assert complete == 6


@pytest.mark.data
@pytest.mark.parametrize("name", list(ITEMS))
def test_all_texts_of_a_real_test_record_are_one_item(name: str, source: DataSource) -> None:
    examples = encoded(name, "evaluation", source)
    assert len(examples.item_ids) == len(set(examples.item_ids)) == ITEMS[name]
    if name == "nlg/e2e":
        assert sum(map(len, examples.references)) == 4693
    assert max(map(len, examples.references)) <= int(str(CARDS[name].options.get("max_references", 100)))
    assert examples.truncated == 0


@pytest.mark.data
@pytest.mark.parametrize("name", list(ITEMS))
def test_the_first_real_reference_of_each_record_reaches_the_ceiling(name: str, source: DataSource) -> None:
    examples = encoded(name, "evaluation", source)
    found = metric.find(CARDS[name].metric.name)
    protocol = meet("generate", registry.load_task(name, "generate").card)
    number = found.score(found.rows(protocol.perfect(examples), examples.references))
    assert number == pytest.approx(CARDS[name].metric.ceiling)


@pytest.mark.data
@pytest.mark.parametrize("name", list(ITEMS))
def test_the_chance_level_is_what_the_best_of_ten_constant_texts_reaches(name: str, source: DataSource) -> None:
    references = encoded(name, "evaluation", source).references
    trained = registry.load_task(CARDS[name].score_only_with or name, "generate")
    few = Part(trained, "train", source, np.arange(100))
    texts = meet("generate", trained.card).encode(few, tokenizer(), 4096).references
    found = metric.find(CARDS[name].metric.name)
    numbers = [found.score(found.rows([one[0]] * len(references), references)) for one in texts[:10]]
    assert max(numbers) == pytest.approx(CARDS[name].metric.chance, abs=5e-4)


@pytest.mark.data
def test_a_smaller_test_split_keeps_records_whole(source: DataSource) -> None:
    task = registry.load_task("nlg/e2e", "generate")
    drawn = split(task, [task], source, policy="held_out", sizes=Sizes(train=100, test=400), data_seed=0, sealed=False)
    part = drawn.tests["nlg/e2e"]
    texts = part.values("meaning_representation")
    everything = Part(task, "evaluation", source).values("meaning_representation")
    assert 350 < len(texts) <= 400
    assert all(everything.count(text) == texts.count(text) for text in set(texts))
