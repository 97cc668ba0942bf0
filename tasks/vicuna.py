"""Vicuna-Eval: eighty open questions that a model answers freely, and that a judge may rate.

Papers: Chiang et al.: Vicuna: An Open-Source Chatbot Impressing GPT-4, 2023, https://lmsys.org/blog/2023-03-30-vicuna;
        Zheng et al.: Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena, 2023, https://arxiv.org/abs/2306.05685
Data:   FastChat's ``vicuna_bench``; it has no canonical copy on the hub, so a mirror holds it.

Scores: every run that scores this task leaves ``vicuna_eval.answers.jsonl`` beside its record: the answers in the
        format that FastChat's judge reads (``model_answer``), named by the run. Nothing in it depends on a clock.
        The rating from 1 to 10 needs a judge, the options ``judge`` and ``judge_model`` of ``prompt``; without one the
        number is null, and the record says ``not_applicable: no judge``. A judge's words are left beside the answers.
Prompt: the question and a line break, or the model's chat template with the option ``chat_template``; at most 1,024
        tokens are written, greedily.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from harness.task import Task

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.splits import Part

CARDS = [
    {
        "name": "vicuna/eval",
        "title": "Vicuna-Eval: eighty open questions, answered freely and rated by a judge",
        "paper": "Chiang et al.: Vicuna: An Open-Source Chatbot Impressing GPT-4, 2023",
        "url": "https://lmsys.org/blog/2023-03-30-vicuna",
        "year": 2023,
        "licence": "Apache-2.0",
        "version": 1,
        "source": {
            "hub": "lmsys/vicuna_bench",
            "config": "default",
            "splits": {"evaluation": "test"},
            "by_hand": "write FastChat's vicuna_bench/question.jsonl, with the columns question_id, category, turns "
            "and reference, as lmsys/vicuna_bench/default/test.parquet below the mirror",
        },
        "columns": {"question": "turns", "reference": "reference"},
        "sizes": {"evaluation": 80},
        "metric": {"name": "judge.rating", "higher_is_better": True, "unit": "", "chance": 1.0, "ceiling": 10.0},
        "protocols": ["prompt"],
        "options": {"lm_eval": "shipped:vicuna"},
        "score_only_with": "instruct/alpaca",
    },
]
ANSWERS, JUDGEMENTS = "vicuna_eval.answers.jsonl", "vicuna_eval.judgements.jsonl"
ID_DIGITS = 22
"""Characters of an answer's id, as many as FastChat's have."""


class Vicuna(Task):
    """The questions, and the answers in the judge's format."""

    def files(self, run_id: str, part: Part, items: pa.Table) -> Mapping[str, str]:
        """Return the answers as FastChat's judge reads them, one JSON object a line, and what a judge said of them."""
        numbers, texts = part.values("question_id"), items.column("prediction").to_pylist()
        if "rating" not in items.column_names:
            return {ANSWERS: _lines(_answer(run_id, *pair) for pair in zip(numbers, texts, strict=True))}
        judged = [json.loads(text) for text in texts]
        answers = [_answer(run_id, number, one["answer"]) for number, one in zip(numbers, judged, strict=True)]
        ratings = zip(items.column("rating").to_pylist(), items.column("rated").to_pylist(), strict=True)
        judgements = [
            {"question_id": number, "model": run_id, "turn": 1, "judgment": one["judgement"], "score": score}
            for number, one, score in zip(numbers, judged, (a if b else None for a, b in ratings), strict=True)
        ]
        return {ANSWERS: _lines(answers), JUDGEMENTS: _lines(judgements)}


def _answer(run_id: str, number: int, text: str) -> dict[str, object]:
    name = hashlib.sha256(f"{run_id}/{number}/{text}".encode()).hexdigest()[:ID_DIGITS]
    return {
        "question_id": number,
        "answer_id": name,
        "model_id": run_id,
        "choices": [{"index": 0, "turns": [text]}],
        "tstamp": None,
    }


def _lines(rows: Iterable[dict[str, object]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


TASK = Vicuna
