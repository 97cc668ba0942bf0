"""BibTeX from cards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from leaderboard.downloads import REFERENCES, downloads_of_task
from leaderboard.exports.bibtex import bibtex, reference
from leaderboard.page import build_board
from tests.leaderboard.making import Made, answers, card

LORA = {
    "paper": "Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICML 2022",
    "url": "https://arxiv.org/abs/2106.09685",
    "year": 2022,
}
COLA = {"paper": "Warstadt, Singh, Bowman: Acceptability & 5 % Judgments, 2019", "url": "https://a.org/Q", "year": 2019}


def fields(**facts: Any) -> dict[str, str]:
    found = reference(facts)
    assert found
    return dict(found.fields)


def test_a_citation_becomes_fields() -> None:
    assert fields(**LORA) == {
        "author": "{Hu} and others",
        "title": "{LoRA: Low-Rank Adaptation of Large Language Models}",
        "howpublished": "ICML",
        "year": "2022",
        "url": "https://arxiv.org/abs/2106.09685",
        "eprint": "2106.09685",
        "archiveprefix": "arXiv",
    }
    assert fields(**COLA) == {
        "author": "{Warstadt} and {Singh} and {Bowman}",
        "title": r"{Acceptability \& 5 \% Judgments}",
        "year": "2019",
        "url": "https://a.org/Q",
    }


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"paper": "see the manual", "url": "https://a.org/x"}, {"note": "see the manual", "url": "https://a.org/x"}),
        ({"paper": "https://a.org/x", "url": "https://a.org/x"}, {"url": "https://a.org/x"}),
        ({"paper": "Hu and Li, A title, 2020"}, {"author": "{Hu} and {Li}", "title": "{A title}", "year": "2020"}),
    ],
)
def test_what_a_card_does_not_say_is_left_out(facts: dict[str, Any], expected: dict[str, str]) -> None:
    assert fields(**facts) == expected


@pytest.mark.parametrize(
    "facts", [{}, {"paper": "reference point", "url": "", "year": 2018}, {"paper": "x", "url": "javascript:alert(1)"}]
)
def test_a_card_without_link_or_citation_gives_no_entry(facts: dict[str, Any]) -> None:
    assert reference(facts) is None
    assert bibtex([("method base", facts)]) == "% No paper on the card of: method base\n"


def test_one_paper_is_one_entry_with_a_key_that_does_not_depend_on_the_others() -> None:
    alone = bibtex([("method lora", LORA)])
    together = bibtex([("task glue/cola", COLA), ("method lora", LORA), ("method lora_plus", dict(LORA))])
    (key,) = re.findall(r"@misc\{(.+),", alone)
    assert key.startswith("hu2022_")
    assert re.findall(r"@misc\{(.+),", together) == [key, reference(COLA).key]  # type: ignore[union-attr]
    assert f"% method lora, method lora_plus\n@misc{{{key}," in together


def test_every_shipped_card_with_a_paper_gives_an_entry_and_no_key_twice() -> None:
    entries = [*registry.methods().values(), *registry.tasks().values()]
    papers = {(card["paper"], card["url"]) for entry in entries if (card := entry.card)["url"]}
    found = {paper: reference({"paper": paper[0], "url": paper[1]}) for paper in papers}
    assert None not in found.values()
    assert len({one.key for one in found.values() if one}) == len(papers) > 50
    named = [paper for paper in papers if re.search(r"\d{4}$", paper[0]) and "http" not in paper[0]]
    assert all("author" in dict(one.fields) for paper, one in found.items() if paper in named and one)
    assert len(named) > 30


@given(paper=st.text(), url=st.text() | st.text().map("https://a.org/{}".format), year=st.none() | st.integers())
def test_whatever_a_stranger_writes_stays_in_its_field(paper: str, url: str, year: int | None) -> None:
    text = bibtex([("method x", {"paper": paper, "url": url, "year": year})])
    if text.startswith("% No paper"):
        assert text.count("\n") == 1
        return
    assert re.fullmatch(r"% method x\n@misc\{[a-z]+-?\d*_[0-9a-f]{6}(,\n  [a-z]+ = \{[^\n]+\})+\n\}\n", text)
    for line in text.splitlines()[2:-1]:
        value = line.partition(" = ")[2].removesuffix(",")
        depths = [value[: end + 1].count("{") - value[: end + 1].count("}") for end in range(len(value))]
        assert min(depths[:-1]) >= 1
        assert depths[-1] == 0


def test_a_site_has_the_references_of_its_records(tmp_path: Path) -> None:
    cards = {"glue/cola": card("glue/cola") | COLA}
    Made(task="glue/cola", cards=cards, items={"glue/cola": answers(10, 2)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    text = (tmp_path / "site" / REFERENCES).read_text(encoding="utf-8")
    assert "% task glue/cola\n@misc{warstadt2019_" in text
    assert "% No paper on the card of: method lora\n" in text


def test_a_task_has_the_references_of_itself_and_of_the_methods_that_were_run_on_it(tmp_path: Path) -> None:
    cards = {"glue/cola": card("glue/cola") | COLA}
    made = Made(task="glue/cola", cards=cards, method_card=LORA, items={"glue/cola": answers(10, 2)})
    made.write(tmp_path / "records")
    Made("fish", task="own/t", items={"own/t": answers(10, 2)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site")
    texts = {
        task: (tmp_path / "site" / dict(downloads_of_task(task))["BibTeX"]).read_text(encoding="utf-8")
        for task in ("glue/cola", "own/t")
    }
    assert re.findall("^% (.+)$", texts["glue/cola"], re.MULTILINE) == ["method lora", "task glue/cola"]
    assert texts["own/t"] == "% No paper on the card of: method fish, task own/t\n"
