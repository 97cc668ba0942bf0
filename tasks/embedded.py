"""Embedded: three small text tasks, written by a grammar of our own, for a machine with no network.

Each task hides its label in how words relate and never in which words occur: every word is as frequent under one
label as under the other, so that counting words is worth nothing and a pretrained backbone has to be tuned.

Rows are drawn from named random streams keyed by card name, version and split: the same ones for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa

from harness.random import permutation, words
from harness.task import Split, Task

CARDS = [
    {
        "name": "embedded/agreement",
        "title": "Subject-verb agreement with attractors",
        "paper": "none",
        "url": "",
        "year": 2025,
        "licence": "same as this package",
        "version": 1,
        "source": {"splits": {"train": "train", "evaluation": "evaluation"}},
        "columns": {"text": "text", "label": "label"},
        "labels": ("unacceptable", "acceptable"),
        "sizes": {"train": 4000, "evaluation": 1000},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "protocols": ("classify",),
    },
    {
        "name": "embedded/entailment",
        "title": "Entailment between generated facts",
        "paper": "none",
        "url": "",
        "year": 2025,
        "licence": "same as this package",
        "version": 1,
        "source": {"splits": {"train": "train", "evaluation": "evaluation"}},
        "columns": {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        "labels": ("not_entailment", "entailment"),
        "sizes": {"train": 4000, "evaluation": 1000},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "protocols": ("classify",),
    },
    {
        "name": "embedded/polarity",
        "title": "Polarity of an opinion with negation and contrast",
        "paper": "none",
        "url": "",
        "year": 2025,
        "licence": "same as this package",
        "version": 1,
        "source": {"splits": {"train": "train", "evaluation": "evaluation"}},
        "columns": {"text": "text", "label": "label"},
        "labels": ("negative", "positive"),
        "sizes": {"train": 4000, "evaluation": 1000},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "protocols": ("classify",),
    },
]

T = TypeVar("T")
WORDS_PER_ROW = 48
"""More than any sentence needs; a row that ran out would raise ``StopIteration`` in the tests."""


class Draw:
    """The choices of one row, taken from its own random stream."""

    def __init__(self, name: str) -> None:
        self._words = iter(words(WORDS_PER_ROW, seed=0, purpose="embedded", name=name).tolist())

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        return int(next(self._words)) % bound

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, each equally likely."""
        return options[self.below(len(options))]

    def distinct(self, options: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different options in random order."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(count)]


# Agreement. Reflexive (gender) or verb (number) agree with the first noun, the subject, not with the nearest one.
#   SENTENCE = the ADJECTIVE NOUN [PP | PP PP | that the NOUN DID] (HURT REFLEXIVE | IS ADJECTIVE) ADVERB
#   PP       = PREPOSITION the NOUN
NOUNS = (
    ("king", "father", "uncle", "boy", "monk", "son", "husband", "grandfather"),
    ("queen", "mother", "aunt", "girl", "nun", "daughter", "sister", "grandmother"),
)
REFLEXIVES = ("himself", "herself")
IS = (("is", "are"), ("was", "were"))
ADJECTIVES = ("old", "quiet", "famous", "strange", "tall", "lovely", "tired", "happy")
PREPOSITIONS = ("near", "behind", "beside", "with")
HURT = ("hurt", "washed", "praised", "taught", "blamed", "trusted")
ADVERBS = ("today", "again", "now", "here")
DID = ("found", "saw", "liked", "painted", "sold", "needed")
BETWEEN = ("none",) * 4 + ("one",) * 3 + ("two",) * 2 + ("clause",)


def agreement(draw: Draw, label: int) -> tuple[str, ...]:
    """Write one sentence; reflexive or verb agree with the subject when the label is 1 and do not when it is 0."""
    gender, plural = draw.below(2), draw.below(2)
    in_number = draw.below(4) == 0
    subject = draw.pick(NOUNS[gender])
    one, two = (f"the {draw.pick(NOUNS[draw.below(2)])}" for _ in range(2))
    if in_number:
        subject += "s" * plural
        one += "s" * draw.below(2)
        two += "s" * draw.below(2)
    near, far = draw.distinct(PREPOSITIONS, 2)
    between = {
        "none": "",
        "one": f" {near} {one}",
        "two": f" {near} {one} {far} {two}",
        "clause": f" that {one} {draw.pick(DID)}",
    }[draw.pick(BETWEEN)]
    before, after = draw.distinct(ADJECTIVES, 2)
    if in_number:
        predicate = f"{draw.pick(IS)[plural if label else 1 - plural]} {after}"
    else:
        predicate = f"{draw.pick(HURT)} {REFLEXIVES[gender if label else 1 - gender]}"
    return (f"the {before} {subject}{between} {predicate} {draw.pick(ADVERBS)}.",)



# Entailment. A word entails itself and its kind; a kind entails itself only; the rest of the fact stays the same.
#   FACT = the AGENT DID the THING
AGENTS = {
    "man": ("father", "uncle", "king", "monk"),
    "woman": ("mother", "aunt", "queen", "nun"),
}
THINGS = {
    "animal": ("dog", "horse", "cat", "sheep", "goat"),
    "vehicle": ("bus", "truck", "car", "tram", "van"),
    "fruit": ("apple", "pear", "plum", "cherry", "banana"),
    "tool": ("hammer", "saw", "drill", "wrench", "axe"),
    "instrument": ("violin", "flute", "drum", "trumpet", "piano"),
}
PLACES = {
    "building": ("church", "school", "hotel", "castle"),
    "road": ("street", "lane", "highway", "avenue"),
    "water": ("river", "lake", "sea", "pond"),
}
# How a slot is worded in premise and hypothesis: out of twenty, fifteen premises and five hypotheses have a word and
# the others a kind, whether the slot holds or fails, so that neither side alone gives the label away.
HOLDS = ("same word",) * 5 + ("word to kind",) * 10 + ("same kind",) * 5
FAILS = ("sister word",) * 3 + ("word to other kind",) * 12 + ("other kind",) * 3 + ("kind to word",) * 2


def slot(draw: Draw, kinds: dict[str, tuple[str, ...]], how: str) -> tuple[str, str]:
    """Return what one slot says in the premise and in the hypothesis."""
    kind, other = draw.distinct(sorted(kinds), 2)
    word, sister = draw.distinct(kinds[kind], 2)
    return {
        "same word": (word, word),
        "word to kind": (word, kind),
        "same kind": (kind, kind),
        "sister word": (word, sister),
        "word to other kind": (word, other),
        "other kind": (kind, other),
        "kind to word": (kind, word),
    }[how]


def entailment(draw: Draw, label: int) -> tuple[str, ...]:
    """Write a premise and a hypothesis; exactly one slot fails when the label is 0."""
    slots = (AGENTS, THINGS, PLACES)[: 2 + draw.below(2)]
    wrong = len(slots) if label else draw.below(len(slots))
    worded = [slot(draw, kinds, draw.pick(FAILS if place == wrong else HOLDS)) for place, kinds in enumerate(slots)]
    fact = f"the {{}} {draw.pick(DID)} the {{}}" + (" near the {}." if len(slots) == 3 else ".")
    premise, hypothesis = zip(*worded, strict=True)
    return fact.format(*premise), fact.format(*hypothesis)


# Polarity. The main clause decides; the concession does not count. A negation or a frame of doubt turns it round.
#   OPINION = [FRAME] the ASPECT was [NEGATION] WORD
#   TEXT    = MAIN | CONCESSION but MAIN | although CONCESSION MAIN | MAIN although CONCESSION
ASPECTS = (
    "food", "service", "room", "music", "view", "staff", "coffee", "plot", "acting", "ending", "garden", "soup",
)  # fmt: skip
GOOD = ("great", "lovely", "warm", "charming", "fresh", "clever", "pleasant", "splendid")
BAD = ("awful", "dull", "cold", "boring", "stale", "stupid", "nasty", "terrible")
NEGATIONS = ("not", "never", "hardly")
SAYS = ("i think that", "everyone says that", "we agree that")
DOUBTS = ("i doubt that", "nobody says that", "we deny that")
JOINED = ("{main}.", "{aside}, but {main}.", "although {aside}, {main}.", "{main}, although {aside}.")


def opinion(draw: Draw, aspect: str, positive: int) -> str:
    """Write one clause of the given polarity; negation is a fair coin, so that the word alone says nothing."""
    negated = draw.below(2)
    framed = draw.below(3) == 0
    doubted = draw.below(2) if framed else 0
    frame = draw.pick(DOUBTS if doubted else SAYS) + " " if framed else ""
    word = draw.pick(GOOD if positive ^ negated ^ doubted else BAD)
    return f"{frame}the {aspect} was {draw.pick(NEGATIONS) + ' ' if negated else ''}{word}"


def polarity(draw: Draw, label: int) -> tuple[str, ...]:
    """Write an opinion whose main clause has the label's polarity, and perhaps a concession of either polarity."""
    first, second = draw.distinct(ASPECTS, 2)
    main, aside = opinion(draw, first, label), opinion(draw, second, draw.below(2))
    return (draw.pick(JOINED).format(main=main, aside=aside),)


GRAMMARS: dict[str, Callable[[Draw, int], tuple[str, ...]]] = {
    "embedded/agreement": agreement,
    "embedded/entailment": entailment,
    "embedded/polarity": polarity,
}


class Embedded(Task):
    """A task whose rows are written by a grammar."""

    def table(self, split: Split) -> pa.Table:
        """Return the rows of a split: balanced, each text (or pair of texts) once in both splits together."""
        seen: set[tuple[str, ...]] = set()
        evaluation = list(self._rows("evaluation", seen))
        rows = evaluation if split == "evaluation" else list(self._rows("train", seen))
        fields = [column for field, column in self.card.columns.items() if field != "label"] + ["label"]
        return pa.table({field: [row[place] for row in rows] for place, field in enumerate(fields)})

    def _rows(self, split: Split, seen: set[tuple[str, ...]]) -> Iterator[tuple[str | int, ...]]:
        stream = f"{self.card.name}/{self.card.version}/{split}"
        size = self.card.sizes[split]
        attempt = 0
        for place in permutation(size, seed=0, purpose="embedded order", name=stream).tolist():
            label, texts = place % 2, None
            while texts is None or texts in seen:
                texts = GRAMMARS[self.card.name](Draw(f"{stream}/{attempt}"), label)
                attempt += 1
            seen.add(texts)
            yield (*texts, label)


TASK = Embedded
