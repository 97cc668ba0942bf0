"""NLG: records to English text, as the GPT-2 experiments of PST and LoRA have them: E2E, DART and WebNLG 2017.

Papers: Novikova, Dusek, Rieser: The E2E Dataset: New Challenges For End-to-End Generation, 2017, W17-5525
        Nan et al.: DART: Open-Domain Structured Data Record to Text Generation, 2021, 2021.naacl-main.37
        Gardent, Shimorina, Narayan, Perez-Beltrachini: Creating Training Corpora for NLG Micro-Planners, 2017, P17-1017
        (each in https://aclanthology.org)
Data:   https://huggingface.co/datasets/tuetschek/e2e_nlg, .../Yale-LILY/dart, .../webnlg-challenge/web_nlg

Splits: test is the official test split, validation the official one. One item is one record with all its texts; rows
        that spell the same record are one item (E2E: 630 in test; DART: 4159 of 5097 rows).
Lines:  a record is written as one line. E2E: ``name : Blue Spice | eatType : coffee shop``, slots as in the data. DART
        and WebNLG: ``subject : relation : object | ...``, DART's relation in lower case, WebNLG's triples the modified
        ones. WebNLG's texts are those marked good, and of its three test files, which the hub has as one split of 4,615
        rows, we take the one with the texts of all categories.
WebNLG: ``nlg/webnlg_seen`` and ``nlg/webnlg_unseen`` score a model trained on ``nlg/webnlg`` on the test rows of the
        ten categories that occur in train, and of the five others.
Chance: the best that one of ten constant texts reaches, the first references of the first ten records of train.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.errors import MissingPrerequisite
from harness.task import Split, Task

if TYPE_CHECKING:
    import pyarrow as pa

CARDS = [
    {
        "name": "nlg/e2e",
        "title": "E2E: a restaurant's attributes to a recommendation",
        "paper": "Novikova, Dusek, Rieser: The E2E Dataset: New Challenges For End-to-End Generation, 2017",
        "url": "https://aclanthology.org/W17-5525",
        "year": 2017,
        "licence": "CC BY-SA 4.0",
        "version": 1,
        "source": {
            "hub": "tuetschek/e2e_nlg",
            "config": "default",
            "revision": "main",
            "splits": {"train": "train", "validation": "validation", "evaluation": "test"},
        },
        "columns": {"source": "source", "target": "human_reference"},
        "cluster": "meaning_representation",
        "sizes": {"train": 42061, "validation": 4672, "evaluation": 4693},
        "metric": {"name": "e2e.bleu", "higher_is_better": True, "unit": "%", "chance": 0.1742, "ceiling": 1.0},
        "also": ["e2e.nist", "e2e.meteor", "e2e.rouge_l", "e2e.cider"],
        "protocols": ["generate"],
    },
    {
        "name": "nlg/dart",
        "title": "DART: triples from tables and other corpora to sentences",
        "paper": "Nan et al.: DART: Open-Domain Structured Data Record to Text Generation, 2021",
        "url": "https://aclanthology.org/2021.naacl-main.37",
        "year": 2021,
        "licence": "MIT",
        "version": 1,
        "source": {
            "hub": "Yale-LILY/dart",
            "config": "default",
            "revision": "main",
            "splits": {"train": "train", "validation": "validation", "evaluation": "test"},
        },
        "columns": {"source": "source", "target": "annotations.text"},
        "cluster": "source",
        "sizes": {"train": 30526, "validation": 2768, "evaluation": 5097},
        "metric": {"name": "corpus.bleu", "higher_is_better": True, "unit": "%", "chance": 0.0099, "ceiling": 1.0},
        "also": ["corpus.meteor", "corpus.ter", "corpus.chrf"],
        "protocols": ["generate"],
        "options": {"max_references": 6},
    },
    {
        "name": "nlg/webnlg",
        "title": "WebNLG 2017: triples of DBpedia to sentences, of seen and unseen categories",
        "paper": "Gardent et al.: Creating Training Corpora for NLG Micro-Planners, 2017",
        "url": "https://aclanthology.org/P17-1017",
        "year": 2017,
        "licence": "CC BY-NC-SA 4.0",
        "version": 1,
        "source": {
            "hub": "webnlg-challenge/web_nlg",
            "config": "webnlg_challenge_2017",
            "revision": "main",
            "splits": {"train": "train", "validation": "dev", "evaluation": "test"},
            "where": {"test_category": ["", "testdata_with_lex"]},
        },
        "columns": {"source": "source", "target": "references"},
        "cluster": "source",
        "sizes": {"train": 6940, "validation": 872, "evaluation": 1862},
        "metric": {"name": "corpus.bleu", "higher_is_better": True, "unit": "%", "chance": 0.005, "ceiling": 1.0},
        "also": ["corpus.meteor", "corpus.ter", "corpus.chrf"],
        "protocols": ["generate"],
        "options": {"max_references": 6},
    },
    {
        "name": "nlg/webnlg_seen",
        "title": "WebNLG 2017: the test rows of the ten categories of train",
        "paper": "Gardent et al.: Creating Training Corpora for NLG Micro-Planners, 2017",
        "url": "https://aclanthology.org/P17-1017",
        "year": 2017,
        "licence": "CC BY-NC-SA 4.0",
        "version": 1,
        "source": {
            "hub": "webnlg-challenge/web_nlg",
            "config": "webnlg_challenge_2017",
            "revision": "main",
            "splits": {"evaluation": "test"},
            "where": {
                "test_category": ["testdata_with_lex"],
                "category": [
                    "Airport",
                    "Astronaut",
                    "Building",
                    "City",
                    "ComicsCharacter",
                    "Food",
                    "Monument",
                    "SportsTeam",
                    "University",
                    "WrittenWork",
                ],
            },
        },
        "columns": {"source": "source", "target": "references"},
        "cluster": "source",
        "sizes": {"evaluation": 971},
        "metric": {"name": "corpus.bleu", "higher_is_better": True, "unit": "%", "chance": 0.0069, "ceiling": 1.0},
        "also": ["corpus.meteor", "corpus.ter", "corpus.chrf"],
        "protocols": ["generate"],
        "options": {"max_references": 6},
        "score_only_with": "nlg/webnlg",
    },
    {
        "name": "nlg/webnlg_unseen",
        "title": "WebNLG 2017: the test rows of the five categories that train lacks",
        "paper": "Gardent et al.: Creating Training Corpora for NLG Micro-Planners, 2017",
        "url": "https://aclanthology.org/P17-1017",
        "year": 2017,
        "licence": "CC BY-NC-SA 4.0",
        "version": 1,
        "source": {
            "hub": "webnlg-challenge/web_nlg",
            "config": "webnlg_challenge_2017",
            "revision": "main",
            "splits": {"evaluation": "test"},
            "where": {
                "test_category": ["testdata_with_lex"],
                "category": ["Artist", "Athlete", "CelestialBody", "MeanOfTransportation", "Politician"],
            },
        },
        "columns": {"source": "source", "target": "references"},
        "cluster": "source",
        "sizes": {"evaluation": 891},
        "metric": {"name": "corpus.bleu", "higher_is_better": True, "unit": "%", "chance": 0.0017, "ceiling": 1.0},
        "also": ["corpus.meteor", "corpus.ter", "corpus.chrf"],
        "protocols": ["generate"],
        "options": {"max_references": 6},
        "score_only_with": "nlg/webnlg",
    },
]

SLOT = re.compile(r"([^\[\],]+)\[([^\]]*)\]")
Row = dict[str, Any]  # Any: raw values as the source has them


def slots(row: Row) -> str:
    """Return an E2E meaning representation as one line.

    Raises:
        ValueError: if it is not ``slot[value], slot[value]``.
    """
    text = row["meaning_representation"]
    found = SLOT.findall(text)
    if not found or ", ".join(f"{slot.strip()}[{value}]" for slot, value in found) != text.strip():
        raise ValueError(f"the meaning representation {text!r} is not written slot[value], slot[value]")
    return " | ".join(f"{slot.strip()} : {value}" for slot, value in found)


def dart_triples(row: Row) -> str:
    """Return DART's triples as one line."""
    return " | ".join(f"{head} : {relation.lower()} : {tail}" for head, relation, tail in row["tripleset"])


