"""METEOR is the Java program's number, and its absence is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness.errors import MissingPrerequisite
from harness.metrics.parts import meteor
from harness.metrics.parts.meteor import METEOR, VARIABLE, jar, meteor_columns

TEXTS = ["the cats sat on a mat", "the cat sat on the mat", "", "cat", "a big automobile stands there"]
REFERENCES = [
    ["the cat sat on the mat", "a cat was on the mat"],
    ["the cat sat on the mat"],
    ["a cat"],
    ["a cat", "the dog"],
    ["there stands a large car"],
]


@pytest.mark.java
def test_sums_give_the_numbers_of_the_program_for_each_item_and_for_all() -> None:
    rows = meteor_columns(TEXTS, REFERENCES)
    assert tuple(rows) == METEOR
    *each, together = _said_by_the_program()
    ones = np.eye(len(TEXTS))
    assert [meteor.meteor(rows, one) for one in ones] == pytest.approx(each, abs=1e-12)
    assert meteor.meteor(rows, ones.sum(axis=0)) == pytest.approx(together, abs=1e-12)
    assert (each[1], each[2]) == (1.0, 0.0)
    assert 0 < together < 1
    repeated = {name: np.repeat(column, 2) for name, column in rows.items()}
    assert meteor.meteor(rows, np.full(len(TEXTS), 2.0)) == pytest.approx(meteor.meteor(repeated, np.ones(10)))


def _said_by_the_program() -> list[float]:
    """Return its scores of the items one by one, and then of all together."""
    command = ["java", "-Xmx2G", "-jar", str(jar()), "-", "-", "-stdio", "-l", "en", "-norm"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=jar().parent
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        sums = []
        for text, others in zip(TEXTS, REFERENCES, strict=True):
            program.stdin.write(" ||| ".join(("SCORE", *others, text)) + "\n")
            program.stdin.flush()
            sums.append(program.stdout.readline().strip())
        program.stdin.write(" ||| ".join(("EVAL", *sums)) + "\n")
        program.stdin.flush()
        return [float(program.stdout.readline()) for _ in range(len(TEXTS) + 1)]


def test_without_java_both_prerequisites_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPrerequisite, match=rf"Java.*meteor-1.5.jar.*{VARIABLE}.*java is not on the path"):
        meteor_columns(["a"], [["a"]])


def _pretended_java(folder: Path, script: str) -> None:
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)


def test_a_variable_that_names_no_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _pretended_java(tmp_path, "true")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent.jar"))
    with pytest.raises(MissingPrerequisite, match=rf"{VARIABLE} names '.*absent.jar', which is no file"):
        jar()


def test_a_program_that_fails_is_no_score_but_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _pretended_java(tmp_path, "echo 1.0; echo no heap left >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "meteor-1.5.jar").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "meteor-1.5.jar"))
    with pytest.raises(MissingPrerequisite, match=r"answered for 1 of 2 items and ended with 1, saying: no heap left"):
        meteor_columns(["a", "b"], [["a"], ["b"]])
