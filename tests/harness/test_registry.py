"""Names to cards to objects: built-ins, third parties, broken files, doubles, and shadowed packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import listing, registry
from harness.doctor import diagnose
from harness.errors import MissingPrerequisite, UnknownName
from harness.matrix import expand
from harness.method import Method
from harness.suite import parse
from tests.harness.plugins import ENTRY_POINTS, FILES, forget, made_site, write_distribution

__all__ = ["made_site"]


def test_built_in_methods_and_tasks_are_found_and_load() -> None:
    methods = [registry.load_method(name) for name, entry in registry.methods().items() if entry.origin == "built-in"]
    tasks = [registry.load_task(name) for name, entry in registry.tasks().items() if entry.origin == "built-in"]
    assert all(issubclass(method, Method) for method in methods)
    assert all(registry.load_task(task.card.name) is task for task in tasks)
    assert len(methods) >= 6
    assert len(tasks) >= 14


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [("method", "lroa", "lora"), ("method", "random-mask", "random_mask"), ("task", "glue/sst-2", "glue/sst2")],
)
def test_an_unknown_name_offers_the_nearest(kind: registry.Kind, name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown {kind} '{name}' in my.yaml; did you mean .*{nearest}"):
        registry.find(kind, name, "my.yaml")


def test_an_unknown_name_near_nothing_lists_what_is_known() -> None:
    with pytest.raises(UnknownName, match="known: .*bitfit.*lora"):
        registry.find("method", "zzzzzz")
    assert "known: none" in str(UnknownName("run id", "x", []))


def test_a_plugin_is_found_listed_and_loadable(site: Path) -> None:
    write_distribution(site)
    assert registry.find("method", "theirs").origin == "their-plugin"
    assert {row["name"]: row["title"] for row in listing.methods()}["theirs"] == "Their method"
    assert "their_plugin.method" not in sys.modules
    assert "their_plugin" not in sys.modules, "listing imports no plugin, not even its package"
    assert registry.load_method("theirs").__name__ == "Theirs"
    task = registry.load_task("theirs/parity")
    assert task.table("evaluation").num_rows == 10
    suite = {"name": "s", "backbones": ["tiny:bert"], "methods": ["theirs"], "tasks": ["theirs/parity"], "seeds": [0]}
    assert len(expand(parse(suite)).specs) == 1


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("def :(", "SyntaxError"),
        ("x = 1", "has no literal CARD"),
        ("CARD = dict(name='theirs')", "ValueError"),
        ("CARD = {'title': 'no name'}", "a card is a dict with a name"),
        ("CARD = 7", "a card is a dict with a name"),
        ("CARD: dict", "ValueError"),
        ("\0", "ValueError|SyntaxError"),
    ],
)
def test_a_broken_file_breaks_only_itself(site: Path, broken: str, reason: str) -> None:
    write_distribution(site, FILES | {"their_plugin/method.py": broken})
    assert registry.load_method("lora")
    assert registry.load_task("theirs/parity")
    assert any(str(row["title"]).startswith("BROKEN") for row in listing.methods())
    with pytest.raises(MissingPrerequisite, match=f"(?s){reason}.*mend that file"):
        registry.find("method", "their_plugin.method")
    check = {check.name: check for check in diagnose()}["registry"]
    assert not check.ok
    assert "their_plugin.method" in check.detail


def test_an_entry_point_that_leads_nowhere_breaks_only_itself(site: Path) -> None:
    write_distribution(site, {}, {"paretune.methods": "gone.method", "paretune.tasks": "gone"})
    assert registry.load_method("lora")
    with pytest.raises(MissingPrerequisite, match="names the module gone.method, which is not there"):
        registry.find("method", "gone.method")


def test_a_broken_built_in_family_says_so_for_its_tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "family.py").write_text("CARDS = [", encoding="utf-8")
    (tmp_path / "tasks" / "_private.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    forget()
    try:
        with pytest.raises(MissingPrerequisite, match="'family' cannot be used: family.py: SyntaxError"):
            registry.find("task", "family/one")
        assert "_private" not in registry.tasks()
    finally:
        monkeypatch.undo()
        forget()


FAMILY = {
    "their_family/__init__.py": "",
    "their_family/many.py": """
'A family of a third party.'
from harness.method import Method

CARDS_FROM = "their_family.cards"


class Many(Method):
    @classmethod
    def member(cls, name):
        if name.endswith("odd"):
            raise ValueError("odd is not for this machine")
        return type("Member", (cls,), {"name": name})


METHOD = Many
""",
    "their_family/cards.py": """
def cards():
    return [{"name": f"many/{name}", "title": name} for name in ("one", "odd")]
