"""What makes a record stale: code that computes, cards, data, weights; and what does not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import provenance, registry
from harness.backbone import locate
from harness.data import DataSource
from harness.spec import Spec
from tests.harness.plugins import FILES, forget, made_site, write_distribution

__all__ = ["made_site"]

SOURCE = '''"""A module."""

from dataclasses import dataclass


@dataclass
class Thing:
    """A thing."""

    rank: int = 8
    """How many."""


def double(x: float) -> float:
    """Double it."""
    # not more
    return 2 * x
'''


def digest(tmp_path: Path, text: str) -> str:
    path = tmp_path / f"{abs(hash(text))}.py"
    path.write_text(text, encoding="utf-8")
    return provenance.tree_digest(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# not more", "# exactly twice, no more"),
        ('"""Double it."""', '"""Return twice the number."""'),
        ('    """Double it."""\n', ""),
        ('"""A module."""', '"""Another\n\nlong text."""'),
        ('"""How many."""', '"""Columns of the smaller matrix."""'),
        ('    """How many."""\n', ""),
        ("return 2 * x", "return (2*x)"),
        ("rank: int = 8\n", "rank: int  =  0x8\n"),
        ("def double(x: float) -> float:", "def double(\n    x: float,\n) -> float:"),
    ],
)
def test_comments_docstrings_and_format_keep_the_digest(tmp_path: Path, old: str, new: str) -> None:
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    assert digest(tmp_path, changed) == digest(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * x", "3 * x"),
        ("2 * x", "x * 2"),
        ("2 * x", "2.0 * x"),
        ("rank: int = 8", "rank: int = 16"),
        ("@dataclass\n", ""),
        ("return 2 * x", "return None"),
        ("return 2 * x", "return '2 * x'"),
        ("x: float", "y: float"),
    ],
)
def test_a_changed_formula_changes_the_digest(tmp_path: Path, old: str, new: str) -> None:
    assert digest(tmp_path, SOURCE.replace(old, new)) != digest(tmp_path, SOURCE)


constants = st.one_of(st.integers(), st.text(), st.floats(), st.booleans(), st.none(), st.binary())


@given(constants, constants)
def test_different_constants_have_different_trees(one: object, two: object) -> None:
    trees = [provenance._canonical(ast.parse(f"x = {ascii(value)}")) for value in (one, two)]
    assert (trees[0] == trees[1]) == (ascii(one) == ascii(two))


def spec(method: str = "lora", task: str = "embedded/agreement") -> Spec:
    return Spec(backbone="tiny:bert", method=method, train=task, score=(task,), protocol="classify")


def test_the_closure_holds_what_computes() -> None:
    modules = provenance.closure((*provenance.ROOTS, "tasks.protocols.classify", "methods.random_mask"))
    computing = {"runners.fit", "runners.score", "harness.metric", "harness.data", "harness.random", "harness.backbone"}
    assert computing <= modules.keys()
    assert {"tasks.protocols.classify", "methods.random_mask", "methods.parts.sparse"} <= modules.keys()
    assert not {"harness.cli", "harness.api", "methods.lora", "runners.local"} & modules.keys()
    assert not [name for name in modules if name.startswith("leaderboard")]
    assert all(path.is_file() for path in modules.values())


def test_what_only_reports_is_neutral() -> None:
    reports = {"harness.errors", "harness.record", "harness.registry", "harness.suite", "harness.cache"}
    reports |= {"harness.search_settings"}
    assert reports == provenance.NEUTRAL
    assert {"harness.tiny", "harness.scratch", "harness.gguf", "harness.imagelists"} == provenance.NAMED
    assert all(provenance._path(name) for name in provenance.NEUTRAL | provenance.NAMED)


def changed_digest(monkeypatch: pytest.MonkeyPatch, module: str, question: Spec) -> bool:
    """Return whether editing a module's file changes the digest of a run's code."""
    before = provenance.code_digest(question)
    edited = provenance._path(module)
    real = provenance.tree_digest
    monkeypatch.setattr(provenance, "tree_digest", lambda path: "edited" if path == edited else real(path))
    after = provenance.code_digest(question)
    monkeypatch.undo()
    return before != after


@pytest.mark.parametrize(
    ("module", "stale"),
    [
        ("methods.lora", True),
        ("runners.fit", True),
        ("runners.score", True),
        ("harness.metric", True),
        ("harness.random", True),
        ("tasks.protocols.classify", True),
        ("tasks.embedded", True),
        ("methods.random_mask", False),
        ("methods.parts.sparse", False),
        ("tasks.glue", False),
        ("harness.record", False),
        ("harness.cli", False),
    ],
)
def test_editing_a_file_makes_stale_the_runs_that_go_through_it(
    monkeypatch: pytest.MonkeyPatch, module: str, stale: bool
) -> None:
    assert changed_digest(monkeypatch, module, spec()) == stale


def test_a_fetched_task_counts_by_its_card_version(monkeypatch: pytest.MonkeyPatch) -> None:
    question = spec(task="glue/rte")
    before = provenance.code_digest(question)
    assert not changed_digest(monkeypatch, "tasks.glue", question)
    monkeypatch.setitem(registry.find("task", "glue/rte").card, "version", 99)
    assert provenance.code_digest(question) != before


def test_the_words_of_a_prompt_count(tmp_path: Path) -> None:
    from tests.tasks.lm_tasks import TASKS, write

    toys = write(tmp_path, {"choice": TASKS["choice"]})
    name = toys.name("choice")
    spec = Spec(backbone="tiny:llama", method="base", train=name, score=(name,), protocol="prompt")
    before = provenance.code_digest(spec)
    path = tmp_path / "choice.yaml"
    path.write_text(path.read_text().replace("Colour:", "What colour?"))
    assert provenance.code_digest(spec) != before


def test_each_part_counts_in_the_provenance_digest() -> None:
    base = provenance.provenance_digest(spec(), {"a:train": "1"}, "w", "c")
    others = [
        provenance.provenance_digest(spec("full"), {"a:train": "1"}, "w", "c"),
        provenance.provenance_digest(spec(), {"a:train": "2"}, "w", "c"),
        provenance.provenance_digest(spec(), {"a:train": "1"}, "v", "c"),
        provenance.provenance_digest(spec(), {"a:train": "1"}, "w", "d"),
    ]
    assert len({base, *others}) == 5
    assert provenance.provenance_digest(spec(), {"a:train": "1"}, "w", "c") == base


questions = st.builds(
    lambda method, task, more, **values: Spec(
        backbone="tiny:bert", method=method, train=task, score=(task, *more), protocol="classify", **values
    ),
    method=st.sampled_from(["base", "lora", "random_mask"]),
    task=st.sampled_from(["embedded/agreement", "embedded/polarity"]),
    more=st.sampled_from([(), ("embedded/agreement",)]),
    policy=st.sampled_from(["held_out", "as_published"]),
    options=st.sampled_from([{}, {"lm_eval": "arc_easy"}]),
    seed=st.integers(0, 2),
)


@given(st.lists(questions, max_size=8))
def test_what_is_found_out_once_for_many_runs_is_what_each_alone_has(asked: list[Spec]) -> None:
    source, files = DataSource(), {"tiny:bert": locate("tiny:bert")}
    today = provenance.Today(source, files)
    for one in asked:
        rows, code = provenance.data_digests(one, source), provenance.code_digest(one)
        assert today.made(one) == (code, rows, files["tiny:bert"].digest)
        assert today.digest(one) == provenance.provenance_digest(one, rows, files["tiny:bert"].digest, code)


def test_runs_that_differ_in_their_seed_alone_cost_one_look_at_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Spec] = []
    real = provenance.code_digest
    monkeypatch.setattr(provenance, "code_digest", lambda one: (looked.append(one), real(one))[1])
    codes = provenance.Codes()
    asked = [spec(method).model_copy(update={"seed": seed}) for seed in range(3) for method in ("lora", "base")]
    assert len({codes.digest(one) for one in asked}) == len(looked) == 2


def test_a_plugins_own_package_is_followed(site: Path) -> None:
    write_distribution(site)
    question = spec("theirs", "theirs/parity")
    before = provenance.code_digest(question)
    modules = provenance.closure(("their_plugin.method", "their_plugin.tasks"))
    assert {"their_plugin.method", "their_plugin.parts", "their_plugin.tasks", "harness.method"} <= modules.keys()
    assert "pyarrow" not in modules
    parts = site / "their_plugin" / "parts.py"
    parts.write_text(FILES["their_plugin/parts.py"].replace("range(count)", "range(1, count)"), encoding="utf-8")
    forget()
    assert provenance.code_digest(question) != before


@pytest.mark.parametrize(
    "line", ["from . import parts", "from .parts import deal", "import their_plugin.parts", "from ..parts import deal"]
)
def test_every_way_to_import_is_followed(site: Path, line: str) -> None:
    place = "their_plugin/deep/method.py" if ".." in line else "their_plugin/method.py"
    files = FILES | {"their_plugin/deep/__init__.py": "", place: line}
    write_distribution(site, files)
    modules = provenance.closure((place.removesuffix(".py").replace("/", "."),))
    assert "their_plugin.parts" in modules
