"""Provenance: digests of the code, cards, data and weights that made a number, which decide whether it can be reused.

Code is digested as a syntax tree without comments, docstrings and empty fields, so a reworded comment keeps every
record fresh and a changed formula makes them stale. What counts is the method's file, the code of a task's file, what a
run starts from, the fit, the protocol, the task's metrics, and every module of ours that these import, however far.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness import registry, stock
from harness.backbone import BackboneFiles
from harness.data import DataSource
from harness.metric import module_of
from harness.record import run_id
from harness.spec import Spec
from harness.splits import used
from harness.task import Split, TaskCard

ROOTS = ("runners.prepare", "runners.fit", "runners.score", "harness.metric", "harness.splits")
NEUTRAL = frozenset(
    {
        "harness.errors",
        "harness.record",
        "harness.registry",
        "harness.search_settings",
        "harness.suite",
        "harness.cache",
    }
)
"""Imported by what computes, but cannot change a number: a new field of the record keeps old records fresh."""
NAMED = frozenset({"harness.tiny", "harness.scratch", "harness.gguf", "harness.imagelists"})
"""Make weights or rows that have a digest or a version of their own in the provenance: a further architecture there
changes nothing of what was made before."""


def code_digest(spec: Spec) -> str:
    """Return the digest of the code that a run of ``spec`` goes through."""
    method = registry.find("method", spec.method)
    tasks = [registry.find("task", name) for name in (spec.train, *spec.score)]
    protocol = f"tasks.protocols.{spec.protocol}"
    coded = [task.module for task in tasks if task.has_code]
    scored = [registry.load_task(name, spec.protocol).card for name in (spec.train, *spec.score)]
    metrics = {module_of(name) for card in scored for name in (card.metric.name, *card.also)}
    modules = closure((*ROOTS, protocol, method.module, *coded, *sorted(metrics)))
    digests = {name: tree_digest(path) for name, path in modules.items() if name not in NEUTRAL | NAMED}
    cards: dict[str, object] = {entry.name: entry.card.get("version") for entry in (method, *tasks)}
    # Nobody raises the version of a user's own card; whatever it says counts.
    cards |= {entry.name: entry.card for entry in tasks if entry.name not in registry.tasks()}
    content = {"modules": digests, "cards": cards}
    prompts = _prompts(spec, scored)
    return _digest({**content, "prompts": prompts} if prompts else content)


def _prompts(spec: Spec, cards: Iterable[TaskCard]) -> dict[str, str]:
    """Return the digests of the YAML files of ours and of a user by which tasks are met.

    One of lm-eval's own goes by its version, as other versions of a library make no record stale.
    """
    named = {str({**card.options, **spec.options}.get("lm_eval", "")) for card in cards}
    return {reference: stock.digest(reference) for reference in sorted(named) if ":" in reference}


def provenance_digest(spec: Spec, data: dict[str, str], weights: str, code: str) -> str:
    """Return the one digest that a record's reuse hangs on."""
    return _digest({"code": code, "data": data, "weights": weights, "run": run_id(spec)})


class Codes:
    """The code digests of many runs, each found out once: thousands go through the same code."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], str] = {}

    def digest(self, spec: Spec) -> str:
        """Return ``code_digest``."""
        key = (spec.method, spec.protocol, spec.train, *spec.score, json.dumps(spec.options, sort_keys=True))
        if key not in self._known:
            self._known[key] = code_digest(spec)
        return self._known[key]


class Made(NamedTuple):
    """What a run is made of, by digests."""

    code: str
    data: dict[str, str]
    weights: str


class Today:
    """What runs would be made of now, each part found out once for all that share it."""

    def __init__(self, source: DataSource, files: Mapping[str, BackboneFiles]) -> None:
        self._source, self._files = source, files
        self._codes = Codes()
        self._data: dict[tuple[str, ...], dict[str, str]] = {}

    def made(self, spec: Spec) -> Made:
        """Return what a run of ``spec`` would be made of."""
        key = (spec.policy, spec.train, *spec.score)
        if key not in self._data:
            self._data[key] = data_digests(spec, self._source)
        return Made(self._codes.digest(spec), self._data[key], self._files[spec.backbone].digest)

    def digest(self, spec: Spec) -> str:
        """Return the provenance digest that a run of ``spec`` would have."""
        made = self.made(spec)
        return provenance_digest(spec, made.data, made.weights, made.code)


def data_digests(spec: Spec, source: DataSource) -> dict[str, str]:
    """Return task and split to the digest of its raw rows."""
    return {f"{name}:{split}": source.digest(registry.load_task(name), split) for name, split in splits_read(spec)}


def splits_read(spec: Spec) -> list[tuple[str, Split]]:
    """Return every task and raw split that a run of ``spec`` reads rows of."""
    read: list[tuple[str, Split]] = [(spec.train, split) for split in used(registry.load_task(spec.train), spec.policy)]
    for name in dict.fromkeys((spec.train, *spec.score)):
        if name in spec.score:
            read.append((name, "evaluation"))
        if "fewshot" in registry.load_task(name).card.source.splits:
            read.append((name, "fewshot"))
    return read


def closure(roots: Iterable[str]) -> dict[str, Path]:
    """Return the modules of ours, and of a plugin's own package, that ``roots`` import, however far."""
    return _closure(tuple(roots))


@cache
def _closure(roots: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(roots)
    packages = {root.partition(".")[0] for root in waiting} | set(registry.PACKAGES)
    while waiting:
        name = waiting.pop()
        path = _path(name) if name.partition(".")[0] in packages else None
        if name not in found and path is not None:
            found[name] = path
            waiting += _imports(name, path)
    return dict(sorted(found.items()))


@cache
def tree_digest(path: Path) -> str:
    """Return the digest of a file's syntax tree without docstrings."""
    return hashlib.sha256(_canonical(ast.parse(path.read_text(encoding="utf-8"))).encode()).hexdigest()


@cache
def _path(module: str) -> Path | None:
    if module.partition(".")[0] not in registry.PACKAGES:
        return registry.source_of(module)
    base = registry.ROOT.joinpath(*module.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


@cache
def _imports(module: str, path: Path) -> tuple[str, ...]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # Ours are absolute; a plugin may write `from .parts import deal`, whose dots count from its own package.
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _canonical(node: object) -> str:
    """Write a tree down without positions, docstrings and empty fields, which differ between Python versions."""
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind"]
        return f"{type(node).__name__}({','.join(f'{name}={_canonical(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(_canonical(one) for one in node if not _is_docstring(one))}]"
    return repr(node)


def _is_docstring(node: object) -> bool:
    """Return whether a statement is a bare string: the docstring of a module, class, function or attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
