"""SuperGLUE: eight tasks of language understanding in English, and two diagnostic sets scored by RTE's model.

Paper: Wang, Pruksachatkun, Nangia, Singh, Michael, Hill, Levy, Bowman: SuperGLUE: A Stickier Benchmark for
       General-Purpose Language Understanding Systems, 2019, https://arxiv.org/abs/1905.00537; each card cites the paper
       of its own data.
Data:  https://huggingface.co/datasets/aps/super_glue, and https://super.gluebenchmark.com for the original files.

Splits:  the labels of the official test splits are hidden, so the official validation split is the evaluation split,
         and what a run validates on is drawn from train. ``subsampled`` is the random-masking paper's policy; it
         validates on 50 rows of CB and WSC as the paper does, and on 100 of COPA, whose train split 500 would use up.
Metrics: as the SuperGLUE server has them, shown times 100; two numbers of one task are averaged (CB, MultiRC). ReCoRD's
         headline is F1; its share of the server's average is the mean of F1 and exact match, ``record.f1_and_em``.
Inputs:  MultiRC is read as (paragraph, question and answer), COPA as (premise, the question in words and one of the
         alternatives), ReCoRD as (passage, query with one of the passage's entities in place of the placeholder). WSC
         (the version called ``wsc.fixed``) names its spans by their text and the number of their first word.
Prompt:  lm-eval's own tasks, of which AX-b and AX-g have none; a class is the answer that it takes for right. Its
         prompt of MultiRC offers "yes" before "no", so that "yes" stands for a wrong answer (lm-eval 0.4.13): a model
         has to learn that. ``random_masking/multirc`` has it the right way round.

A chance level is the best that one answer to every row reaches on the official evaluation split. For BoolQ it comes
from the published count of labels, 2033 of 3270; for ReCoRD it is the F1 that a uniform guess among the entities
expects on 64 rows of the official train split, the only ones at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from harness.errors import MissingPrerequisite
from harness.task import Split, Task
from tasks.inputs.words import located

CARDS = [
    {
        "name": "superglue/boolq",
        "title": "BoolQ, Boolean Questions: does a passage say yes or no?",
        "paper": "Clark et al.: BoolQ: Exploring the Surprising Difficulty of Natural Yes/No Questions, 2019",
        "url": "https://aclanthology.org/N19-1300",
        "year": 2019,
        "licence": "CC BY-SA 3.0",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "boolq",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {"text": "passage", "text_pair": "question", "label": "label"},
        "labels": ["False", "True"],
        "sizes": {"train": 9427, "evaluation": 3270, "hidden": 3245},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.6217, "ceiling": 1.0},
        "protocols": ["classify", "prompt"],
        "variants": {"prompt": {"options": {"lm_eval": "boolq"}}},
    },
    {
        "name": "superglue/cb",
        "title": "CB, the CommitmentBank: does a text commit its speaker to a clause?",
        "paper": "De Marneffe, Simons, Tonhauser: The CommitmentBank, 2019",
        "url": "https://doi.org/10.18148/sub/2019.v23i2.601",
        "year": 2019,
        "licence": "not stated; for research",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "cb",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        "labels": ["entailment", "contradiction", "neutral"],
        "sizes": {"train": 250, "evaluation": 56, "hidden": 250},
        # Always "contradiction": accuracy 0.5, macro-F1 0.2222.
        "metric": {
            "name": "labels.accuracy_and_macro_f1",
            "higher_is_better": True,
            "unit": "%",
            "chance": 0.3611,
            "ceiling": 1.0,
        },
        "also": ["accuracy", "labels.macro_f1"],
        "protocols": ["classify", "prompt"],
        "variants": {"prompt": {"options": {"lm_eval": "cb"}}},
        "policy_sizes": {"subsampled": {"validation": 50}},
    },
    {
        "name": "superglue/copa",
        "title": "COPA, the Choice of Plausible Alternatives: which is the cause, or the result?",
        "paper": "Roemmele, Bejan, Gordon: Choice of Plausible Alternatives, 2011",
        "url": "https://people.ict.usc.edu/~gordon/copa.html",
        "year": 2011,
        "licence": "BSD 2-clause",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "copa",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {
            "text": "premise",
            "text_pair": "question_in_words",
            "candidate1": "choice1",
            "candidate2": "choice2",
            "label": "label",
        },
        "labels": ["choice1", "choice2"],
        "sizes": {"train": 400, "evaluation": 100, "hidden": 500},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.55, "ceiling": 1.0},
        "protocols": ["classify", "prompt"],
        "variants": {"prompt": {"options": {"lm_eval": "copa"}}},
        "policy_sizes": {"subsampled": {"validation": 100}},
    },
    {
        "name": "superglue/multirc",
        "title": "MultiRC, Multi-Sentence Reading Comprehension: which answers to a question are right?",
        "paper": "Khashabi et al.: Looking Beyond the Surface, 2018",
        "url": "https://aclanthology.org/N18-1023",
        "year": 2018,
        "licence": "not stated; for research",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "multirc",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {
            "text": "paragraph",
            "text_pair": "question_and_answer",
            "question_id": "idx.question",
            "label": "label",
        },
        "labels": ["False", "True"],
        "cluster": "idx.question",
        "sizes": {"train": 27243, "evaluation": 4848, "hidden": 9693},
        # Always "True": F1 0.5995, and 0.0084 of the questions have right answers only.
        "metric": {
            "name": "multirc.f1a_and_em",
            "higher_is_better": True,
            "unit": "%",
            "chance": 0.3039,
            "ceiling": 1.0,
        },
        "also": ["multirc.f1a", "multirc.em", "multirc.accuracy"],
        "protocols": ["classify", "prompt"],
        "variants": {"prompt": {"options": {"lm_eval": "multirc"}}},
    },
    {
        "name": "superglue/record",
        "title": "ReCoRD, Reading Comprehension with Commonsense Reasoning: which entity is missing in a sentence?",
        "paper": "Zhang et al.: Bridging the Gap between Human and Machine Commonsense Reading Comprehension, 2018",
        "url": "https://arxiv.org/abs/1810.12885",
        "year": 2018,
        "licence": "not stated; texts of CNN and the Daily Mail, for research",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "record",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {"text": "passage", "text_pair": "query", "candidates": "entities", "answers": "answers"},
        "cluster": "idx.passage",
        "sizes": {"train": 100730, "evaluation": 10000, "hidden": 10000},
        "metric": {"name": "record.f1", "higher_is_better": True, "unit": "%", "chance": 0.1426, "ceiling": 1.0},
        "also": ["record.em", "record.f1_and_em"],
        "protocols": ["classify", "prompt"],
        "variants": {
            "classify": {"options": {"placeholder": "@placeholder"}},
            # lm-eval scores the chosen entity by itself, and its answers are whole sentences.
            "prompt": {
                "metric": {"name": "mean.f1", "higher_is_better": True, "unit": "%", "chance": 0.1426, "ceiling": 1.0},
                "also": ["mean.em"],
                "options": {"lm_eval": "record"},
            },
        },
    },
    {
        "name": "superglue/rte",
        "title": "RTE, Recognizing Textual Entailment 1, 2, 3 and 5: does a text entail a sentence?",
        "paper": "Dagan, Glickman, Magnini: The PASCAL Recognising Textual Entailment Challenge, 2005",
        "url": "https://doi.org/10.1007/11736790_9",
        "year": 2005,
        "licence": "not stated",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "rte",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        "labels": ["entailment", "not_entailment"],
        "sizes": {"train": 2490, "evaluation": 277, "hidden": 3000},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5271, "ceiling": 1.0},
        "protocols": ["classify", "prompt"],
        "variants": {"prompt": {"options": {"lm_eval": "sglue_rte"}}},
    },
    {
        "name": "superglue/wic",
        "title": "WiC, Word in Context: does a word have the same sense in two sentences?",
        "paper": "Pilehvar, Camacho-Collados: WiC: the Word-in-Context Dataset, 2019",
        "url": "https://aclanthology.org/N19-1128",
        "year": 2019,
        "licence": "CC BY-NC 4.0",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "wic",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {
            "text": "sentence1",
            "text_pair": "sentence2",
            "span1_start": "start1",
            "span1_end": "end1",
            "span2_start": "start2",
            "span2_end": "end2",
            "label": "label",
        },
        "labels": ["False", "True"],
        "sizes": {"train": 5428, "evaluation": 638, "hidden": 1400},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "protocols": ["classify", "prompt"],
        "variants": {
            "classify": {"options": {"spans": ["text", "text_pair"]}},
            "prompt": {"options": {"lm_eval": "wic"}},
        },
    },
    {
        "name": "superglue/wsc",
        "title": "WSC, the Winograd Schema Challenge: does a pronoun mean a certain noun phrase?",
        "paper": "Levesque, Davis, Morgenstern: The Winograd Schema Challenge, 2012",
        "url": "https://cs.nyu.edu/~davise/papers/WinogradSchemas/WS.html",
        "year": 2012,
        "licence": "CC BY 4.0",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "wsc.fixed",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"train": "train", "evaluation": "validation", "hidden": "test"},
        },
        "columns": {
            "text": "text",
            "span1_start": "span1_start",
            "span1_end": "span1_end",
            "span2_start": "span2_start",
            "span2_end": "span2_end",
            "label": "label",
        },
        "labels": ["False", "True"],
        "sizes": {"train": 554, "evaluation": 104, "hidden": 146},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.6346, "ceiling": 1.0},
        "protocols": ["classify", "prompt"],
        "variants": {"prompt": {"options": {"lm_eval": "wsc"}}},
        "policy_sizes": {"subsampled": {"validation": 50}},
    },
    {
        "name": "superglue/axb",
        "title": "AX-b, the broad-coverage diagnostics of GLUE with two labels: entailment by linguistic phenomenon",
        "paper": "Wang et al.: GLUE: A Multi-Task Benchmark and Analysis Platform, 2018",
        "url": "https://aclanthology.org/W18-5446",
        "year": 2018,
        "licence": "not stated",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "axb",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"evaluation": "test", "hidden": "test"},
        },
        "columns": {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
        "labels": ["entailment", "not_entailment"],
        "sizes": {"evaluation": 1104, "hidden": 1104},
        "metric": {"name": "matthews", "higher_is_better": True, "unit": "%", "chance": 0.0, "ceiling": 1.0},
        "also": ["accuracy"],
        "protocols": ["classify"],
        "score_only_with": "superglue/rte",
    },
    {
        "name": "superglue/axg",
        "title": "AX-g, Winogender as entailment: pairs of sentences that differ in the gender of a pronoun only",
        "paper": "Rudinger, Naradowsky, Leonard, Van Durme: Gender Bias in Coreference Resolution, 2018",
        "url": "https://aclanthology.org/N18-2002",
        "year": 2018,
        "licence": "MIT",
        "version": 1,
        "source": {
            "hub": "aps/super_glue",
            "config": "axg",
            "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646",
            "splits": {"evaluation": "test", "hidden": "test"},
        },
        "columns": {"text": "premise", "text_pair": "hypothesis", "pair_id": "pair", "label": "label"},
        "labels": ["entailment", "not_entailment"],
        "cluster": "pair",
        "sizes": {"evaluation": 356, "hidden": 356},
        "metric": {"name": "pairs.accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "also": ["pairs.parity"],
        "protocols": ["classify"],
        "score_only_with": "superglue/rte",
    },
]

# The server's average: the plain mean over eight tasks; the two numbers of CB, MultiRC and ReCoRD are averaged first.
AVERAGES = [
    {
        "name": "superglue",
        "title": "SuperGLUE average over its 8 tasks; the diagnostic sets AX-b and AX-g do not count",
        "tasks": [
            "superglue/boolq",
            "superglue/cb",
            "superglue/copa",
            "superglue/multirc",
            "superglue/record",
            "superglue/rte",
            "superglue/wic",
            "superglue/wsc",
        ],
    },
]

# What the server at https://super.gluebenchmark.com takes: one JSON object per row, labels in its own words.
SUBMISSION = [
    {"file": "BoolQ.jsonl", "task": "superglue/boolq", "form": "json", "labels": ["false", "true"]},
    {"file": "CB.jsonl", "task": "superglue/cb", "form": "json", "labels": ["entailment", "contradiction", "neutral"]},
    {"file": "COPA.jsonl", "task": "superglue/copa", "form": "json", "labels": [0, 1]},
    {"file": "MultiRC.jsonl", "task": "superglue/multirc", "form": "json by paragraph", "labels": [0, 1]},
    {"file": "ReCoRD.jsonl", "task": "superglue/record", "form": "json", "index": "idx.query"},
    {"file": "RTE.jsonl", "task": "superglue/rte", "form": "json", "labels": ["entailment", "not_entailment"]},
    {"file": "WiC.jsonl", "task": "superglue/wic", "form": "json", "labels": ["false", "true"]},
    {"file": "WSC.jsonl", "task": "superglue/wsc", "form": "json", "labels": ["False", "True"]},
    {"file": "AX-b.jsonl", "task": "superglue/axb", "form": "json", "labels": ["entailment", "not_entailment"]},
    {"file": "AX-g.jsonl", "task": "superglue/axg", "form": "json", "labels": ["entailment", "not_entailment"]},
]

QUESTIONS = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}


class SuperGlue(Task):
    """A task whose source lacks some of the columns that the protocols need."""

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Return the rows with the columns added that the card names and the source does not have.

        Raises:
            MissingPrerequisite: if the source lacks what they are made of, by name.
        """
        for column, (needs, make) in ADDED.items():
            if column in self.card.columns.values() and column not in table.column_names:
                missing = [name for name in needs if name not in table.column_names]
                if missing:
                    raise MissingPrerequisite(
                        f"{self.card.name} ({split}) has no column {missing[0]}; it has {', '.join(table.column_names)}"
                    )
                try:
                    added = make(table)
                except ValueError as error:
                    raise MissingPrerequisite(f"{self.card.name} ({split}): {error}") from error
                for name, values in added.items():
                    table = table.append_column(name, pa.array(values))
        return table


