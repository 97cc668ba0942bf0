"""A submission's files hold what the chosen runs predicted, row by row, in the servers' words; the rest is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import registry
from harness.api import load_records, run_suite
from harness.data import DataSource
from harness.errors import UnknownName, UserError
from harness.matrix import parse_only
from harness.record import ITEMS_FILE
from harness.suite import parse
from runners.submission import Submission, submit

WORDS = ("red", "blue", "pink", "mint")


def text(number: int, length: int = 6) -> str:
    return " ".join(WORDS[(number * 7 + place * place + number // 5) % 4] for place in range(length))


def wnli(row: int, label: int) -> dict[str, Any]:
    return {"sentence1": text(row), "sentence2": text(row + 3, 3), "idx": row, "label": label}


def stsb(row: int, label: int) -> dict[str, Any]:
    return {"sentence1": text(row), "sentence2": text(row + 3, 3), "idx": row, "label": float(label)}


def cb(row: int, label: int) -> dict[str, Any]:
    return {"premise": text(row), "hypothesis": text(row + 3, 3), "idx": row, "label": label}


def copa(row: int, label: int) -> dict[str, Any]:
    asked = ("cause", "effect")[row % 2]
    return {
        "premise": text(row), "choice1": text(row + 1, 2), "choice2": text(row + 2, 2), "question": asked, "idx": row,
        "label": label,
    }  # fmt: skip


def wsc(row: int, label: int) -> dict[str, Any]:
    words = text(row).split()
    spans = {"span1_index": 0, "span1_text": words[0], "span2_index": 4, "span2_text": words[4]}
    return {"text": " ".join(words), **spans, "idx": row, "label": label}


ROWS: dict[str, tuple[Any, int, int]] = {
    "glue/wnli": (wnli, 2, 71),
    "glue/stsb": (stsb, 6, 40),
    "superglue/cb": (cb, 3, 56),
    "superglue/copa": (copa, 2, 60),
    "superglue/wsc": (wsc, 2, 60),
    "superglue/rte": (cb, 2, 50),
    "superglue/axg": (cb, 2, 356),
}
"""Task to what makes its rows, its number of labels, and its number of evaluation rows."""
SIZES = {"superglue/rte": 40}
"""Hidden rows where they are fewer than the server asks for."""


class Made(NamedTuple):
    """A mirror whose hidden rows begin with the evaluation rows, and the runs of two suites on it."""

    source: DataSource
    runs: Path


def write_mirror(folder: Path) -> DataSource:
    for name, (make, num_labels, num_evaluated) in ROWS.items():
        card = registry.load_task(name).card
        hidden = SIZES.get(name, card.sizes["hidden"])
        counts = {"train": 40, "evaluation": num_evaluated, "hidden": hidden}
        for split, stem in card.source.splits.items():
            if split == "evaluation" and "hidden" in card.source.splits and card.source.splits["hidden"] == stem:
                continue  # one file for both
            rows = [make(row, row % num_labels) for row in range(counts[split])]
            if split == "hidden" and name != "superglue/axg":
                rows = [{**row, "label": type(row["label"])(-1)} for row in rows]
            offset = 1000 if split == "train" else 0
            rows = [{**make(row["idx"] + offset, 0), "idx": row["idx"], "label": row["label"]} for row in rows]
            path = folder / str(card.source.hub) / str(card.source.config) / f"{stem}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), path)
    return DataSource(folder)


SUITE: dict[str, Any] = {
    "name": "toy",
    "backbones": ["tiny:bert"],
    "methods": [{"lora": {"rank": 2}}],
    "tasks": [
        "glue/wnli",
        "glue/stsb",
        "superglue/cb",
        "superglue/copa",
        "superglue/wsc",
        {"train": "superglue/rte", "score": ["superglue/rte", "superglue/axg"]},
    ],
    "sizes": {"validation": 8},
    "seeds": [2, 1],
    "training": {"epochs": 1, "max_length": 96, "lr": 1e-2},
    "keep": "all",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("submission")
    source = write_mirror(folder / "mirror")
    result = run_suite(parse(SUITE), out=folder / "runs", mirror=source.mirror, workers=1, device="cpu")
    assert [record.status for record in result.records] == ["ok"] * 12
    return Made(source, folder / "runs")


def scored(runs: Path, run_id: str, task: str) -> list[float]:
    """Return the predictions that a run's record keeps of its evaluation rows."""
    (found,) = [run for run in load_records([runs]).runs if run.run_id == run_id]
    table = pq.read_table(found.result.folder / ITEMS_FILE).to_pylist()
    return [row["prediction"] for row in table if row["task"] == task]


