"""Scaffold: the files with which a new method starts. They are true as they are: a trained scale per layer input."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.errors import UnwritableFolder, UserError

METHOD = '''"""{title}: the inputs of each targeted linear layer are scaled by a trained vector (say what yours does).

Paper: none yet; give authors, title, year and a link    Code: none
Maths: y = W ((1 + s) o x) + b, s (n) zero at the start    Count: sum(n) over the targeted layers
Starts at identity: yes, s = 0.
Differs from the paper: nothing; state each deliberate difference here and on the card.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from harness.random import Streams
from harness.targets import weight_shape

# A literal: it is read without importing this file.
CARD = {{
    "name": "{name}",
    "title": "{title}",
    "paper": "none yet",
    "url": "https://example.org",
    "year": None,
    "code": None,
    "version": 1,  # raise it with a change that can change a score
    "count": "sum(n) over the targeted layers",
    "starts_at_identity": True,
    "differs": [],
    "tuned": {{"lr": [1e-4, 1e-1]}},
    # "budget": "rank" names the value by which solve() meets a budget; a method of one size has none.
    # "targets": "all" is for methods whose definition fixes what they touch.
}}


class {title}Config(Config):
    """The values that a suite may set, each a pydantic Field with its range; this method has none."""


class {title}(Method):
    """Scale the inputs of the targeted linear layers."""

    Config = {title}Config
    config: {title}Config

    def count(self, model: nn.Module, plan: Plan) -> int:
        """Return the trained scalars in closed form; planning asks on the meta device, so only shapes are known."""
        if not plan.targets.modules:
            raise NotApplicable(f"{name} scales the inputs of linear layers; targets {{plan.targets.name!r}} hold none")
        return sum(weight_shape(module)[1] for module in plan.targets.modules.values())

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        """Insert the trained part, in fp32. The model is frozen already; random values come from ``streams`` only."""
        self.count(model, plan)  # refuses what cannot be
        self._scales: dict[str, nn.Parameter] = {{}}
        self._layers = plan.targets.modules
        self._hooks = []
        for name, module in self._layers.items():
            weight = plan.targets.tensors[f"{{name}}.weight"]
            scale = nn.Parameter(torch.zeros(weight_shape(module)[1], device=weight.device))
            self._scales[name] = scale
            self._hooks.append(module.register_forward_pre_hook(_scaled_by(scale)))

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained and no parameter of the backbone; the base class counts, saves and loads it."""
        return {{f"{{name}}.scale": scale for name, scale in self._scales.items()}}

    @torch.no_grad()
    def merge(self, model: nn.Module) -> None:
        """Make ``model`` a plain one with equal outputs."""
        self.remove(model)
        for name, module in self._layers.items():
            factor = 1 + self._scales[name]
            # A linear layer keeps its weight as (outputs, inputs), GPT-2's Conv1D the other way round.
            weight = model.get_parameter(f"{{name}}.weight")
            weight.mul_(factor if isinstance(module, nn.Linear) else factor[:, None])

    def remove(self, model: nn.Module) -> None:
        """Undo the structure that ``attach`` made; the base class restores the targeted weights."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _scaled_by(scale: nn.Parameter) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
    return lambda module, inputs: (inputs[0] * (1 + scale)).to(inputs[0].dtype)


METHOD = {title}
'''
TEST = '''"""{title}: the contract, and the formula by hand."""

from __future__ import annotations

import torch
from torch import nn

from harness.method import Plan
from harness.random import Streams
from harness.targets import Targets
from {module} import {title}
from runners.check import check_method


def test_every_promise_of_the_contract_is_kept() -> None:
    findings = check_method("{name}", "tiny:bert")
    assert [finding for finding in findings if finding.outcome == "broken"] == []
    assert len([finding for finding in findings if finding.outcome == "kept"]) >= 12


