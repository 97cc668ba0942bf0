"""The same things from Python; the command line's own tests go through all of it once more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import api, provenance
from harness.errors import MissingPrerequisite, UnknownName
from harness.record import RECORD_FILE
from harness.single import run_spec
from harness.spec import Spec
from harness.suite import BadSuite, parse

SPEC = Spec(
    backbone="tiny:bert",
    method="head_only",
    targets="none",
    train="embedded/agreement",
    score=("embedded/agreement",),
    protocol="classify",
    sizes={"train": 16, "validation": 8, "test": 8},
    training={"epochs": 1, "max_length": 16},
)
SUITE: Mapping[str, Any] = {
    "name": "one",
    "backbones": ["tiny:bert"],
    "methods": ["head_only"],
    "tasks": ["embedded/agreement"],
    "sizes": {"train": 16, "validation": 8, "test": 8},
    "training": {"epochs": 1, "max_length": 16},
    "seeds": [0],
}


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARETUNE_MIRROR", raising=False)


def test_a_spec_runs_plans_as_done_and_makes_a_page(tmp_path: Path) -> None:
    record, folder = run_spec(SPEC, tmp_path / "out")
    assert record.status == "ok"
    assert folder == tmp_path / "out" / SPEC.run_id / "001"
    assert (folder / RECORD_FILE).read_text(encoding="utf-8") == record.to_json()

    planned = api.plan_suite(parse(SUITE), out=tmp_path / "out")
    assert [run.state for run in planned.runs] == ["done"]
    assert planned.runs[0].record == record
    assert api.run_statuses(planned) == {"ok": 1}

    result = api.run_suite(parse(SUITE), out=tmp_path / "out")
    assert (result.num_started, result.interrupted, result.records) == (0, False, [record])

    assert [run.record for run in api.load_records([tmp_path / "out"]).runs] == [record]
    built = api.build_board([tmp_path / "out"], tmp_path / "site")
    assert built.num_records == 1
    assert built.page.is_file()


def test_a_suite_is_read_from_a_name_a_path_or_itself(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "one.yaml").write_text(yaml.safe_dump(dict(SUITE)), encoding="utf-8")
    by_path = api.load_suite(tmp_path / "one.yaml", "method=head_only", ["seeds=[5]"])
    assert [spec.seed for spec in by_path.specs] == [5]
    assert api.load_suite(parse(SUITE)).specs == (SPEC,)
    assert api.load_suite("quick").suite.name == "quick"


def test_results_of_other_code_or_of_absent_methods_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, _ = run_spec(SPEC, tmp_path)
    gone = Spec.model_validate({**SPEC.model_dump(), "method": "gone"})
    absent = record.model_copy(update={"spec": gone, "run_id": gone.run_id})
    failed = record.model_copy(update={"status": "failed"})
    assert api.stale_runs([record, failed]) == {}
    assert api.stale_runs([absent]) == {gone.run_id: "gone is not registered here"}
    monkeypatch.setattr(provenance, "code_digest", lambda spec: "another")
    assert api.stale_runs([record]) == {record.run_id: "the code or a card version changed since"}
    planned = api.plan_suite(parse(SUITE), out=tmp_path)
    assert [run.state for run in planned.runs] == ["stale"]
    assert planned.runs[0].reason == "code or card version changed since attempt 1"


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"retry": ["lost"]}, UnknownName, "unknown status 'lost' in --retry"),
        ({"mirror": "/no/such/mirror"}, MissingPrerequisite, "is not a folder"),
        ({"only": "seed=9"}, UnknownName, "unknown seed '9'"),
        ({"workers": 0}, BadSuite, "at least 1; 0 came"),
        ({"device": "tpu"}, UnknownName, "unknown device 'tpu' in --device; .*cpu"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        api.run_suite(parse(SUITE), out=tmp_path / "out", **keywords)
    assert not list(tmp_path.rglob(RECORD_FILE))


def test_folders_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="gone"):
        api.load_records([tmp_path / "gone"])
    with pytest.raises(MissingPrerequisite, match="gone"):
        api.build_board([tmp_path / "gone"], tmp_path / "site")
