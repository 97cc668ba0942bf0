"""SQuAD: questions on paragraphs of Wikipedia whose answer is a span of the paragraph; in v2.0 some have none.

Papers: Rajpurkar, Zhang, Lopyrev, Liang: SQuAD: 100,000+ Questions for Machine Comprehension of Text, 2016,
        https://aclanthology.org/D16-1264; Rajpurkar, Jia, Liang: Know What You Don't Know: Unanswerable Questions for
        SQuAD, 2018, https://aclanthology.org/P18-2124.
Data:   https://huggingface.co/datasets/rajpurkar/squad and rajpurkar/squad_v2; https://rajpurkar.github.io/SQuAD-explorer.

Splits:   the official test sets are kept by the authors, so the official development set is the evaluation split, and
          what a run validates on is drawn from train, by whole paragraphs. A score here is a "dev set" score of papers.
Clusters: the questions on one paragraph, named by a digest of it.
Metrics:  exact match and F1 of the official scripts, the best over a question's accepted answers, averaged over the
          questions. ``best_exact`` and ``best_f1`` are what the best threshold for saying "no answer" would have given;
          it is chosen on the scored rows themselves, so they stand apart from the headline. As in the script, a
          threshold takes answers back and never brings back one that was not given.

Prompt:   ``tasks/prompts/squad_v1`` and ``squad_v2``: title, context and question on lines of their own; the answer, at
          most 50 tokens, ends with its line. In v2.0 the answer may be "unanswerable", which is scored as none.

Chance is the best constant answer: none at all in v2.0, where 5,945 of the 11,873 development questions have none. In
v1.1, where a constant must be a text, no text answers more than a few questions in a thousand.
"""

from __future__ import annotations

import hashlib
from functools import cache

import pyarrow as pa

from harness.errors import MissingPrerequisite
from harness.task import Split, Task

CARDS = [
    {
        "name": "squad/v1",
        "title": "SQuAD 1.1, the Stanford Question Answering Dataset: which words of a paragraph answer a question?",
        "paper": "Rajpurkar, Zhang, Lopyrev, Liang: SQuAD: 100,000+ Questions for Machine Comprehension of Text, 2016",
        "url": "https://aclanthology.org/D16-1264",
        "year": 2016,
        "licence": "CC BY-SA 4.0",
        "version": 1,
        "source": {
            "hub": "rajpurkar/squad",
            "config": "plain_text",
            "revision": "7b6d24c440a36b6815f21b70d25016731768db1f",
        },
        "columns": {"question": "question", "context": "context", "answers": "answers"},
        "cluster": "paragraph",
        "sizes": {"train": 87599, "evaluation": 10570},
        "metric": {"name": "squad.f1", "higher_is_better": True, "unit": "%", "chance": 0.0, "ceiling": 1.0},
        "also": ["squad.exact_match"],
        "protocols": ["span", "prompt"],
        "variants": {
            "prompt": {
                "columns": {"question": "question", "context": "context", "answers": "answers.text"},
                "options": {"lm_eval": "shipped:squad_v1"},
            }
        },
    },
    {
        "name": "squad/v2",
        "title": "SQuAD 2.0: which words of a paragraph answer a question, if any do?",
        "paper": "Rajpurkar, Jia, Liang: Know What You Don't Know: Unanswerable Questions for SQuAD, 2018",
        "url": "https://aclanthology.org/P18-2124",
        "year": 2018,
        "licence": "CC BY-SA 4.0",
        "version": 1,
        "source": {
            "hub": "rajpurkar/squad_v2",
            "config": "squad_v2",
            "revision": "3ffb306f725f7d2ce8394bc1873b24868140c412",
        },
        "columns": {"question": "question", "context": "context", "answers": "answers"},
        "cluster": "paragraph",
        "sizes": {"train": 130319, "evaluation": 11873},
        "metric": {"name": "squad.f1", "higher_is_better": True, "unit": "%", "chance": 0.5007, "ceiling": 1.0},
        "also": ["squad.exact_match", "squad.best_exact", "squad.best_f1"],
        "protocols": ["span", "prompt"],
        "variants": {
            "span": {"options": {"unanswerable": True}},
            # Generated text has no probability of "no answer", so there is no threshold to choose.
            "prompt": {
                "columns": {"question": "question", "context": "context", "answers": "answers.text"},
                "also": ["squad.exact_match"],
                "options": {"lm_eval": "shipped:squad_v2"},
            },
        },
    },
]

DIGITS = 16
"""Hexadecimal digits of a paragraph's digest: two of 20,000 paragraphs share one with probability 1e-11."""


class Squad(Task):
    """SQuAD's rows with the digest of their paragraph, which names it in records in place of its text."""

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Return the rows with the column ``paragraph`` added, 16 hexadecimal digits of the SHA-256 of the context."""
        if "context" not in table.column_names:
            came = ", ".join(table.column_names)
            raise MissingPrerequisite(f"{self.card.name} ({split}) has no column context; it has {came}")
        digest = cache(lambda text: hashlib.sha256(str(text).encode()).hexdigest()[:DIGITS])
        return table.append_column("paragraph", [[digest(text) for text in table["context"].to_pylist()]])


TASK = Squad
