"""METEOR 1.5 by its authors' Java program, kept as sums per item.

Denkowski and Lavie 2014. The program aligns each text with its best reference (exact words, stems, synonyms,
paraphrases); the score is a formula of sums over items, with the program's own values for English. Java and
meteor-1.5.jar, its ``data`` folder beside it, are looked for when the metric is computed; nothing else needs them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.errors import MissingPrerequisite
from harness.metric import Column, Rows

VARIABLE = "PARETUNE_METEOR_JAR"
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
"""Weight of recall, shape and weight of the fragmentation penalty, weight of content words over function words."""
MATCHERS = np.array([1.0, 0.6, 0.8, 0.6])
"""What a match by exact word, stem, synonym and paraphrase counts."""
METEOR = tuple(
    f"meteor_{part}" for part in ("length", "reference_length", "matched", "reference_matched", "words", "chunks")
)


def jar() -> Path:
    """Return the place of the program.

    Raises:
        MissingPrerequisite: if Java or the program is not here.
    """
    wanted = (
        f"METEOR needs Java (such as Debian's default-jre-headless) and meteor-1.5.jar (named by {VARIABLE}, or in "
    )
    wanted += "an installed pycocoevalcap)"
    if shutil.which("java") is None:
        raise MissingPrerequisite(f"{wanted}; java is not on the path")
    named = os.environ.get(VARIABLE)
    package = importlib.util.find_spec("pycocoevalcap")  # located, not imported
    places = [Path(named)] if named else []
    if not named and package is not None:
        places = [Path(one, "meteor", "meteor-1.5.jar") for one in package.submodule_search_locations or ()]
    for place in places:
        if place.is_file():
            return place.resolve()
    came = f"{VARIABLE} names {named!r}, which is no file" if named else f"{VARIABLE} is not set"
    raise MissingPrerequisite(f"{wanted}; {came}")


def meteor_columns(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Column]:
    """Return per item what the score is a formula of.

    Raises:
        MissingPrerequisite: if the program is not here, or does not answer for every item.
    """
    place = jar()
    pairs = zip(predicted, references, strict=True)
    lines = [" ||| ".join(("SCORE", *map(_line, others), _line(text))) for text, others in pairs]
    done = subprocess.run(
        ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(place), "-", "-", "-stdio", "-l", "en", "-norm"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        encoding="utf-8",
        cwd=place.parent,  # the paraphrases lie beside the program
        check=False,
    )
    answers = done.stdout.split("\n")[:-1]
    if done.returncode or len(answers) != len(lines):
        said = " ".join(done.stderr.split()[-40:]) or "nothing"
        raise MissingPrerequisite(
            f"METEOR answered for {len(answers)} of {len(lines)} items and ended with {done.returncode}, saying: "
            f"{said}; look whether Java may use 2 GB and the program's data folder is beside it"
        )
    return _sums(np.array([answer.split() for answer in answers], np.float64))


def _line(text: str) -> str:
    return " ".join(text.replace("|||", " ").split())


def _sums(said: Column) -> dict[str, Column]:
    """Return the linear sums of the program's 23 numbers per item.

    They are the words of text and reference, of these the function words; for each matcher the content words matched
    in text and reference and the function words; the chunks; and all words matched in text and reference.
    """
    words, reference_words, function, reference_function = said[:, :4].T
    matches = said[:, 4:20].reshape(-1, len(MATCHERS), 4)
    matched, reference_matched = (
        (DELTA * matches[:, :, side] + (1 - DELTA) * matches[:, :, 2 + side]) @ MATCHERS for side in (0, 1)
    )
    chunks, all_matched, all_reference_matched = said[:, 20:].T
    # A text that matches as a whole is no fragment.
    whole = (chunks == 1) & (all_matched == words) & (all_reference_matched == reference_words)
    columns = (
        DELTA * (words - function) + (1 - DELTA) * function,
        DELTA * (reference_words - reference_function) + (1 - DELTA) * reference_function,
        matched,
        reference_matched,
        (all_matched + all_reference_matched) / 2,
        np.where(whole, 0.0, chunks),
    )
    return dict(zip(METEOR, columns, strict=True))


def meteor(rows: Rows, weights: Column) -> float:
    """Return METEOR from 0 to 1."""
    length, reference_length, matched, reference_matched, words, chunks = (weights @ rows[name] for name in METEOR)
    if not matched or not reference_matched:
        return 0.0
    precision, recall = matched / length, reference_matched / reference_length
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    return float(mean * (1 - GAMMA * (chunks / words) ** BETA))