@pytest.fixture(scope="module")
def superglue(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Submission, Path]:
    out = tmp_path_factory.mktemp("written") / "superglue"
    return submit("superglue", [made.runs], out, made.source), out


def test_each_written_file_has_every_row_of_the_server(superglue: tuple[Submission, Path]) -> None:
    found, out = superglue
    assert [(row.file, row.rows) for row in found.written] == [
        ("CB.jsonl", 250),
        ("COPA.jsonl", 500),
        ("WSC.jsonl", 146),
        ("AX-g.jsonl", 356),
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted(row.file for row in found.written)
    for row in found.written:
        lines = [json.loads(line) for line in (out / row.file).read_text(encoding="utf-8").splitlines()]
        assert [line["idx"] for line in lines] == list(range(row.rows))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("CB.jsonl", ["entailment", "contradiction", "neutral"]),
        ("COPA.jsonl", [0, 1]),
        ("WSC.jsonl", ["False", "True"]),
        ("AX-g.jsonl", ["entailment", "not_entailment"]),
    ],
)
def test_a_run_predicts_there_what_it_predicted_when_it_was_scored(
    superglue: tuple[Submission, Path], made: Made, file: str, words: list[Any]
) -> None:
    found, out = superglue
    (row,) = [row for row in found.written if row.file == file]
    lines = [json.loads(line)["label"] for line in (out / file).read_text(encoding="utf-8").splitlines()]
    known = scored(made.runs, row.run_id, row.task)
    assert len(known) == ROWS[row.task][2]
    assert lines[: len(known)] == [words[int(value)] for value in known]
    assert set(lines) <= set(words)


def test_the_lowest_seed_is_taken_or_the_one_that_is_asked_for(
    superglue: tuple[Submission, Path], made: Made, tmp_path: Path
) -> None:
    assert {row.seed for row in superglue[0].written} == {1}
    asked = submit("superglue", [made.runs], tmp_path / "new", made.source, parse_only("seed=2"))
    assert {row.seed for row in asked.written} == {2}
    assert {row.run_id for row in asked.written}.isdisjoint(row.run_id for row in superglue[0].written)


def test_what_is_not_written_is_named_with_the_reason(superglue: tuple[Submission, Path]) -> None:
    missing = superglue[0].missing
    assert list(missing) == ["BoolQ.jsonl", "MultiRC.jsonl", "ReCoRD.jsonl", "RTE.jsonl", "WiC.jsonl", "AX-b.jsonl"]
    assert missing["BoolQ.jsonl"] == "no run of superglue/boolq with a head and a kept trained part"
    assert missing["RTE.jsonl"] == "superglue/rte (hidden) has 40 rows here, and the server asks for 3000"
    assert "has no aps/super_glue/axb/test.parquet" in missing["AX-b.jsonl"]


def test_glue_takes_tables_with_numbers_for_a_regression(made: Made, tmp_path: Path) -> None:
    found = submit("glue", [made.runs], tmp_path / "glue", made.source)
    assert [(row.file, row.rows) for row in found.written] == [("STS-B.tsv", 1379), ("WNLI.tsv", 146)]
    assert len(found.missing) == 9
    for row in found.written:
        with (tmp_path / "glue" / row.file).open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, delimiter="\t"))
        assert [line["index"] for line in lines] == list(map(str, range(row.rows)))
        known = scored(made.runs, row.run_id, row.task)
        for line, value in zip(lines, known, strict=False):
            assert float(line["prediction"]) == pytest.approx(value, abs=6e-4), row.file
    assert "." not in (tmp_path / "glue" / "WNLI.tsv").read_text(encoding="utf-8"), "classes are no fractions"


def test_runs_of_two_methods_need_a_choice(made: Made, tmp_path: Path) -> None:
    small = {**SUITE, "methods": ["bitfit"], "tasks": ["glue/wnli"], "seeds": [1]}
    run_suite(parse(small), out=tmp_path / "more", mirror=made.source.mirror, workers=1, device="cpu")
    folders = [made.runs, tmp_path / "more"]
    with pytest.raises(UserError, match="glue/wnli has kept runs of bitfit on tiny:bert, lora on tiny:bert; choose"):
        submit("glue", folders, tmp_path / "glue", made.source)
    assert not (tmp_path / "glue").exists()
    found = submit("glue", folders, tmp_path / "glue", made.source, parse_only("method=bitfit"))
    assert [(row.file, row.method) for row in found.written] == [("WNLI.tsv", "bitfit")]