""",
}


@pytest.fixture(name="family")
def brought(site: Path) -> Iterator[Path]:
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "their_family"]:
        del sys.modules[name]


def bring(site: Path, **files: str) -> None:
    changed = {f"their_family/{name}.py": text for name, text in files.items()}
    write_distribution(site, FAMILY | changed, {"paretune.methods": "their_family.many"})
    forget()


def test_a_family_of_methods_is_listed_and_loaded_by_its_light_module(family: Path) -> None:
    bring(family)
    entry = registry.find("method", "many/one")
    assert (entry.family, entry.module, entry.card["title"]) == (True, "their_family.many", "one")
    assert "their_family.cards" in sys.modules
    assert "their_family.many" not in sys.modules, "listing imports the light module only"
    member = registry.load_method("many/one")
    assert issubclass(member, Method)
    assert member.name == "many/one"  # type: ignore[attr-defined]
    with pytest.raises(UnknownName, match="did you mean many/one"):
        registry.find("method", "many/on")
    with pytest.raises(MissingPrerequisite, match=r"'many/odd' \(their-plugin\) cannot be used.*odd is not for this"):
        registry.load_method("many/odd")


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        (
            "from harness.errors import MissingPrerequisite\n\n\ndef cards():\n"
            "    raise MissingPrerequisite('their library is not installed; install it with: pip install theirs')\n",
            "cannot be used: their library is not installed; install it with: pip install theirs$",
        ),
        ("import library_that_is_not_here", "their_family.cards: ModuleNotFoundError"),
        ("def cards():\n    return [{'title': 'no name'}]", "their_family.cards: KeyError"),
        ("def cards():\n    return [{'name': 'lora'}]", "a name of this family begins with many/"),
    ],
)
def test_a_family_that_cannot_be_read_breaks_only_itself(family: Path, cards: str, reason: str) -> None:
    bring(family, cards=cards)
    assert registry.load_method("lora")
    assert any(str(row["title"]).startswith("BROKEN") for row in listing.methods())
    with pytest.raises(MissingPrerequisite, match=reason):
        registry.find("method", "many/one")


def test_a_family_names_its_light_module_by_a_string(family: Path) -> None:
    bring(family, many="CARDS_FROM = 7\n")
    with pytest.raises(MissingPrerequisite, match="CARDS_FROM is 7; give the name of a module"):
        registry.find("method", "their_family.many")


def test_without_peft_its_tuners_say_how_to_install_it_and_the_rest_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from methods.parts import peft_cards

    monkeypatch.setattr(peft_cards, "source_of", lambda module: None)
    peft_cards.tuners.cache_clear()
    forget()
    try:
        assert {"full", "random_mask"} <= {str(row["name"]) for row in listing.methods()}
        with pytest.raises(MissingPrerequisite, match="peft is not installed; install it with: python -m pip install"):
            registry.find("method", "peft/dora")
    finally:
        monkeypatch.undo()
        peft_cards.tuners.cache_clear()
        forget()


@pytest.mark.parametrize("text", ["import library_that_is_not_here\n", "", "raise RuntimeError('no GPU')\n"])
def test_a_plugin_that_does_not_import_is_named(site: Path, text: str) -> None:
    card = FILES["their_plugin/method.py"].partition("class Theirs")[0].replace("from .parts import deal", "")
    write_distribution(site, FILES | {"their_plugin/method.py": card + text})
    assert registry.find("method", "theirs").card["year"] == 2025
    with pytest.raises(MissingPrerequisite, match=r"'theirs' \(their-plugin\) cannot be used: their_plugin.method"):
        registry.load_method("theirs")


def test_a_wrong_task_card_is_named_when_it_is_used(site: Path) -> None:
    text = FILES["their_plugin/tasks.py"].replace('"labels": ["odd", "even"],', '"labels": "odd",')
    write_distribution(site, FILES | {"their_plugin/tasks.py": text})
    with pytest.raises(MissingPrerequisite, match="(?s)the card of task 'theirs/parity' in tasks.py is wrong.*labels"):
        registry.load_task("theirs/parity")


@pytest.mark.parametrize("name", ["lora", "theirs"])
def test_a_name_that_two_have_is_refused_naming_both(site: Path, name: str) -> None:
    write_distribution(site)
    other = {
        "other/__init__.py": "",
        "other/method.py": FILES["their_plugin/method.py"].replace('"theirs"', f'"{name}"'),
    }
    write_distribution(site, other, {"paretune.methods": "other.method"}, "other-plugin")
    forget()
    with pytest.raises(MissingPrerequisite, match=f"method '{name}' is registered twice.*other-plugin.*rename one"):
        registry.methods()


def test_a_source_is_located_without_importing(site: Path) -> None:
    write_distribution(site, FILES | {"their_plugin/__init__.py": "raise RuntimeError"}, ENTRY_POINTS)
    assert registry.source_of("their_plugin.parts") == site / "their_plugin" / "parts.py"
    assert registry.source_of("their_plugin") == site / "their_plugin" / "__init__.py"
    assert registry.source_of("their_plugin.parts.deal") is None
    assert registry.source_of("sys") is None
    assert registry.source_of("no_such_module.part") is None


@pytest.mark.parametrize("shadow", ["tasks/__init__.py", "tasks.py"])
def test_a_folder_that_shadows_a_package_stops_the_command_naming_both(tmp_path: Path, shadow: str) -> None:
    (tmp_path / shadow).parent.mkdir(exist_ok=True)
    (tmp_path / shadow).write_text("", encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), str(registry.ROOT)])
    command = [sys.executable, "-m", "harness.cli", "list", "methods"]
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=registry.ROOT)
    assert done.returncode == 2
    assert str(tmp_path / "tasks") in done.stderr
    assert str(registry.ROOT / "tasks") in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
