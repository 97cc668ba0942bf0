"""A mirror holds what a suite reads, as the manifest says, and serves a machine without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import api, registry
from harness.backbone import locate
from harness.data import DataSource
from harness.digest import file_digest
from harness.suite import Suite, parse
from runners.mirror import fill


def suite(*backbones: str) -> Suite:
    content = {"name": "few", "backbones": list(backbones), "methods": ["base"], "tasks": ["glue/rte"], "seeds": [0]}
    return parse({**content, "sizes": {"train": 20, "validation": 5, "test": 10}})


@pytest.fixture
def there(tmp_path: Path) -> DataSource:
    """Another mirror, of a few rows of RTE; its manifest calls train a subset."""
    folder = tmp_path / "there" / "nyu-mll" / "glue" / "rte"
    folder.mkdir(parents=True)
    for split, rows in (("train", 60), ("validation", 277)):
        texts = [f"{split} {row}" for row in range(rows)]
        labels = [row % 2 for row in range(rows)]
        pq.write_table(pa.table({"sentence1": texts, "sentence2": texts, "label": labels}), folder / f"{split}.parquet")
    manifest = {"files": {"nyu-mll/glue/rte/train.parquet": {"state": "subset", "rows": 60}}}
    (tmp_path / "there" / "MANIFEST.json").write_text(json.dumps(manifest))
    return DataSource(tmp_path / "there")


def test_a_mirror_is_filled_completed_and_can_be_run_from(tmp_path: Path, there: DataSource) -> None:
    specs, folder = api.load_suite(suite("tiny:bert")).specs, tmp_path / "here"
    first = {found.what: (found.outcome, found.detail) for found in fill(specs, there, folder)}
    assert first["nyu-mll/glue/rte/train.parquet"] == ("fetched", "60 rows, subset")
    assert first["nyu-mll/glue/rte/validation.parquet"] == ("fetched", "277 rows, unknown")
    assert first["tiny:bert"][0] == "not needed"
    (folder / "nyu-mll" / "glue" / "rte" / "train.parquet").unlink()
    second = {found.what: found.outcome for found in fill(specs, there, folder)}
    assert second["nyu-mll/glue/rte/train.parquet"] == "fetched"
    assert second["nyu-mll/glue/rte/validation.parquet"] == "here"
    task, here = registry.load_task("glue/rte"), DataSource(folder)
    for split in ("train", "evaluation"):
        assert here.read(task, split).table.equals(there.read(task, split).table)  # type: ignore[arg-type]  # literals
    result = api.run_suite(suite("tiny:bert"), out=tmp_path / "out", mirror=folder, workers=1)
    (record,) = result.records
    assert record.status == "ok", record.error
    assert record.digests.data_state == {"glue/rte": "unknown"}


def test_a_file_already_there_is_complete_where_the_tasks_own_rows_are_all_there(tmp_path: Path) -> None:
    place = tmp_path / "webnlg-challenge" / "web_nlg" / "webnlg_challenge_2017"
    place.mkdir(parents=True)
    kinds = ["testdata_with_lex"] * 1862 + ["testdata_no_lex"] * 1862 + ["testdata_unseen_with_lex"] * 891
    files = {}
    for split, categories in (("test", kinds), ("train", [""] * 10)):
        pq.write_table(pa.table({"test_category": categories}), place / f"{split}.parquet")
        row = {"sha256": file_digest(place / f"{split}.parquet"), "rows": len(categories), "state": "unknown"}
        files[f"webnlg-challenge/web_nlg/webnlg_challenge_2017/{split}.parquet"] = row
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"files": files}))
    asked = {"name": "few", "backbones": ["tiny:t5"], "methods": ["base"], "tasks": ["nlg/webnlg"], "seeds": [0]}
    found = {
        one.what.rpartition("/")[2]: one for one in fill(api.load_suite(parse(asked)).specs, DataSource(), tmp_path)
    }
    assert found["test.parquet"][1:] == ("here", "4615 rows, complete")
    assert found["train.parquet"][1:] == ("here", "10 rows, unknown")
    assert DataSource(tmp_path).state(registry.load_task("nlg/webnlg"), "evaluation") == "complete"


def test_what_cannot_be_had_is_told_and_the_rest_goes_on(tmp_path: Path, there: DataSource) -> None:
    assert there.mirror is not None
    (there.mirror / "nyu-mll" / "glue" / "rte" / "train.parquet").unlink()
    specs = api.load_suite(suite("tiny:bert")).specs
    found = {one.what: one.outcome for one in fill(specs, there, tmp_path / "here")}
    assert found["nyu-mll/glue/rte/train.parquet"] == "failed"
    assert found["nyu-mll/glue/rte/validation.parquet"] == "fetched"


def test_weights_of_the_hub_are_copied_out_of_its_cache_and_found_again(
    tmp_path: Path, there: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    snapshot = cache / "models--team--small" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (cache / "models--team--small" / "refs").mkdir()
    (cache / "models--team--small" / "refs" / "main").write_text("a" * 40)
    from transformers import BertConfig, BertModel

    from harness.tiny import tokenizer

    BertModel(BertConfig(vocab_size=261, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        snapshot
    )
    tokenizer().save_pretrained(snapshot)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("PARETUNE_MIRROR", raising=False)
    asked = suite("hub:team/small")
    outcomes = {found.what: found.outcome for found in fill(api.load_suite(asked).specs, there, tmp_path / "here")}
    assert outcomes["hub:team/small"] == "fetched"
    digest = locate("hub:team/small").digest
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("PARETUNE_MIRROR", str(tmp_path / "here"))
    found = locate("hub:team/small")
    assert found.digest == digest
    assert found.folder == (tmp_path / "here" / "models" / "team" / "small@main").resolve()