def test_of_several_cells_the_one_that_validated_best_is_taken(made: Made, tmp_path: Path) -> None:
    small = {**SUITE, "tasks": ["glue/wnli"], "seeds": [3, 4], "training": {**SUITE["training"], "epochs": 2}}
    run_suite(parse(small), out=tmp_path / "more", mirror=made.source.mirror, workers=1, device="cpu")
    runs = [run.record for run in load_records([made.runs, tmp_path / "more"]).runs]
    lowest = [one for one in runs if one.spec.train == "glue/wnli" and one.spec.seed in (1, 3)]
    best = {one.run_id: one.validation[(one.best_epoch or 1) - 1].metrics["accuracy"] or 0.0 for one in lowest}
    found = submit("glue", [made.runs, tmp_path / "more"], tmp_path / "glue", made.source, parse_only("task=glue/wnli"))
    (written,) = found.written
    assert best[written.run_id] == max(best.values())
    assert len(best) == 2


def test_without_a_kept_run_nothing_is_written_and_the_fix_is_named(made: Made, tmp_path: Path) -> None:
    for folders, only in (([tmp_path / "nowhere"], None), ([made.runs], "method=fish")):
        with pytest.raises(UserError, match="kept its trained part; run a suite with its tasks .*keep"):
            submit("glue", folders, tmp_path / "out", made.source, parse_only(only))
    assert not (tmp_path / "out").exists()


def test_where_every_hidden_split_is_missing_nothing_is_written(made: Made, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="nothing can be written: .*WNLI.tsv: the mirror .* has no nyu-mll/glue/wnli"):
        submit("glue", [made.runs], tmp_path / "out", DataSource(tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


def test_a_folder_with_content_and_an_unknown_benchmark_are_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is not empty"):
        submit("glue", [made.runs], tmp_path, made.source)
    with pytest.raises(UnknownName, match="unknown benchmark with a test server 'gleu'.*glue"):
        submit("gleu", [made.runs], tmp_path / "new", made.source)


REAL: dict[str, tuple[list[Any], dict[str, int]]] = {
    "superglue": (
        ["superglue/cb", "superglue/copa", {"train": "superglue/rte", "score": ["superglue/axb"]}, "superglue/wsc"],
        {
            "CB.jsonl": 250,
            "COPA.jsonl": 500,
            "RTE.jsonl": 3000,
            "WSC.jsonl": 146,
            "AX-b.jsonl": 1104,
            "AX-g.jsonl": 356,
        },
    ),
    "glue": (
        ["glue/cola", "glue/stsb", "glue/wnli", "glue/sst2", "glue/mnli"],
        {"CoLA.tsv": 1063, "STS-B.tsv": 1379, "WNLI.tsv": 146},
    ),
}
"""Benchmark to tasks, and to the files that the hidden rows of the local mirror are enough for."""


@pytest.mark.data
@pytest.mark.parametrize("family", REAL)
def test_real_hidden_rows_are_predicted(family: str, tmp_path: Path) -> None:
    tasks, files = REAL[family]
    suite = {
        **SUITE,
        "backbones": ["tiny:bert@64x1"],
        "tasks": tasks,
        "sizes": {"train": 16, "validation": 8, "test": 8},
        "seeds": [0],
        "training": {"epochs": 1, "max_length": 64, "lr": 1e-2},
        # A byte is a token here, and the two spans of a schema lie far apart.
        "overrides": [{"when": {"task": "superglue/wsc"}, "training": {"max_length": 768}}],
    }
    source = DataSource.of()
    records = run_suite(parse(suite), out=tmp_path / "runs", mirror=source.mirror, workers=1, device="cpu").records
    assert [(record.spec.train, record.status) for record in records if record.status != "ok"] == []
    found = submit(family, [tmp_path / "runs"], tmp_path / "out", source)
    assert {row.file: row.rows for row in found.written} == files
    assert {*found.missing, *files} == {str(one["file"]) for one in registry.submissions()[family]}
    for row in found.written:
        written = (tmp_path / "out" / row.file).read_text(encoding="utf-8").splitlines()
        assert len(written) == row.rows + (family == "glue"), row.file
