"""Encodings: rows that took long to encode are kept in the user's cache, for all runs, workers and commands.

An encoding is named by all that it follows from: the task's card, the raw rows and which of them, the tokenizer, the
protocol with its options, the length, lm-eval's files behind the task, the code of ours that encodes, and the versions
of the libraries that do. Weights are not among them: a family of models with one tokenizer shares its encodings.
"""

from __future__ import annotations

import hashlib
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness import cache, provenance, registry, stock
from harness.errors import UnwritableFolder
from harness.protocol import Examples, Protocol
from harness.routing import column_of
from harness.splits import Part

FOLDER = "encodings"
SLOW_SECONDS = 3.0
"""What takes less is not worth its place on the disk."""
LIBRARIES = ("lm_eval", "transformers", "tokenizers", "datasets", "jinja2")
PASSING = ("truncation", "padding")
"""What a tokenizer's own form holds of its last call."""

ENCODES: tuple[str, ...] = (
    "bos_token",
    "eos_token",
    "pad_token",
    "unk_token",
    "sep_token",
    "cls_token",
    "mask_token",
    "chat_template",
)
ENCODES += ("add_bos_token", "add_eos_token", "padding_side", "truncation_side", "model_input_names")
"""What else of a tokenizer decides what becomes of a text."""


def encode(protocol: Protocol, part: Part, tokenizer: Any, max_length: int, encoder: str) -> Examples:
    """Return the encoded rows of a part, from the cache where they are kept there.

    Args:
        protocol: encodes them.
        part: the rows.
        tokenizer: what encodes the backbone's inputs (Any: a transformers tokenizer or image processor).
        max_length: tokens that a text may have.
        encoder: the tokenizer's digest.
    """
    name = _name(protocol, part, max_length, encoder) if protocol.PACKS else None
    place = cache.folder() / FOLDER / f"{name}.parquet"
    if name and place.is_file():
        try:
            packed = pq.read_table(place, page_checksum_verification=True)
            return protocol.unpack(part, tokenizer, max_length, packed)
        except (pa.ArrowException, OSError, ValueError):  # damaged: it is made anew
            place.unlink(missing_ok=True)
    began = time.perf_counter()
    examples = protocol.encode(part, tokenizer, max_length)
    if name and time.perf_counter() - began > SLOW_SECONDS:
        packed = protocol.pack(examples)
        if packed is not None:
            _keep(f"{FOLDER}/{place.name}", packed)
    return examples


def _keep(name: str, packed: pa.Table) -> None:
    def write(path: Path) -> None:
        pq.write_table(packed, path, compression="zstd", write_page_checksum=True)

    try:
        cache.made(name, write)
    except (UnwritableFolder, OSError):  # a cache that cannot be written, or is full, costs time and no run
        return


def encoder_digest(tokenizer: Any) -> str:  # Any: a transformers tokenizer or image processor
    """Return the digest of what a tokenizer makes of a text, or how an image processor wants its pictures."""
    if not hasattr(tokenizer, "get_vocab"):
        return _digest(repr(tokenizer))
    inner = getattr(tokenizer, "backend_tokenizer", None)
    content = json.loads(inner.to_str()) if inner is not None else tokenizer.get_vocab()
    facts = {word: str(getattr(tokenizer, word, None)) for word in ENCODES}
    kept = {key: value for key, value in content.items() if inner is None or key not in PASSING}
    return _digest([type(tokenizer).__name__, facts, kept])


def _name(protocol: Protocol, part: Part, max_length: int, encoder: str) -> str | None:
    """Return what names an encoding; null where not all that it follows from is known."""
    card = part.task.card
    files = _stock_files(protocol, part)
    if files is None:
        return None
    module, options = type(protocol).__module__, protocol.options
    entry = registry.find("task", card.name)
    roots = (module, *([entry.module] if entry.has_code else []))
    demonstrations = part.source.digest(part.task, "fewshot") if "fewshot" in card.source.splits else None
    return _digest(
        {
            "card": card.model_dump(mode="json"),
            "rows": part.key(),
            "demonstrations": demonstrations,
            "encoder": encoder,
            "protocol": [module, options.model_dump(mode="json")],
            "length": max_length,
            "files": files,
            "code": {name: provenance.tree_digest(path) for name, path in provenance.closure(roots).items()},
            "libraries": {library: version(library) for library in LIBRARIES},
        }
    )


def _stock_files(protocol: Protocol, part: Part) -> dict[str, str] | None:
    """Return lm-eval task to the digest of its files; null for a user's own with code, which may read anything."""
    reference = getattr(protocol.options, "lm_eval", None)
    if reference is None:
        return {}
    column = column_of(reference)
    values: list[Any] = [] if column is None else list(dict.fromkeys(map(str, part.values(column))))
    named = [reference] if column is None else [reference.format(**{column: value}) for value in values]
    if not all(_is_closed(one) for one in named):
        return None
    return {one: stock.digest(one) for one in named}


def _is_closed(reference: str) -> bool:
    return not reference.startswith("path:") or all(path.suffix != ".py" for path in stock.files(reference))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
