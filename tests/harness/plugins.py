"""A third party's distribution, written to a folder as pip would leave it there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness import provenance, registry

METHOD = '''
"""A method of a third party."""

from harness.method import Method

from .parts import deal

CARD = {
    "name": "theirs",
    "title": "Their method",
    "paper": "Somebody, A method, 2025",
    "url": "https://example.org/paper",
    "year": 2025,
    "code": None,
    "version": 1,
    "count": "0",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {},
    "targets": "none",
}


class Theirs(Method):
    """Trains the head only, in their way."""

    order = deal(3)


METHOD = Theirs
'''
TASKS = '''
"""A task of a third party."""

import pyarrow as pa

from harness.task import Task

CARDS = [
    {
        "name": "theirs/parity",
        "title": "Is a number even?",
        "paper": "none",
        "url": "",
        "year": 2025,
        "licence": "CC0",
        "version": 1,
        "source": {"splits": {"train": "train", "evaluation": "evaluation"}},
        "columns": {"text": "text", "label": "label"},
        "labels": ["odd", "even"],
        "sizes": {"train": 40, "evaluation": 10},
        "metric": {"name": "accuracy", "higher_is_better": True, "unit": "%", "chance": 0.5, "ceiling": 1.0},
        "protocols": ["classify"],
    }
]


class Parity(Task):
    """Counts."""

    def table(self, split):
        numbers = range(self.card.sizes[split])
        return pa.table({"text": [str(n) for n in numbers], "label": [(n + 1) % 2 for n in numbers]})


TASK = Parity
'''
PARTS = '''
"""What their methods share."""


def deal(count):
    """Return the first numbers."""
    return list(range(count))
'''
FILES = {
    "their_plugin/__init__.py": "",
    "their_plugin/method.py": METHOD,
    "their_plugin/tasks.py": TASKS,
    "their_plugin/parts.py": PARTS,
}
ENTRY_POINTS = {"paretune.methods": "their_plugin.method", "paretune.tasks": "their_plugin.tasks"}


def write_distribution(
    folder: Path, files: Mapping[str, str] = FILES, groups: Mapping[str, str] = ENTRY_POINTS, name: str = "their-plugin"
) -> Path:
    """Write packages and the metadata that pip keeps of them; return the folder."""
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    points = "".join(f"[{group}]\n{name} = {module}\n\n" for group, module in groups.items())
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return folder


def forget() -> None:
    """Let the registry look again."""
    for cached in (registry.methods, registry.tasks, registry.load_task, provenance.tree_digest, provenance._imports):
        cached.cache_clear()
    provenance._path.cache_clear()


@pytest.fixture(name="site")
def made_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder on the import path, and forget afterwards what was found and imported there."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    forget()
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    forget()