def _question_in_words(table: pa.Table) -> dict[str, list[str]]:
    """COPA asks for the ``cause`` or the ``effect``."""
    asked = table.column("question").to_pylist()
    strange = [word for word in asked if word not in QUESTIONS]
    if strange:
        raise ValueError(f"a row has the question {strange[0]!r}; allowed are {', '.join(QUESTIONS)}; mend the data")
    return {"question_in_words": [QUESTIONS[word] for word in asked]}


def _question_and_answer(table: pa.Table) -> dict[str, list[str]]:
    pairs = zip(table.column("question").to_pylist(), table.column("answer").to_pylist(), strict=True)
    return {"question_and_answer": [f"{question} {answer}" for question, answer in pairs]}


def _pairs(table: pa.Table) -> dict[str, list[int]]:
    """The two sentences of a pair follow each other."""
    return {"pair": [row // 2 for row in range(table.num_rows)]}


Make = Callable[[pa.Table], Mapping[str, list[Any]]]
"""Rows to the columns that are made of them (Any: texts or numbers)."""
WORDS = ("text", "span1_index", "span1_text", "span2_index", "span2_text")
ADDED: dict[str, tuple[tuple[str, ...], Make]] = {
    "question_in_words": (("question",), _question_in_words),
    "question_and_answer": (("question", "answer"), _question_and_answer),
    "span1_start": (WORDS, located),
    "pair": ((), _pairs),
}
"""Column to the columns that it is made of, and how."""

TASK = SuperGlue