def test_the_inputs_of_a_layer_are_scaled() -> None:
    layer = nn.Linear(3, 2)
    targets = Targets("linear", {{"0": layer}}, {{"0.weight": layer.weight}})
    model, method = nn.Sequential(layer), {title}()
    method.start(model, Plan(targets, frozenset(), total=8), Streams(0))
    scale, inputs = torch.tensor([0.5, -1.0, 2.0]), torch.randn(4, 3)
    method.own_parameters()["0.scale"].data.copy_(scale)
    expected = (inputs * (1 + scale)) @ layer.weight.T + layer.bias
    torch.testing.assert_close(model(inputs), expected)
    method.merge(model)
    torch.testing.assert_close(model(inputs), expected)
    assert method.count(model, Plan(targets, frozenset(), total=8)) == 3
'''
PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "paretune-{dashed}"
version = "0.1.0"
dependencies = ["paretune"]

[project.entry-points."paretune.methods"]
{name} = "paretune_{name}"

[tool.setuptools]
py-modules = ["paretune_{name}"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
testpaths = ["tests"]
"""


class BadScaffold(UserError, ValueError):
    """A name or a place that a new method or task cannot have."""


def is_checkout(folder: Path) -> bool:
    """Return whether a folder is a checkout of this project, where methods are files of their own."""
    return (folder / "methods" / "__init__.py").is_file() and (folder / "harness" / "method.py").is_file()


def method_files(name: str, checkout: bool) -> dict[str, str]:
    """Return the files of a new method by path: a file and its test, or outside of a checkout a whole package."""
    title = "".join(part.capitalize() for part in name.split("_"))
    if checkout:
        paths = {f"methods/{name}.py": METHOD, f"tests/methods/test_{name}.py": TEST}
        return _filled(paths, name=name, title=title, module=f"methods.{name}")
    dashed = name.replace("_", "-")
    paths = {
        f"paretune-{dashed}/pyproject.toml": PROJECT,
        f"paretune-{dashed}/paretune_{name}.py": METHOD,
        f"paretune-{dashed}/tests/test_{name}.py": TEST,
    }
    return _filled(paths, name=name, title=title, module=f"paretune_{name}", dashed=dashed)


def _filled(paths: Mapping[str, str], **words: str) -> dict[str, str]:
    return {path: text.format(**words) for path, text in paths.items()}


def new_method(name: str, folder: Path, taken: Mapping[str, object]) -> list[Path]:
    """Write the starting files of a method into a folder; return their paths.

    Args:
        name: what it will be registered as.
        folder: a checkout of this project, or any other folder, which then gets a package.
        taken: the names that are registered.

    Raises:
        UserError: for a name that cannot be or is taken, a file that is there already, or a folder that is no place.
    """
    check_name("method", name, taken)
    return write({folder / path: text for path, text in method_files(name, is_checkout(folder)).items()}, folder)


def check_name(kind: str, name: str, taken: Mapping[str, object]) -> None:
    """Refuse a name that a new file cannot have.

    Raises:
        BadScaffold: saying why.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise BadScaffold(
            f"{name!r} is no name for a {kind}; use lower-case letters, digits and underscores, such as my_{kind}"
        )
    if name in taken:
        raise BadScaffold(f"a {kind} named {name!r} is registered already; choose another name")
    if name.startswith("test_"):
        raise BadScaffold(f"{name!r} begins with test_, so its file would be taken for a test; choose another name")
    if _is_module(name):
        raise BadScaffold(
            f"{name!r} is the name of a Python module that is installed here, which a file of that name could shadow; "
            f"choose another, such as my_{name}"
        )


def write(files: Mapping[Path, str], folder: Path) -> list[Path]:
    """Write new files below a folder, all or none; return their paths.

    Raises:
        UserError: if the folder is none, a file is there already, or nothing can be written.
    """
    if not folder.is_dir():
        raise BadScaffold(f"{folder} is not a folder; make it first, or name another with --out")
    for path in files:
        if path.exists():
            raise BadScaffold(f"{path} is there already and is not overwritten; choose another name, or move it")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnwritableFolder(folder, error) from error
    return list(files)


def _is_module(name: str) -> bool:
    """Return whether a top-level module of this name can be imported: of the standard library, or installed."""
    if name in sys.stdlib_module_names or name in sys.modules:
        return True
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None  # any folder in the working directory has a spec
