"""DROP: questions on a passage whose answer takes counting, sorting or arithmetic over what it says.

Paper: Dua, Wang, Dasigi, Stanovsky, Singh, Gardner: DROP: A Reading Comprehension Benchmark Requiring Discrete
       Reasoning Over Paragraphs, 2019, https://aclanthology.org/N19-1246
Data:  https://huggingface.co/datasets/EleutherAI/drop, which keeps every annotator's answer whole, as the original file
       does; or in a mirror ``ucinlp/drop`` with the parts of an answer joined. The hub's own ``ucinlp/drop`` has one
       flat list of the parts of all answers, so that half of an answer would count as right: it is refused.

Splits:   the labels of the official test split are hidden, so the official development split is the evaluation split.
Clusters: the questions on one passage (``section_id``).
Prompt:   ``tasks/prompts/drop.yaml``: passage and question on lines of their own; the answer, at most 50 tokens, ends
          with its line.
Metrics:  F1 and exact match of the official script; SQuAD's F1 beside them, which the random-masking paper reports.
Answers:  ``answer`` and every one of ``validated_answers``, each a number, a list of spans or a date as in the official
          script; an empty one does not count. A model writes one text, so an answer of several spans is the text that
          joins them by " and ", in the annotator's order; a part of it has the F1 of its words, and is no exact match.

Chance is what the best constant answer, "2", reaches on all 9,536 development questions of the original file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import MissingPrerequisite
from harness.task import Split, Task

if TYPE_CHECKING:
    import pyarrow as pa

CARDS = [
    {
        "name": "drop/all",
        "title": "DROP, Discrete Reasoning Over Paragraphs: count, sort or compute what a passage says",
        "paper": "Dua, Wang, Dasigi, Stanovsky, Singh, Gardner: DROP, a Reading Comprehension Benchmark, 2019",
        "url": "https://aclanthology.org/N19-1246",
        "year": 2019,
        "licence": "CC BY-SA 4.0",
        "version": 2,
        "source": {
            "hub": "EleutherAI/drop",
            "config": "default",
            "revision": "main",
            "in_mirror": "ucinlp/drop",
        },
        "columns": {"passage": "passage", "question": "question", "answers": "answers"},
        "cluster": "section_id",
        "sizes": {"train": 77409, "evaluation": 9536},
        "metric": {"name": "drop.f1", "higher_is_better": True, "unit": "%", "chance": 0.0729, "ceiling": 1.0},
        "also": ["drop.em", "squad.f1"],
        "protocols": ["prompt"],
        "options": {"lm_eval": "shipped:drop"},
    },
]
JOINED = " and "
"""What stands between the spans of one answer."""
FLAT = 9535
"""Rows of the smaller split of the hub's ``ucinlp/drop``; the joined form is cut from one split of 9,536 in all."""
Answer = dict[str, Any]  # Any: raw values as the source has them


class Drop(Task):
    """Questions with the texts of their acceptable answers."""

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Add ``answers``, the text of each acceptable answer.

        Raises:
            MissingPrerequisite: for rows whose answers cannot be told apart, or that have none.
        """
        import pyarrow as pa

        if {"answer", "validated_answers"} <= set(table.column_names):
            pairs = zip(table["answer"].to_pylist(), table["validated_answers"].to_pylist(), strict=True)
            texts = [_texts([first, *_one_by_one(others)]) for first, others in pairs]
        elif "answers_spans" in table.column_names:
            if table.num_rows >= FLAT:
                raise MissingPrerequisite(
                    f"the {split} rows of {self.card.name} are those of the hub's ucinlp/drop, whose answers of "
                    f"several spans are broken up, so that a part would count as right; fetch EleutherAI/drop in its "
                    f"place (paretune mirror SUITE DIR)"
                )
            texts = [spans["spans"] for spans in table["answers_spans"].to_pylist()]
        else:
            raise MissingPrerequisite(
                f"the {split} rows of {self.card.name} have no columns answer and validated_answers, as "
                f"EleutherAI/drop has them; they have {', '.join(table.column_names)}"
            )
        return table.append_column("answers", pa.array(texts, pa.list_(pa.string())))


def _one_by_one(answers: Answer | list[Answer] | None) -> list[Answer]:
    """Return the further answers of a question: a list of them, or their fields as one list each."""
    if isinstance(answers, dict):
        return [dict(zip(answers, values, strict=True)) for values in zip(*answers.values(), strict=True)]
    return answers or []


def _texts(answers: list[Answer]) -> list[str]:
    """Return the different texts of some answers that are not empty; one empty text where all are."""
    texts = [text for text in map(_text, answers) if text.strip()]
    return list(dict.fromkeys(texts)) or [""]


def _text(answer: Answer) -> str:
    """Return an answer as one text: its number, else its spans, else its date."""
    if answer["number"]:
        return str(answer["number"])
    if answer["spans"]:
        return JOINED.join(answer["spans"])
    date = answer["date"] or {}
    return " ".join(str(date.get(part) or "") for part in ("day", "month", "year")).strip()


TASK = Drop
