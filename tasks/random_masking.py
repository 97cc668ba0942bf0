"""The eleven tasks of the random-masking paper as it meets them: prompted, candidates scored by token, F1 for texts.

Paper: Xu, Zhang: Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, 2024,
       https://proceedings.mlr.press/v235/xu24aa.html; each card cites the paper of its own data.
Data:  that of the task of the same name in ``superglue``, ``glue``, ``squad`` and ``drop``.

Prompts: zero-shot, in ``tasks/prompts/random_masking`` (``squad_v1`` and ``drop`` beside it). What a prompt puts where,
         the candidates, and how a text ends are the paper's; its wording is not at hand, so the words are ours, and
         numbers are close to the paper's at best.
Scores:  the candidate with the largest mean log-probability of its tokens is the answer, and the loss is cross-entropy
         over these means. ReCoRD trains on the tokens of its answer instead, as SQuAD and DROP do, which write at most
         50 tokens, to the end of the line, greedily. A candidate on a line of its own begins with the line break, which
         is a token of all candidates alike: it changes no answer, and halves the logits of candidates of one token.
Metrics: accuracy; for MultiRC over pairs of question and answer; for ReCoRD whether the entity is among the answers;
         SQuAD's token F1 for both SQuAD and DROP. The average is the plain mean over the eleven.
Splits:  the policy ``subsampled`` draws 1,000 rows to train on and 500 to validate on, 50 for CB and WSC. The paper
         names no smaller number for COPA, of whose 400 rows 500 would leave none to train on; 100 are taken here.

A chance level is the best constant answer on the official evaluation split; for ReCoRD it is the accuracy that a
uniform guess among the entities expects on 64 rows of the official train split, the only ones at hand.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from harness.registry import ROOT, literals
from harness.task import Task, TaskCard

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.task import Split

CARDS_FROM = "tasks.random_masking"
AVERAGES = [
    {
        "name": "random_masking",
        "title": "Average of the random-masking paper over its 11 tasks",
        "tasks": [
            "random_masking/boolq",
            "random_masking/cb",
            "random_masking/copa",
            "random_masking/multirc",
            "random_masking/record",
            "random_masking/rte",
            "random_masking/wic",
            "random_masking/wsc",
            "random_masking/sst2",
            "random_masking/squad",
            "random_masking/drop",
        ],
    },
]


class Asked(NamedTuple):
    """How a task is met here, where that differs from the family that its rows are of."""

    of: str
    """The task whose rows, paper and splits it has."""
    columns: dict[str, str]
    """What makes two rows the same."""
    chance: float
    metric: str = "mean.acc_per_token"
    also: tuple[str, ...] = ("mean.acc",)
    loss: str = "candidates"
    prompt: str | None = None
    """The YAML in ``tasks/prompts``; null for the one of its own name."""


SQUAD = {"question": "question", "context": "context", "answers": "answers.text"}
DROP = {"question": "question", "passage": "passage", "answers": "answers"}
ENTAILS = {"text": "premise", "text_pair": "hypothesis", "label": "label"}
TASKS = {
    "boolq": Asked("superglue/boolq", {"text": "passage", "text_pair": "question", "label": "label"}, 0.6217),
    "cb": Asked("superglue/cb", ENTAILS, 0.5),
    "copa": Asked(
        "superglue/copa", {"text": "premise", "first": "choice1", "second": "choice2", "label": "label"}, 0.55
    ),
    "multirc": Asked(
        "superglue/multirc",
        {"text": "paragraph", "question": "question", "answer": "answer", "label": "label"},
        0.572,
    ),
    "record": Asked(
        "superglue/record", {"text": "passage", "text_pair": "query", "answers": "answers"}, 0.1345, loss="continuation"
    ),
    "rte": Asked("superglue/rte", ENTAILS, 0.5271),
    "wic": Asked(
        "superglue/wic", {"text": "sentence1", "text_pair": "sentence2", "word": "word", "label": "label"}, 0.5
    ),
    "wsc": Asked(
        "superglue/wsc", {"text": "text", "first": "span1_text", "second": "span2_text", "label": "label"}, 0.6346
    ),
    "sst2": Asked("glue/sst2", {"text": "sentence", "label": "label"}, 0.5092),
    "squad": Asked("squad/v1", SQUAD, 0.0, "squad.f1", ("squad.exact_match",), "continuation", "squad_v1"),
    "drop": Asked("drop/all", DROP, 0.073, "squad.f1", ("drop.f1", "drop.em"), "continuation", "drop"),
}
TAKEN = ("paper", "url", "year", "licence", "source", "cluster", "sizes", "policy_sizes")


def cards() -> list[dict[str, JsonValue]]:
    """Return the eleven cards."""
    return [_card(name, asked) for name, asked in TASKS.items()]


def _card(name: str, asked: Asked) -> dict[str, JsonValue]:
    original = _original(asked.of)
    return {
        **{key: original[key] for key in TAKEN if key in original},
        "name": f"random_masking/{name}",
        "title": f"{original['title']} (as prompted for random masking)",
        "version": 2 if name == "drop" else 1,
        "columns": {**asked.columns},
        "metric": {
            "name": asked.metric,
            "higher_is_better": True,
            "unit": "%",
            "chance": asked.chance,
            "ceiling": 1.0,
        },
        "also": [*asked.also],
        "protocols": ["prompt"],
        "options": {"lm_eval": f"shipped:{asked.prompt or f'random_masking/{name}'}", "loss": asked.loss},
    }


@cache
def _original(name: str) -> dict[str, JsonValue]:
    family = name.partition("/")[0]
    return next(card for card in literals(ROOT / "tasks" / f"{family}.py", "CARDS") if card["name"] == name)


class RandomMasking(Task):
    """A task with another's rows, and with the columns that the other's code adds to them."""

    def prepare(self, table: pa.Table, split: Split) -> pa.Table:
        """Return the rows as the task that they are of has them."""
        from tasks.drop import Drop
        from tasks.squad import Squad
        from tasks.superglue import SuperGlue

        asked = TASKS[self.card.name.partition("/")[2]]
        homes: dict[str, type[Task]] = {"drop": Drop, "squad": Squad, "superglue": SuperGlue}
        home = homes.get(asked.of.partition("/")[0], Task)
        return home(TaskCard.model_validate(_original(asked.of))).prepare(table, split)


TASK = RandomMasking
