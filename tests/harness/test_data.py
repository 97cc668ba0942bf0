"""Rows come from where they should, whole and checked, and the split policies keep every promise."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import data, registry
from harness.data import DataSource, worst_state
from harness.errors import MissingPrerequisite
from harness.task import Split, Task, TaskCard

FACTS: dict[str, Any] = {
    "title": "Toy",
    "paper": "none",
    "url": "",
    "year": 2025,
    "licence": "none",
    "version": 1,
    "columns": {"text": "text", "label": "label"},
    "labels": ("no", "yes"),
    "sizes": {"train": 10, "evaluation": 4},
    "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
    "protocols": ("classify",),
}


class Numbered(Task):
    """A task whose rows are their own numbers."""

    def __init__(self, train: int, evaluation: int, name: str = "toy/numbered") -> None:
        super().__init__(TaskCard.model_validate({"name": name, "source": {}, **FACTS}))
        self.rows: dict[Split, int] = {"train": train, "evaluation": evaluation}

    def table(self, split: Split) -> pa.Table:
        numbers = range(self.rows[split])
        return pa.table({"text": [str(n) for n in numbers], "label": [n % 2 for n in numbers]})


def mirrored(folder: Path, manifest: object = None) -> tuple[Task, Path]:
    """Write a one-task mirror; return the task and its training file."""
    path = folder / "team" / "toy" / "small" / "train.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), path)
    if manifest is not None:
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    card = {"name": "toy/mirrored", "source": {"hub": "team/toy", "config": "small"}, **FACTS}
    return Task(TaskCard.model_validate(card)), path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_generated_task_needs_no_mirror(tmp_path: Path) -> None:
    task = Numbered(50, 30)
    for source in (DataSource(), DataSource(tmp_path)):
        source.check(task, "train")
        raw = source.read(task, "train")
        assert (raw.table.num_rows, raw.state, raw.digest) == (50, "generated", "generated:toy/numbered@1")


def test_a_mirror_is_read_and_its_state_and_digest_reported(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path)
    row = {"sha256": sha256(path), "state": "subset"}
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"files": {"team/toy/small/train.parquet": row}}))
    raw = DataSource.of(tmp_path).read(task, "train")
    assert (raw.table.to_pydict()["text"], raw.digest, raw.state) == (["a", "b"], sha256(path), "subset")


def test_a_task_may_take_the_rows_with_some_values_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "team" / "toy" / "small" / "train.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": list("abcd"), "label": [0, 1, 0, 1], "topic": ["x", "y", "z", "x"]}), path)
    source = {"hub": "team/toy", "config": "small", "where": {"topic": ["x", "y"]}}

    def read(**where: Any) -> list[str]:
        card = TaskCard.model_validate({"name": "toy/some", **FACTS, "source": {**source, **where}})
        texts: list[str] = DataSource(tmp_path).read(Task(card), "train").table["text"].to_pylist()
        return texts

    assert read() == ["a", "b", "d"]
    assert read(where={"topic": ["x"], "label": [1]}) == ["d"]
    with pytest.raises(MissingPrerequisite, match="by their column theme, which is not there; it has text, label"):
        read(where={"theme": ["x"]})


def test_a_mirror_without_a_manifest_is_of_unknown_state(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path)
    raw = DataSource(tmp_path).read(task, "train")
    assert (raw.digest, raw.state) == (sha256(path), "unknown")


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path, {"files": {"team/toy/small/train.parquet": {"sha256": "0" * 64}}})
    with pytest.raises(MissingPrerequisite, match=f"sha256 {'0' * 64} expected, {sha256(path)} found; fetch it again"):
        DataSource(tmp_path).read(task, "train")


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"files": 3}', "{", '{"files": ["a"]}', "\ufeff{}"])
def test_a_broken_manifest_is_named(tmp_path: Path, manifest: str) -> None:
    task, _ = mirrored(tmp_path)
    (tmp_path / "MANIFEST.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(MissingPrerequisite, match="MANIFEST.json is not a manifest"):
        DataSource(tmp_path).digest(task, "train")


def test_a_mirror_that_lacks_a_file_does_not_fall_back_to_the_hub(tmp_path: Path) -> None:
    task, _ = mirrored(tmp_path)
    with pytest.raises(MissingPrerequisite, match="has no team/toy/small/validation.parquet, which toy/mirrored needs"):
        DataSource(tmp_path).check(task, "evaluation")


def test_a_hub_that_is_switched_off_is_said_before_any_work(tmp_path: Path) -> None:
    task, _ = mirrored(tmp_path)
    with pytest.raises(MissingPrerequisite, match="switched off by HF_HUB_OFFLINE; give --mirror DIR"):
        DataSource().check(task, "train")


def test_without_a_network_only_what_the_hubs_cache_holds_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    data._commit.cache_clear()
    task, _ = mirrored(tmp_path / "mirror")
    assert DataSource().reach(task) == "missing"
    commit = "c" * 40
    copy = tmp_path / "cache" / "team___toy" / "small" / "0.0.0" / commit
    copy.mkdir(parents=True)
    assert DataSource().reach(task) == "missing", "a folder that was never finished is no copy"
    (copy / "dataset_info.json").write_text("{}")
    DataSource().check(task, "train")
    data._commit.cache_clear()
    assert DataSource().reach(task) == "hub"
    assert DataSource().digest(task, "train") == f"hub:team/toy/small/train@{commit}"
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert DataSource().reach(task) == "hub"


def test_a_dataset_that_no_hub_holds_is_missing_without_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert DataSource().reach(registry.load_task("vicuna/eval")) == "missing"


class Hub(BaseHTTPRequestHandler):
    """A hub that says what the branch main of one dataset is now."""

    def do_GET(self) -> None:
        known = self.path.partition("?")[0] == "/api/datasets/team/toy"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"id": "team/toy", "sha": "d" * 40} if known else {}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def digest_from(endpoint: str, **source: str) -> str:
    """Return what a process that may use the hub at an endpoint says of the toy task's rows."""
    card = {"name": "toy/mirrored", "source": {"hub": "team/toy", "config": "small", **source}, **FACTS}
    code = (
        "import json, sys; from harness.data import DataSource; from harness.task import Task, TaskCard\n"
        "print(DataSource().digest(Task(TaskCard.model_validate(json.loads(sys.argv[1]))), 'train'))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "PYTHONPATH": "."}
    command = [sys.executable, "-c", code, json.dumps(card)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.strip() or done.stderr


def test_rows_of_a_branch_are_named_by_the_commit_that_it_is_now() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        assert digest_from(endpoint) == f"hub:team/toy/small/train@{'d' * 40}"
        assert digest_from(endpoint, revision="a" * 40) == f"hub:team/toy/small/train@{'a' * 40}"
        said = digest_from(endpoint, hub="team/other")
    finally:
        server.shutdown()
        server.server_close()
    assert "dataset team/other (small) is needed, there is no mirror, and the hub does not say what its main is" in said


def test_what_is_said_of_a_file_names_its_place_in_the_mirror_and_the_task(tmp_path: Path) -> None:
    task, path = mirrored(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MissingPrerequisite, match="^team/toy/small/train.parquet, which toy/mirrored .* remove it"):
        DataSource(tmp_path).read(task, "train")


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETUNE_MIRROR", str(tmp_path / "absent"))
    with pytest.raises(MissingPrerequisite, match="absent' is not a folder; give --mirror"):
        DataSource.of()
    assert DataSource.of(tmp_path).mirror == tmp_path.resolve(), "the option wins over the variable"
    monkeypatch.delenv("PARETUNE_MIRROR")
    assert DataSource.of().mirror is None


def test_the_worst_state_of_several_is_reported() -> None:
    assert worst_state(["complete"]) == "complete"
    assert worst_state(["complete", "carved", "subset"]) == "carved"
    assert worst_state(["complete", "something new"]) == "something new"
