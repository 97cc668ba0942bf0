"""GGUF: one file with quantised weights and their tokenizer becomes a folder that transformers opens at once.

Transformers turns the weights into fp32 (most of a minute for 135 million scalars), which is done once: the folder is
kept in the user's cache under the digest of the file. What a model of it says is that of the quantised weights.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from pathlib import Path

from harness import cache
from harness.digest import file_digest
from harness.errors import MissingPrerequisite

SUFFIX = ".gguf"
log = logging.getLogger(__name__)


def place(file: Path) -> str:
    """Return the name in the cache of a file's folder: its digest, and what turned it into one."""
    return f"gguf/{file_digest(file)[:32]}-transformers-{importlib.metadata.version('transformers')}"


def converted(file: Path) -> Path:
    """Return the folder with config.json, safetensors and tokenizer of a GGUF file; made when first asked for.

    Raises:
        MissingPrerequisite: without the package that reads the format, or for a file that transformers cannot turn.
    """
    if not (cache.folder() / place(file)).exists() and importlib.util.find_spec("gguf") is None:
        raise MissingPrerequisite(
            f"{file.name} is read by the Python package 'gguf', which is not installed; install it with: "
            f"python -m pip install gguf"
        )
    return cache.made(place(file), lambda folder: _convert(file, folder))


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as verbosity

    log.warning("%s is dequantised, once; this takes about a minute for 135 million scalars", file.name)
    level = verbosity.get_verbosity()
    verbosity.set_verbosity_error()  # type: ignore[no-untyped-call]
    verbosity.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=[]):
            model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        # The saved weights are plain; the note of where they came from would have them read as quantised again.
        for key in ("quantization_config", "_pre_quantization_dtype"):
            model.config.__dict__.pop(key, None)
        model.hf_quantizer = None  # type: ignore[assignment]  # an attribute of the object, and no part of the module
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise MissingPrerequisite(f"{file} cannot be read by transformers: {error}") from error
    finally:
        verbosity.set_verbosity(level)
