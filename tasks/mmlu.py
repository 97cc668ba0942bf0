"""MMLU: four-way questions of 57 subjects, from school arithmetic to professional law.

Paper: Hendrycks, Burns, Basart, Zou, Mazeika, Song, Steinhardt: Measuring Massive Multitask Language Understanding,
       2021, https://openreview.net/forum?id=d7KBjmI3GmQ
Data:  https://huggingface.co/datasets/cais/mmlu

Prompt:  lm-eval's own of each subject (``mmlu_<subject>``): the subject is named, the four choices are lettered, and
         the letter is the answer. Demonstrations are the first rows of the subject's development split: none by
         default, five for the names that end in ``_5shot`` or with the option ``num_fewshot: 5``.
Scores:  accuracy on the official test split. ``mmlu/all`` and the four groups pool the questions of their subjects, so
         that a subject counts by its size, as in lm-eval's groups ``mmlu``, ``mmlu_stem`` and so on. The subjects and
         groups have no training split of their own: ``{train: mmlu/all, score: [mmlu/all, mmlu/anatomy]}``.
Splits:  MMLU has no training split in the subjects' domain. ``mmlu/all`` trains on the official validation split (1,531
         rows); ``mmlu/auxiliary`` on the 99,842 rows that the authors gathered from other data sets (and validates on
         the official validation split). Those rows name no subject, so its prompt has none; score it on ``mmlu/all``.

A chance level is the share of the most frequent letter among a subject's test questions.
"""

from __future__ import annotations

from pydantic import JsonValue

CARDS_FROM = "tasks.mmlu"

SUBJECTS: dict[str, dict[str, tuple[int, int]]] = {
    "stem": {
        "abstract_algebra": (100, 31),
        "anatomy": (135, 45),
        "astronomy": (152, 51),
        "college_biology": (144, 38),
        "college_chemistry": (100, 41),
        "college_computer_science": (100, 33),
        "college_mathematics": (100, 31),
        "college_physics": (102, 38),
        "computer_security": (100, 30),
        "conceptual_physics": (235, 76),
        "electrical_engineering": (145, 43),
        "elementary_mathematics": (378, 101),
        "high_school_biology": (310, 98),
        "high_school_chemistry": (203, 60),
        "high_school_computer_science": (100, 33),
        "high_school_mathematics": (270, 71),
        "high_school_physics": (151, 50),
        "high_school_statistics": (216, 102),
        "machine_learning": (112, 35),
    },
    "humanities": {
        "formal_logic": (126, 46),
        "high_school_european_history": (165, 47),
        "high_school_us_history": (204, 53),
        "high_school_world_history": (237, 64),
        "international_law": (121, 45),
        "jurisprudence": (108, 32),
        "logical_fallacies": (163, 49),
        "moral_disputes": (346, 101),
        "moral_scenarios": (895, 244),
        "philosophy": (311, 93),
        "prehistory": (324, 95),
        "professional_law": (1534, 415),
        "world_religions": (171, 55),
    },
    "social_sciences": {
        "econometrics": (114, 32),
        "high_school_geography": (198, 70),
        "high_school_government_and_politics": (193, 71),
        "high_school_macroeconomics": (390, 142),
        "high_school_microeconomics": (238, 83),
        "high_school_psychology": (545, 190),
        "human_sexuality": (131, 37),
        "professional_psychology": (612, 169),
        "public_relations": (110, 38),
        "security_studies": (245, 98),
        "sociology": (201, 54),
        "us_foreign_policy": (100, 28),
    },
    "other": {
        "business_ethics": (100, 30),
        "clinical_knowledge": (265, 79),
        "college_medicine": (173, 58),
        "global_facts": (100, 33),
        "human_aging": (223, 84),
        "management": (103, 39),
        "marketing": (234, 68),
        "medical_genetics": (100, 30),
        "miscellaneous": (783, 225),
        "nutrition": (306, 90),
        "professional_accounting": (282, 76),
        "professional_medicine": (272, 122),
        "virology": (166, 53),
    },
}
"""Group to its subjects: test questions, and how many of them have the most frequent answer."""
MOST_FREQUENT = {"stem": 902, "humanities": 1276, "social_sciences": 956, "other": 835, "all": 3776}
"""Test questions of the most frequent answer where several subjects are pooled."""
SHOTS = 5
"""Demonstrations in the development split of each subject."""


