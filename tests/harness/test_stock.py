"""Stock finds what lm-eval's own index finds, in a twentieth of the time, and reads a task without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]
from lm_eval.tasks._index import Kind  # type: ignore[import-untyped]
from lm_eval.tasks._yaml_loader import load_yaml  # type: ignore[import-untyped]

from harness import stock
from harness.errors import MissingPrerequisite, UnknownName
from harness.registry import ROOT

FOLDERS = ("super_glue", "glue", "mmlu", "squadv2", "winogrande", "drop", "gsm8k", "scrolls", "arc")


def test_the_index_is_lm_evals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm_eval.tasks._index.log.disabled", True)
    compared = 0
    for name in FOLDERS:
        folder = stock.library() / name
        theirs = {
            key: (entry.yaml_path.relative_to(folder).as_posix(), entry.kind == Kind.GROUP)
            for key, entry in TaskManager(include_path=str(folder), include_defaults=False).task_index.items()
            if entry.kind != Kind.TAG
        }
        assert {key: tuple(found) for key, found in stock.scan(folder).items()} == theirs
        compared += len(theirs)
    assert compared > 400


def test_a_task_reads_as_lm_eval_reads_it() -> None:
    for name in ("boolq", "mmlu_anatomy", "cb", "gsm8k", "winogrande"):
        path = stock.locate(name)
        theirs = load_yaml(path, resolve_func=False)
        ours = stock.read(path)
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            if isinstance(value, stock.Function):
                assert theirs[key] == str(path.parent / value)
            elif key not in ("metric_list", "filter_list"):
                assert theirs[key] == value


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("mmlu", "group .* mmlu_stem, mmlu_other"),
        ("super-glue-lm-eval-v1", "tag .* boolq, cb, copa, multirc, record, sglue_rte, wic, wsc"),
        ("shipped:absent", "absent"),
        ("path:absent.yaml", "not there; name a task in the YAML format"),
    ],
)
def test_what_is_no_task_is_named(name: str, match: str) -> None:
    with pytest.raises(MissingPrerequisite, match=match):
        stock.locate(name)


def test_a_name_that_nothing_has_is_offered_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean boolq"):
        stock.locate("bolq")


def test_the_files_of_a_task_are_its_yaml_what_that_includes_and_its_code() -> None:
    folder = stock.library()
    assert [path.name for path in stock.files("mmlu_anatomy")] == ["_default_template_yaml", "mmlu_anatomy.yaml"]
    assert stock.files("copa") == [folder / "super_glue/copa/default.yaml", folder / "super_glue/copa/utils.py"]


def user(folder: Path, text: str) -> str:
    (folder / "own.yaml").write_text(text)
    return f"path:{folder / 'own.yaml'}"


def test_a_users_code_needs_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code.py").write_text("raise AssertionError('was run')")
    reference = user(tmp_path, "task: own\ndoc_to_text: !function code.text\n")
    assert stock.read(stock.locate(reference))["doc_to_text"] == "code.text"
    monkeypatch.delenv(stock.ALLOW_CODE, raising=False)
    with pytest.raises(MissingPrerequisite, match=r"runs code of its own \(code.text\).*--allow-code"):
        stock.check_code(reference)
    monkeypatch.setenv(stock.ALLOW_CODE, "1")
    stock.check_code(reference)


def test_code_in_an_included_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(stock.ALLOW_CODE, raising=False)
    (tmp_path / "base.yaml").write_text("metric_list:\n  - metric: !function code.metric\n")
    with pytest.raises(MissingPrerequisite, match="code.metric"):
        stock.check_code(user(tmp_path, "include: base.yaml\ntask: own\n"))
    stock.check_code("copa")  # lm-eval's own


def test_unsafe_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="cannot be read as YAML"):
        stock.read(stock.locate(user(tmp_path, "task: !!python/object/apply:os.getcwd []\n")))
    with pytest.raises(MissingPrerequisite, match="includes itself"):
        stock.read(stock.locate(user(tmp_path, "include: own.yaml\ntask: own\n")))


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    reference = user(tmp_path, "task: own\ndoc_to_text: !function code.text\n")
    (tmp_path / "code.py").write_text("text = 'a'")
    before = stock.digest(reference)
    (tmp_path / "code.py").write_text("text = 'other'")
    assert stock.digest(reference) != before
    assert stock.digest("boolq") == stock.digest("boolq") != stock.digest("copa")


def test_nothing_of_lm_eval_is_imported_to_find_a_task() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from harness import stock; stock.read(stock.locate('boolq')); stock.digest('boolq'); "
        "print([name for name in ('lm_eval', 'torch', 'datasets', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