def webnlg_triples(row: Row) -> str:
    """Return WebNLG's modified triples as one line; each is written ``subject | property | object`` in the data."""
    triples = row["modified_triple_sets"]["mtriple_set"][0]
    return " | ".join(" : ".join(part.strip() for part in triple.split(" | ", 2)) for triple in triples)


LINES: dict[str, Callable[[Row], str]] = {
    "tuetschek/e2e_nlg": slots,
    "Yale-LILY/dart": dart_triples,
    "webnlg-challenge/web_nlg": webnlg_triples,
}


class Nlg(Task):
    """A task whose records are written as lines."""

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Add ``source``, the line of each record, and for WebNLG ``references``, the texts that count.

        Raises:
            MissingPrerequisite: for a record that is not in the data set's own form; by row.
        """
        import pyarrow as pa

        write, rows, lines = LINES[str(self.card.source.hub)], table.to_pylist(), []
        for number, row in enumerate(rows):
            try:
                lines.append(write(row))
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                raise MissingPrerequisite(
                    f"row {number} of {self.card.name} ({split}) is not a record of {self.card.source.hub}: {error}"
                ) from error
        table = table.append_column("source", pa.array(lines, pa.string()))
        if self.card.columns["target"] == "references":
            texts = [_good(row) for row in rows]
            table = table.append_column("references", pa.array(texts, pa.list_(pa.string())))
        return table


def _good(row: Row) -> list[str]:
    """Return the texts of a WebNLG row that are marked good."""
    pairs = zip(row["lex"]["text"], row["lex"]["comment"], strict=True)
    return [text for text, comment in pairs if comment == "good"]


TASK = Nlg
