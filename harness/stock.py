"""Stock: where lm-eval's tasks are, and what their YAML says, found without lm-eval's own scan of its 14,000 files.

A reference is the name of one of lm-eval's own tasks (``boolq``), ``shipped:FILE`` for ``tasks/prompts/FILE.yaml`` of
ours, or ``path:FILE.yaml`` for a user's. All are in lm-eval's format. Functions (``!function module.name``) are read as
their names here; only what runs the task imports them. Those of lm-eval and of ours are trusted; a user's are imported
only where ``--allow-code`` says so, which sets ``PARETUNE_ALLOW_CODE``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness import cache as caching
from harness.digest import file_digest
from harness.errors import MissingPrerequisite, UnknownName
from harness.registry import ROOT, source_of

SHIPPED = ROOT / "tasks" / "prompts"
ALLOW_CODE = "PARETUNE_ALLOW_CODE"
NAMES = re.compile(rb"""^(["']?)(task|group|class)\1[ \t]*:[ \t]*(.*?)[ \t]*(?:#.*)?\r?$""", re.MULTILINE)
"""The lines at the top level of a YAML file that name what it is."""

Config = dict[str, Any]
"""A task's YAML as read (Any: as YAML has it)."""


class Function(str):
    """The value of ``!function``: where the function is, relative to the YAML's folder."""


class Found(NamedTuple):
    """One name of lm-eval's index."""

    path: str
    """Relative to lm-eval's folder of tasks."""
    is_group: bool


def library() -> Path:
    """Return lm-eval's folder of tasks, without importing lm-eval.

    Raises:
        MissingPrerequisite: if it is not installed.
    """
    source = source_of("lm_eval")
    if source is None:
        raise MissingPrerequisite(
            "this task is scored by lm-eval, which is not installed; install it with: "
            "python -m pip install -c constraints.txt 'lm_eval[hf]'"
        )
    return source.parent / "tasks"


@cache
def index() -> dict[str, Found]:
    """Return every task and group of the installed lm-eval by name; kept in the user's cache per version."""

    def make(place: Path) -> None:
        place.write_text(json.dumps(scan(library())), encoding="utf-8")

    # Its place is part of the key: two installations of one version may differ, such as one from a checkout.
    where = hashlib.sha256(str(library()).encode()).hexdigest()[:8]
    path = caching.made(f"lm_eval-{importlib.metadata.version('lm_eval')}-{where}.json", make)
    return {name: Found(*found) for name, found in json.loads(path.read_text(encoding="utf-8")).items()}


def scan(folder: Path) -> dict[str, Found]:
    """Return the tasks and groups of a folder by name, by the text of its files alone.

    A name that an included file gives is found by reading the YAML, which few files need.
    """
    found: dict[str, Found] = {}
    for path in sorted(folder.glob("**/*.yaml"), key=lambda path: path.as_posix()):
        text = path.read_bytes()
        named = {key.decode(): value.decode().strip("\"'") for _, key, value in NAMES.findall(text)}
        if not named and b"include" not in text:
            continue
        if not named.get("group") and not named.get("task"):
            try:
                config = read(path)
            except (MissingPrerequisite, ValueError):
                continue  # lm-eval leaves out what does not parse as well
            named = {key: config[key] for key in ("group", "task", "class") if isinstance(config.get(key), str)}
        is_group = "group" in named and "class" not in named
        name = named.get("group") if is_group else named.get("task")
        if name:
            found.setdefault(name, Found(path.relative_to(folder).as_posix(), is_group))
    return found


def locate(reference: str) -> Path:
    """Return the YAML file behind a reference.

    Raises:
        UnknownName: for a name that lm-eval does not have.
        MissingPrerequisite: for a file that is not there, or a group, whose members are named.
    """
    scheme, colon, rest = reference.partition(":")
    if colon and scheme in ("shipped", "path"):
        path = SHIPPED / f"{rest}.yaml" if scheme == "shipped" else Path(rest).expanduser().resolve()
        if not path.is_file():
            allowed = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.yaml"))) if scheme == "shipped" else ""
            raise MissingPrerequisite(
                f"{reference!r} is {path}, which is not there; "
                f"{f'shipped are {allowed}' if scheme == 'shipped' else 'name a task in the YAML format of lm-eval'}"
            )
        return path
    if reference not in index():
        _refuse_tag(reference)
        raise UnknownName("lm-eval task", reference, index())
    path = library() / index()[reference].path
    if index()[reference].is_group:
        members = _members(read(path).get("task"))
        raise MissingPrerequisite(
            f"{reference!r} is a group of lm-eval tasks; name its members: {', '.join(members[:60])}"
        )
    return path


def read(path: Path, seen: tuple[Path, ...] = ()) -> Config:
    """Return what a YAML file says with its ``include`` resolved, functions as names (``Function``), nothing run.

    Raises:
        MissingPrerequisite: for a file that is not there, is no YAML, or includes itself.
    """
    import yaml

    if path in seen:
        raise MissingPrerequisite(f"{path} includes itself, by way of {seen[-1].name}; take one include out")
    try:
        content = yaml.load(path.read_bytes(), Loader=_loader())  # a SafeLoader that knows one more tag
    except (OSError, yaml.YAMLError) as error:
        raise MissingPrerequisite(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise MissingPrerequisite(f"{path} holds {type(content).__name__}; a task is a mapping, such as task: NAME")
    merged: Config = {}
    for one in _includes(content):
        merged |= {key: value for key, value in read(path.parent / one, (*seen, path)).items() if key != "task_list"}
    return merged | {key: value for key, value in content.items() if key != "include"}


def files(reference: str) -> list[Path]:
    """Return the files that make a task what it is: its YAML, what that includes, and modules of its functions."""
    found: list[Path] = []
    waiting = [locate(reference)]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.append(path)
        if path.suffix != ".py":
            import yaml

            content = yaml.load(path.read_bytes(), Loader=_loader())
            waiting += [(path.parent / one).resolve() for one in _includes(content)]
            modules = {str(name).rpartition(".")[0] for name in _functions(content)}
            waiting += [(path.parent / f"{module.replace('.', '/')}.py").resolve() for module in sorted(modules)]
    return sorted(found)


def digest(reference: str) -> str:
    """Return the digest of a task's files; for one of lm-eval's own, of what its YAML is."""
    total = hashlib.sha256()
    for path in files(reference):
        total.update(f"{path.name}:{file_digest(path)}\n".encode())
    return total.hexdigest()


def is_trusted(reference: str) -> bool:
    """Return whether a task's functions may be imported: lm-eval's, ours, and a user's where the user said so."""
    return not reference.startswith("path:") or os.environ.get(ALLOW_CODE) == "1"


def check_code(reference: str) -> None:
    """Refuse a user's YAML that runs code, unless the user allowed it.

    Raises:
        MissingPrerequisite: naming the function.
    """
    if is_trusted(reference):
        return
    config = read(locate(reference))
    named = sorted({str(name) for name in _functions(config)}) + (["class"] if "class" in config else [])
    if named or config.get("unsafe_code"):
        raise MissingPrerequisite(
            f"{reference.partition(':')[2]} runs code of its own ({', '.join(named) or 'unsafe_code'}); read it, and "
            f"give --allow-code if you trust it"
        )


@cache
def _loader() -> Any:  # Any: PyYAML's loaders, of which the fast one is there only where its library is
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("TaskLoader", (base,), {})
    loader.add_constructor("!function", lambda loader, node: Function(loader.construct_scalar(node)))
    return loader


def _includes(content: Config) -> list[str]:
    named = content.get("include", [])
    return [str(one) for one in (named if isinstance(named, list) else [named])]


def _functions(content: object) -> list[Function]:
    if isinstance(content, Function):
        return [content]
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return [name for value in inner for name in _functions(value)]


def _members(listed: object) -> list[str]:
    """Return the names in a group's list."""
    rows = listed if isinstance(listed, list) else [listed]
    return [str((row.get("task") or row.get("group")) if isinstance(row, dict) else row) for row in rows]


def _refuse_tag(name: str) -> None:
    """Raise, naming its tasks, where a name is a tag: a label that lm-eval gives to several tasks."""
    pattern = re.compile(
        rf"^\s*(?:-\s*|[\"']?tag[\"']?\s*:.*?)[\"']?{re.escape(name)}[\"']?\s*[\],]?\s*$", re.MULTILINE
    )
    tagged = {
        path: pattern.search(text)
        for path in library().glob("**/*")
        if path.is_file()
        and (path.suffix == ".yaml" or path.name.endswith("_yaml"))
        and name in (text := path.read_text(encoding="utf-8", errors="replace"))
    }
    found = {path.relative_to(library()).as_posix() for path, match in tagged.items() if match}
    members = sorted(one for one, where in index().items() if where.path in found and not where.is_group)
    if members:
        raise MissingPrerequisite(f"{name!r} is a tag of lm-eval; name its tasks: {', '.join(members[:60])}")
