"""Names and cards of the tuners of the installed peft, read from its source text: nothing of peft is imported.

Each tuner registers itself by ``register_peft_method(name=..., config_cls=...)`` in its folder of ``peft/tuners``.
A switch of LoRA's own configuration (a boolean field ``use_<name>`` that is off by default: dora, rslora, ...) is a
method of the literature too, and is listed under that name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pydantic import JsonValue

from harness.errors import MissingPrerequisite
from harness.registry import source_of

FAMILY = "peft"
SWITCHED = "lora"
"""The tuner whose switches are methods of their own."""
SWITCH = "use_"
REGISTER = "register_peft_method"
SIZES = (
    "init_r",
    "theta_d_length",
    "u",
    "n_frequency",
    "num_virtual_tokens",
    "oft_block_size",
    "boft_block_size",
    "block_size",
    "adapter_len",
    "r",
    "num_vectors",
    "subspace_rank",
    "num_subspaces",
    "n_skills",
    "num_ranks",
    "num_B",
)
"""Names of the fields that set a tuner's size, the most telling first."""
MISSING = object()
DRAWN: dict[str, tuple[JsonValue, ...]] = {
    "init_weights": (False, "xavier_uniform"),
    "init_theta_d_bound": (0.02,),
    "init_vector_bank_bound": (0.02,),
}
"""Fields to the defaults that stand for drawn initial values, which change outputs."""
PROMPTS = "PromptLearningConfig"
PAPER = re.compile(r"https?://(?:arxiv\.org/abs|huggingface\.co/papers|openreview\.net)/[\w./?=&-]*\w")
DESCRIPTION = 700
"""Letters of a field's description that are searched for a paper."""
PAGES = "https://huggingface.co/docs/peft/package_reference"


@dataclass(frozen=True)
class Tuner:
    """What peft's source says of one tuner, or of one switch of LoRA."""

    name: str
    tuner: str
    """The name that peft registers."""
    fixed: dict[str, JsonValue]
    """Values of the configuration that make the variant."""
    fields: dict[str, JsonValue]
    """The configuration's own fields with their defaults where these are literals, else null."""
    bases: tuple[str, ...]
    """Names of the classes that the configuration's class derives from."""
    paper: str | None
    config: str
    """The configuration's class."""
    text: str = field(repr=False)
    """The source of its file."""
    prompts: bool = False
    """Whether it learns prompts, which change outputs from the start."""


def cards() -> list[dict[str, JsonValue]]:
    """Return the card of every tuner, as ``harness.registry`` asks a family for them.

    Raises:
        MissingPrerequisite: if peft is not installed, or its source does not read as expected.
    """
    return [_card(tuner) for tuner in tuners().values()]


@cache
def tuners() -> dict[str, Tuner]:
    """Return every tuner by its name in the registry, ``peft/<name>``.

    Raises:
        MissingPrerequisite: see ``cards``.
    """
    return {f"{FAMILY}/{tuner.name}": tuner for tuner in _read(_source())}


def version() -> str:
    """Return the version of the peft whose source is read."""
    found = re.search(r"^__version__ = [\"'](.+)[\"']", _source().read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


def _source() -> Path:
    path = source_of("peft")
    if path is None:
        raise MissingPrerequisite(
            "peft is not installed; install it with: python -m pip install -c constraints.txt peft"
        )
    return path


def _read(source: Path) -> Iterator[Tuner]:
    folders = sorted((source.parent / "tuners").glob("*/__init__.py"))
    found = [each for path in folders for each in _registered(path)]
    if not found:
        raise MissingPrerequisite(
            f"the source of peft {version()} registers no tuner where it is looked for; install the tested version "
            f"with: python -m pip install -c constraints.txt peft"
        )
    configs = {tuner.config: tuner for tuner in found}
    for tuner in found:
        yield replace(tuner, prompts=_learns_prompts(tuner, configs))
        if tuner.name == SWITCHED:
            for switch in [key for key, value in tuner.fields.items() if key.startswith(SWITCH) and value is False]:
                described = tuner.text.partition(f"        {switch} (")[2][:DESCRIPTION]
                yield replace(tuner, name=switch.removeprefix(SWITCH), fixed={switch: True}, paper=_paper([described]))


def _learns_prompts(tuner: Tuner, configs: Mapping[str, Tuner]) -> bool:
    known = [configs[base] for base in tuner.bases if base in configs]
    return PROMPTS in tuner.bases or any(_learns_prompts(base, configs) for base in known)


def _registered(path: Path) -> Iterator[Tuner]:
    """Yield what one tuner's folder registers."""
    text = path.read_text(encoding="utf-8")
    if REGISTER not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != REGISTER:
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        name, config = given.get("name"), given.get("config_cls")
        if isinstance(name, ast.Constant) and isinstance(config, ast.Name):
            files = [path.with_name(file) for file in ("model.py", "config.py", "layer.py")]
            texts = [file.read_text(encoding="utf-8") if file.is_file() else "" for file in files]
            fields, bases = _fields(texts[1], config.id)
            tuner = str(name.value)
            yield Tuner(tuner, tuner, {}, fields, bases, _paper(texts), config.id, texts[1])


def _paper(texts: Sequence[str]) -> str | None:
    return next((found[0] for text in texts if (found := PAPER.search(text))), None)


def _fields(text: str, config: str) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return the fields that a configuration class itself declares, with literal defaults, and its bases' names."""
    fields: dict[str, JsonValue] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == config:
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    fields[line.target.id] = _default(line.value)
            return fields, tuple(base.id for base in node.bases if isinstance(base, ast.Name))
    return fields, ()


def _default(value: ast.expr | None) -> JsonValue:
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    try:
        default: JsonValue = ast.literal_eval(value) if value is not None else None
    except ValueError:
        return None
    return default


def _starts_at_identity(tuner: Tuner) -> bool:
    """Return whether outputs are unchanged at the start, from the defaults of the fields of initial values.

    By peft's convention ``init_weights`` (``init_lora_weights``, ...) is true for a start that changes nothing; prompts
    have no such start. The contract's test holds every tuner of the installed peft to what this says.
    """
    return not tuner.prompts and not any(tuner.fields.get(name, MISSING) in values for name, values in DRAWN.items())


def _card(tuner: Tuner) -> dict[str, JsonValue]:
    page = f"{PAGES}/{tuner.tuner}"
    size = next((name for name in SIZES if name in tuner.fields), "num_virtual_tokens" if tuner.prompts else None)
    return {
        "name": f"{FAMILY}/{tuner.name}",
        "title": f"{tuner.name} of peft {version()}",
        "paper": tuner.paper or f"see {page}",
        "url": tuner.paper or page,
        "year": None,
        "code": "https://github.com/huggingface/peft",
        "version": 1,
        "count": "by instantiation on the meta device",
        "starts_at_identity": _starts_at_identity(tuner),
        "differs": ["targets are the suite's", "sizes that do not fit the widths are lowered", "fp32 trained scalars"],
        "tuned": {"lr": [1e-4, 1e-2]},
        "needs": ["peft"],
        **({"budget": size} if size else {}),
    }
