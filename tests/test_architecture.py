"""The structure that the design promises, read from the sources: directions, tests, cards, and what loads torch."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.method import MethodCard
from harness.metric import find
from harness.registry import PACKAGES, ROOT
from harness.spec import TARGETS
from harness.task import TaskCard
from tests.leaderboard.small_board import write_small_board

ALLOWED = {
    "runners": {"runners", "methods", "tasks", "harness"},
    "methods": {"methods", "harness"},
    "tasks": {"tasks", "harness"},
    "leaderboard": {"leaderboard", "harness"},
    "harness": {"harness"},
}
DOORS = {"harness/api.py": {"runners", "leaderboard"}, "harness/running.py": {"runners"}}
DOORS |= {"harness/folders.py": {"runners"}}
DOORS |= {"harness/listing.py": {"leaderboard"}, "harness/workshop.py": {"runners"}}
DOORS |= {"harness/papers.py": {"leaderboard"}, "harness/comparing.py": {"leaderboard"}}
DOORS |= {"harness/publishing.py": {"leaderboard"}, "harness/regression.py": {"runners", "leaderboard"}}
DOORS |= {"harness/submission.py": {"runners"}, "harness/supply.py": {"runners"}, "harness/single.py": {"runners"}}
"""Files of harness that may reach outwards, inside their functions (or for types), and how far."""
FACTS = {"harness.cache", "harness.errors", "harness.metric", "harness.record", "harness.spec", "harness.registry"}
FACTS |= {"harness.gate"}
"""What the board may know of harness."""

# May only shrink: source files whose promises are held by another file's tests.
TESTED_ELSEWHERE = {
    "tasks/metrics/module.py": "tests/tasks/test_metrics.py",
}
# May only shrink: reference points that no paper introduced.
NO_PAPER = {"base", "full", "head_only"}
HEAVY = ("torch", "transformers", "peft", "datasets", "evaluate", "tokenizers")


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Yield the modules a file imports; those at import time only, on request."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{label(path)} imports relatively"
            yield node.module or ""
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if top_level_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        waiting += ast.iter_child_nodes(node)


def ours(path: Path, top_level_only: bool = False) -> set[str]:
    tops = {name.partition(".")[0] for name in imports(path, top_level_only)}
    return tops & {*PACKAGES, "tests"}


def test_packages_import_only_in_the_direction_of_the_design() -> None:
    wrong = {
        label(path): extra
        for path in sources()
        if (extra := ours(path) - ALLOWED[label(path).partition("/")[0]] - DOORS.get(label(path), set()))
    }
    assert not wrong
    assert len(sources()) > 40


@pytest.mark.parametrize("name", sorted(DOORS))
def test_harness_reaches_outwards_only_inside_functions(name: str) -> None:
    assert ours(ROOT / name, top_level_only=True) <= {"harness"}


def test_the_board_knows_facts_and_metrics_only() -> None:
    files = sorted((ROOT / "leaderboard").rglob("*.py"))
    known = {name for path in files for name in imports(path) if name.startswith("harness")}
    assert known <= FACTS
    assert len(files) > 5


def test_methods_share_code_through_parts_only() -> None:
    files = sorted((ROOT / "methods").glob("*.py"))
    borrowed = {
        label(path): name
        for path in files
        for name in imports(path)
        if name.startswith("methods.") and not name.startswith("methods.parts.")
    }
    assert not borrowed


def test_no_source_branches_on_the_name_of_a_method_or_task() -> None:
    names = {*registry.methods(), *registry.tasks()}
    folders = ("harness", "runners", "leaderboard", "tasks/protocols", "tasks/metrics")
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare | ast.Match):
                texts = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                found += [f"{label(path)}:{node.lineno} {text}" for text in texts & names]
            elif isinstance(node, ast.ImportFrom | ast.Import):
                modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                found += [f"{label(path)}:{node.lineno} {m}" for m in modules if m in own_modules()]
    assert not found
    assert len(files) > 30
    assert len(names) >= 20


def own_modules() -> set[str]:
    return {entry.module for entry in (*registry.methods().values(), *registry.tasks().values())}


def test_every_source_file_has_a_test_file() -> None:
    untested = set()
    for path in sources():
        package, *folders, name = path.relative_to(ROOT).parts
        places = [ROOT / "tests" / package / f"test_{name}", ROOT.joinpath("tests", package, *folders, f"test_{name}")]
        if name != "__init__.py" and not any(place.is_file() for place in places):
            untested.add(label(path))
    assert sorted(untested - TESTED_ELSEWHERE.keys()) == []
    assert sorted(TESTED_ELSEWHERE.keys() - untested) == [], "tested by a file of its own now: leave it out of the list"
    assert all((ROOT / place).exists() for place in TESTED_ELSEWHERE.values())


def test_every_method_card_is_valid_and_named_like_its_file() -> None:
    entries = [entry for entry in registry.methods().values() if entry.origin == "built-in"]
    for entry in entries:
        assert entry.error is None
        card = MethodCard.model_validate(entry.card)
        assert card.name == entry.path.stem or (entry.family and card.name.partition("/")[0] == entry.path.stem)
        assert card.targets is None or card.targets in TARGETS
        assert card.paper
        assert card.url.startswith("https://") or card.name in NO_PAPER
        assert card.code is None or card.code.startswith("https://")
        assert all(0 < low < high for low, high in card.tuned.values())
        assert (ast.get_docstring(ast.parse(entry.path.read_text(encoding="utf-8"))) or "").count("Count:") == 1
    files = {path for path in (ROOT / "methods").glob("*.py") if path.name != "__init__.py"}
    assert {entry.path for entry in entries} == files
    assert len([entry for entry in entries if not entry.family]) == len(files - {e.path for e in entries if e.family})
    assert len([entry for entry in entries if entry.family]) >= 45
    assert {entry.name for entry in entries} >= {"base", "full", "head_only", "bitfit", "lora", "random_mask"}


def test_every_task_card_is_valid_and_its_metric_known() -> None:
    entries = [entry for entry in registry.tasks().values() if entry.origin == "built-in"]
    for entry in entries:
        assert entry.error is None
        card = TaskCard.model_validate(entry.card)
        family = card.name.partition("/")[0]
        assert entry.path.stem == family or entry.path.stem.startswith(f"{family}_")
        for protocol in card.protocols:
            met = card.through(protocol)
            assert all(find(name) for name in (met.metric.name, *met.also))
        counted = set(card.source.splits) - {"hidden", "fewshot"}
        assert set(card.sizes) - {"hidden", "fewshot"} == counted or not card.source.hub or card.score_only_with
        assert card.score_only_with is None or card.score_only_with in registry.tasks()
        assert all((ROOT / "tasks" / "protocols" / f"{name}.py").is_file() for name in card.protocols)
        assert card.url.startswith("https://") or not card.source.hub
        assert card.source.revision or card.source.by_hand or not card.source.hub
    assert len(entries) >= 14


def test_every_package_is_listed_for_the_wheel() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = set(re.findall(r'^    "([a-z.]+)",$', text.partition("\npackages = [")[2].partition("]")[0], re.MULTILINE))
    made = {label(path.parent).replace("/", ".") for path in sources() if path.name == "__init__.py"}
    assert listed == made
    assert {label(path.parent).replace("/", ".") for path in sources()} == made, (
        "a folder of sources has no __init__.py"
    )


LIGHT = {
    "help": ["--help"],
    "list methods": ["list", "methods"],
    "list tasks": ["list", "tasks"],
    "list suites": ["list", "suites"],
    "version": ["--version"],
    "board": ["board", "RECORDS", "--out", "SITE"],
    "status": ["status", "RECORDS"],
}


def test_no_source_holds_a_list_of_the_names_of_a_family() -> None:
    members = {name.partition("/")[2] for name, entry in registry.methods().items() if entry.family}
    folders = {path: path.read_text(encoding="utf-8") for path in sources() if "peft" in path.name}
    for path, text in folders.items():
        named = {one.value for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Constant)} & members
        assert named <= {"lora"}, f"{label(path)} names {named}; the names come from the library's own mapping"
    assert len(folders) >= 4


@pytest.mark.parametrize("arguments", LIGHT.values(), ids=LIGHT.keys())
def test_light_commands_load_no_tensor_library(arguments: list[str], tmp_path: Path) -> None:
    if "RECORDS" in arguments:
        write_small_board(tmp_path / "records")
    places = {"RECORDS": str(tmp_path / "records"), "SITE": str(tmp_path / "site")}
    code = (
        "import sys, json\nfrom harness.cli import main\n"
        "try:\n    main()\nfinally:\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    print('LOADED', json.dumps(loaded), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, *(places.get(word, word) for word in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False)
    assert done.returncode in (0, 1), done.stderr  # the small board has unreadable records on purpose
    assert json.loads(done.stderr.rpartition("LOADED ")[2]) == []
    assert done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
