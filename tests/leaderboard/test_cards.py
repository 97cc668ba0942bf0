"""Cards in words, and which of their addresses become links."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from leaderboard.cards import address, changed, method_facts, task_facts, versions
from leaderboard.load import load_records
from tests.leaderboard.making import Made, answers, card


@pytest.mark.parametrize("plain", ["https://arxiv.org/abs/2106.09685", "http://example.org/a?b=c#d"])
def test_web_addresses_become_links(plain: str) -> None:
    assert address(plain) == plain


@pytest.mark.parametrize(
    "strange",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " https://example.org",
        "https://a\nb",
        "data:text/html,x",
        "//x.org",
        "file:///etc/passwd",
        "https://",
        "https://user@example.org",
        "http://[",
        "",
        None,
        7,
        ["https://example.org"],
    ],
)
def test_nothing_else_becomes_a_link(strange: object) -> None:
    assert address(strange) is None  # type: ignore[arg-type]


def test_every_fact_of_every_built_in_card_is_told_once() -> None:
    tasks = [entry.card for entry in registry.tasks().values() if entry.card]
    methods = [entry.card for entry in registry.methods().values() if entry.card]
    assert len(tasks) > 20
    assert len(methods) > 10
    for facts in [*map(task_facts, tasks), *map(method_facts, methods)]:
        names = [fact.name for fact in facts]
        assert len(set(names)) == len(names)
        assert all(value and "{'" not in value for fact in facts for value in fact.values)


def test_a_task_card_reads_as_a_reader_asks() -> None:
    facts = {
        fact.name: fact
        for fact in task_facts(
            {
                "paper": "Them: It",
                "year": 2019,
                "url": "https://example.org/p",
                "labels": [str(n) for n in range(10)],
                "source": {"hub": "a/b", "config": "c", "revision": None, "splits": {"train": "tr"}},
                "sizes": {"train": 1234},
                "odd_fact": [1, {"a": 2}],
                "version": 3,
                "odder": {"c": None, "a": {"b": 3}},
            }
        )
    }
    assert facts["Paper"].values == ("Them: It, 2019",)
    assert facts["Paper"].link == "https://example.org/p"
    assert facts["Source"].values == ("config c", "hub a/b")
    assert facts["Splits"].values == ("train: tr",)
    assert facts["Official rows"].values == ("train 1,234",)
    assert facts["Classes"].values == ("10: 0, 1, 2, 3, 4, 5, 6, 7, …",)
    assert facts["Odd fact"].values == ("1", '{"a": 2}')
    assert facts["Odder"].values == ("a.b: 3", "c: —")


def test_a_method_card_says_what_differs_and_what_is_searched() -> None:
    shown = method_facts({"differs": [], "tuned": {"lr": [1e-4, 0.01]}, "starts_at_identity": False, "code": "none"})
    facts = {fact.name: fact for fact in shown}
    assert facts["Differs from the paper"].values == ("nothing",)
    assert facts["Searched, log-uniform"].values == ("lr 0.0001 to 0.01",)
    assert facts["Starts at identity"].values == ("no",)
    assert facts["Code"].link is None


def test_versions_come_newest_first_with_what_changed(tmp_path: Path) -> None:
    old, new = card("glue/sst2"), card("glue/sst2") | {"version": 2, "licence": "free"}
    for seed, held in enumerate((old, new, new)):
        Made(seed=seed, cards={"glue/sst2": held}, items={"glue/sst2": answers(10, 2)}).write(tmp_path)
    runs = load_records([tmp_path]).runs
    found = versions((run.record.task_cards["glue/sst2"], run) for run in runs)
    assert [(one.number, len(one.runs)) for one in found] == [(2, 2), (1, 1)]
    assert changed(found[1].card, found[0].card) == ["licence"]
    assert versions([({}, runs[0])]) == ()
