"""The starting files of a method: which there are, what they say, and that nothing is lost by writing them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.registry import ROOT, literals
from harness.scaffold import BadScaffold, is_checkout, method_files, new_method


def test_this_repository_is_a_checkout_and_another_folder_is_none(tmp_path: Path) -> None:
    assert is_checkout(ROOT)
    assert not is_checkout(tmp_path)


@pytest.mark.parametrize("checkout", [True, False])
def test_the_files_parse_and_name_the_method_throughout(tmp_path: Path, checkout: bool) -> None:
    files = method_files("my_scale", checkout)
    assert len(files) == (2 if checkout else 3)
    for path, text in files.items():
        assert "{" not in path
        if path.endswith(".py"):
            ast.parse(text)
            assert max(map(len, text.splitlines())) <= 120
            assert "MyScale" in text
    method = next(path for path in files if path.endswith("my_scale.py") and "test" not in path)
    (tmp_path / "written.py").write_text(files[method], encoding="utf-8")
    (card,) = literals(tmp_path / "written.py", "CARD")
    assert card["name"] == "my_scale"
    assert (ast.get_docstring(ast.parse(files[method])) or "").count("Count:") == 1


def test_the_package_declares_its_entry_point_and_module() -> None:
    project = method_files("my_scale", checkout=False)["paretune-my-scale/pyproject.toml"]
    assert '[project.entry-points."paretune.methods"]\nmy_scale = "paretune_my_scale"\n' in project
    assert '[tool.setuptools]\npy-modules = ["paretune_my_scale"]\n' in project


def test_a_folder_where_one_works_is_no_module_that_a_name_would_shadow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_scale").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert len(new_method("my_scale", tmp_path, {})) == 3
    (tmp_path / "theirs.py").touch()
    with pytest.raises(BadScaffold, match="'theirs' is the name of a Python module"):
        new_method("theirs", tmp_path, {})


def test_nothing_is_written_where_one_of_the_files_is_there(tmp_path: Path) -> None:
    place = tmp_path / "paretune-my-scale" / "tests" / "test_my_scale.py"
    place.parent.mkdir(parents=True)
    place.write_text("mine", encoding="utf-8")
    with pytest.raises(BadScaffold, match="test_my_scale.py is there already and is not overwritten"):
        new_method("my_scale", tmp_path, {})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [place]
    assert place.read_text(encoding="utf-8") == "mine"