def cards() -> list[dict[str, JsonValue]]:
    """Return the cards: everything, both ways to train, the groups, and the subjects."""
    subjects = {name: counts for group in SUBJECTS.values() for name, counts in group.items()}
    whole = _counts("all", subjects)
    everything = {"train": "validation", "evaluation": "test", "fewshot": "dev"}
    auxiliary = {"train": "auxiliary_train", "validation": "validation", "evaluation": "test"}
    sizes = {"train": 1531, "evaluation": whole[0], "fewshot": SHOTS * len(subjects)}
    found = [
        _card("all", "MMLU, all 57 subjects", "all", whole, splits=everything, sizes=sizes),
        _card(
            "auxiliary",
            "MMLU, all 57 subjects, trained on the authors' auxiliary rows",
            "all",
            whole,
            splits=auxiliary,
            sizes={"train": 99842, "validation": 1531, "evaluation": whole[0]},
            prompt="shipped:mmlu_auxiliary",
        ),
    ]
    found += [
        _card(name, f"MMLU, {_words(name)}", "all", _counts(name, group), where=list(group))
        for name, group in SUBJECTS.items()
    ]
    found += [_in_context(card) for card in found if card["name"] != "mmlu/auxiliary"]
    found += [
        _card(name, f"MMLU, {_words(name)}", name, counts, prompt=f"mmlu_{name}") for name, counts in subjects.items()
    ]
    return found


def _card(
    name: str,
    title: str,
    config: str,
    counts: tuple[int, int],
    *,
    where: list[str] | None = None,
    splits: dict[str, str] | None = None,
    sizes: dict[str, int] | None = None,
    prompt: str = "mmlu_{subject}",
) -> dict[str, JsonValue]:
    """Return a card.

    Args:
        name: after the slash.
        title: in words.
        config: of the data set: a subject, or all of them.
        counts: test questions, and those of the most frequent answer.
        where: the subjects whose rows are taken; null takes all of the configuration.
        splits: those of what can be trained on; null for what is only scored.
        sizes: of these splits.
        prompt: the lm-eval task; a column in braces stands for each row's value of it.
    """
    size, most = counts
    shots = SHOTS * (len(where) if where else 1)
    source: dict[str, JsonValue] = {
        "hub": "cais/mmlu",
        "config": config,
        "revision": "c30699e8356da336a370243923dbaf21066bb9fe",
        "splits": {**(splits or {"evaluation": "test", "fewshot": "dev"})},
    }
    if where:
        source["where"] = {"subject": [*where]}
    card: dict[str, JsonValue] = {
        "name": f"mmlu/{name}",
        "title": title,
        "paper": "Hendrycks et al.: Measuring Massive Multitask Language Understanding, 2021",
        "url": "https://openreview.net/forum?id=d7KBjmI3GmQ",
        "year": 2021,
        "licence": "MIT",
        "version": 1,
        "source": source,
        "columns": {"question": "question", "choices": "choices", "label": "answer"},
        "sizes": {**(sizes or {"evaluation": size, "fewshot": shots})},
        "metric": {
            "name": "mean.acc",
            "higher_is_better": True,
            "unit": "%",
            "chance": round(most / size, 4),
            "ceiling": 1.0,
        },
        "protocols": ["prompt"],
        "options": {"lm_eval": prompt},
    }
    return card if splits else {**card, "score_only_with": "mmlu/all"}


def _in_context(card: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a card that is met with the five demonstrations of each question's subject."""
    options: dict[str, JsonValue] = {"lm_eval": "mmlu_{subject}", "num_fewshot": SHOTS}
    return {**card, "name": f"{card['name']}_5shot", "title": f"{card['title']}, 5-shot", "options": options}


def _counts(name: str, subjects: dict[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(size for size, _ in subjects.values()), MOST_FREQUENT[name]


def _words(name: str) -> str:
    return "STEM" if name == "stem" else name.replace("_", " ")
