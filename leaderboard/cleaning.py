"""Cleaning of numbers that papers report: from a collection in the papers' words to the table that the board reads.

``python -m leaderboard.cleaning COLLECTION.csv`` writes ``leaderboard/data/reported.csv``, and what was left out with
its reason and count to ``reported_dropped.csv`` beside it; what are means over tasks, to ``reported_averages.csv``.
``names.csv`` there says what each of the papers' words is in ours: a ``backbone`` is its names on the hub, a ``score``
is a task and a metric, a ``split`` the source's own split. A method that is not ours keeps the paper's name.
Percentages become fractions where a metric is one. Nothing is guessed: a word that ``names.csv`` does not have stops
the cleaning.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import UnknownName
from harness.metric import find

DATA = Path(__file__).parent / "data"
FIELDS = (
    "paper", "arxiv", "backbones", "method", "label", "variant", "trained", "fraction", "task", "metric", "value",
    "std", "split", "seeds", "source", "grade",
)  # fmt: skip
AVERAGES = ("paper", "backbone", "label", "trained", "fraction", "task", "value", "source")
AVERAGE = "an average of tasks, and not of ours"
"""The reason in ``names.csv`` why a number is no number of a task."""
DROPPED = ("paper", "backbone", "method", "task", "metric", "reason", "rows")
Row = Mapping[str, str]


class Cleaned(NamedTuple):
    """What can be used, and how many rows cannot, by what they are and why."""

    rows: list[dict[str, str]]
    dropped: Counter[tuple[str, ...]]
    averages: list[dict[str, str]]
    """Of the dropped ones those that are means over tasks, in the papers' words and units."""


class Name(NamedTuple):
    """What a word of the papers is in ours."""

    ours: str
    """Empty where there is no such thing."""
    reason: str


class Names:
    """The papers' words and ours."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._known = {(row["kind"], row["theirs"]): Name(row["ours"], row["reason"]) for row in rows}

    def of(self, kind: str, *theirs: str) -> Name:
        """Return our word.

        Raises:
            UnknownName: if the table does not have theirs.
        """
        word = " | ".join(theirs)
        if (kind, word) not in self._known:
            raise UnknownName(kind, word, [name for known, name in self._known if known == kind], "names.csv")
        return self._known[kind, word]

    def doubt(self, *theirs: str) -> str:
        """Return why rows of such a kind are not believed, or an empty text."""
        return self._known.get(("doubt", " | ".join(theirs)), Name("", "")).reason


def clean(rows: Iterable[Row], names: Names) -> Cleaned:
    """Return a collection in our words.

    Raises:
        UnknownName: if a word is not in the table of names, or a metric is none of ours.
    """
    found = Cleaned([], Counter(), [])
    for row in rows:
        score, split = names.of("score", row["task"], row["metric"]), names.of("split", row["split"])
        backbone, method = names.of("backbone", row["backbone"]), names.of("method", row["method"])
        doubt = names.doubt(row["paper"], row["backbone"], row["method"])
        if not score.ours or not split.ours or doubt:
            # What the number is of is said first: an average has no doubtful items.
            reason = score.reason or split.reason or doubt
            found.dropped[tuple(row[name] for name in DROPPED[:5]) + (reason,)] += 1
            if reason == AVERAGE:
                label = " ".join(filter(None, (row["method"], row["variant"])))
                size = {"trained": row["trainable_params"], "fraction": row["trainable_fraction"]}
                found.averages.append({**{name: row[name] for name in AVERAGES if name in row}, "label": label, **size})
            continue
        task, metric = score.ours.split(" | ")
        factor = _factor(metric, float(row["value"]))
        found.rows.append(
            {
                **{name: row[name] for name in ("paper", "arxiv", "variant", "source", "grade")},
                "backbones": backbone.ours,
                "method": method.ours,
                "label": row["method"],
                "trained": row["trainable_params"],
                "fraction": row["trainable_fraction"],
                "task": task,
                "metric": metric,
                "value": _text(float(row["value"]) * factor),
                "std": _text(float(row["std"]) * factor) if row["std"] else "",
                "split": split.ours,
                "seeds": _seeds(row["split"]),
            }
        )
    return found


def _factor(metric: str, value: float) -> float:
    """Return what makes a fraction of a percentage; papers write some fractions as such."""
    return 0.01 if find(metric).unit == "%" and value > 1.5 else 1.0


def _text(value: float) -> str:
    return f"{value:.6g}"


def _seeds(split: str) -> str:
    """Return what a split's words say of seeds."""
    return split.partition(", ")[2] or ("as reprinted" if "reprinted" in split else "")


def table(fields: Sequence[str], rows: Iterable[Row]) -> str:
    """Return rows as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def main(collection: Path, out: Path = DATA) -> Cleaned:
    """Clean a collection and write its tables."""
    cleaned = clean(read(collection), Names(read(DATA / "names.csv")))
    (out / "reported.csv").write_text(table(FIELDS, cleaned.rows), encoding="utf-8")
    (out / "reported_averages.csv").write_text(table(AVERAGES, cleaned.averages), encoding="utf-8")
    dropped = (dict(zip(DROPPED, (*key, str(count)), strict=True)) for key, count in sorted(cleaned.dropped.items()))
    (out / "reported_dropped.csv").write_text(table(DROPPED, dropped), encoding="utf-8")
    return cleaned


if __name__ == "__main__":
    main(Path(sys.argv[1]))
