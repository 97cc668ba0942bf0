"""What people call a metric whose id stands in cards and records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

OF_ID = {
    "corpus.chrf": "chrF++",
    "pairs.parity": "parity of pairs",
    "multirc.accuracy": "accuracy of answers",
    "multirc.em": "questions answered in full",
    "multirc.f1a": "F1 of answers",
    "multirc.f1m": "F1 of questions",
    "multirc.f1a_and_em": "mean of F1 of answers and questions answered in full",
    "squad.best_exact": "exact match at the best threshold",
    "squad.best_f1": "F1 at the best threshold",
    "judge.rating": "mean rating of a judge",
}
"""Ids whose last part says too little alone."""
OF_PART = {
    "acc": "accuracy",
    "acc_norm": "accuracy by likelihood per character",
    "acc_bytes": "accuracy by likelihood per byte",
    "acc_per_token": "accuracy by likelihood per token",
    "matthews": "Matthews correlation",
    "mcc": "Matthews correlation",
    "matthews_corrcoef": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "f1": "F1",
    "macro_f1": "macro F1",
    "em": "exact match",
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf++": "chrF++",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "nist": "NIST",
    "rouge_l": "ROUGE-L",
    "ter": "TER",
}
"""Last parts of ids, after the file that the metric is in, or of how lm-eval puts its items together."""
BOTH = "_and_"


def metric_name(metric: str) -> str:
    """Return the name of a metric as people know it; an unknown one is read as it is written, without its file."""
    if metric in OF_ID:
        return OF_ID[metric]
    part = metric.rpartition(".")[2].rpartition(":")[2]
    if BOTH in part:
        first, _, second = part.partition(BOTH)
        return f"mean of {_of_part(first)} and {_of_part(second)}"
    return _of_part(part)


def told_apart(metrics: Sequence[str]) -> list[str]:
    """Return the names of metrics that stand side by side; those that share one keep their ids."""
    names = [metric_name(metric) for metric in metrics]
    seen = Counter(names)
    return [metric if seen[name] > 1 else name for metric, name in zip(metrics, names, strict=True)]


def _of_part(part: str) -> str:
    return OF_PART.get(part, part.replace("_", " "))
