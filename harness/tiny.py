"""Tiny backbones: small random weights of each architecture, made and not read, and a tokenizer that reads bytes.

``tiny:bert`` is what tests attach methods to; ``tiny:bert@768x12`` has another width and depth, such as the shape that
``paretune bench`` times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.errors import MissingPrerequisite, UnknownName

VERSION, VOCABULARY = 1, 261
HEAD_WIDTH = 64


class Shape(NamedTuple):
    """The sizes of a stack of blocks."""

    width: int
    layers: int
    heads: int
    inner: int
    positions: int = 160


def _bert(shape: Shape) -> dict[str, Any]:  # Any, here and below: the configuration classes' own arguments
    return {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
    }


def _deberta(shape: Shape) -> dict[str, Any]:
    # As DeBERTaV3 is configured: disentangled attention over relative positions, whose projections it shares.
    attention = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
    return {
        **_bert(shape),
        **attention,
        "position_biased_input": False,
        "max_relative_positions": -1,
        "pooler_hidden_size": shape.width,
    }


def _opt(shape: Shape) -> dict[str, Any]:
    own = {"ffn_dim": shape.inner, "word_embed_proj_dim": shape.width}
    return {k: v for k, v in _bert(shape).items() if k != "intermediate_size"} | own


def _gpt2(shape: Shape) -> dict[str, Any]:
    return {"n_embd": shape.width, "n_layer": shape.layers, "n_head": shape.heads}


def _llama(shape: Shape) -> dict[str, Any]:
    return {**_bert(shape), "num_attention_heads": 2 * shape.heads, "num_key_value_heads": shape.heads}


def _vit(shape: Shape) -> dict[str, Any]:
    return {**_bert(shape), "image_size": 32}


def _resnet(shape: Shape) -> dict[str, Any]:
    widths = [shape.width, 2 * shape.width]
    return {"embedding_size": shape.width, "hidden_sizes": widths, "depths": [shape.layers] * 2, "layer_type": "basic"}


ARCHITECTURES: dict[str, Callable[[Shape], dict[str, Any]]] = {
    "bert": _bert,
    "roberta": _bert,
    "deberta-v2": _deberta,
    "opt": _opt,
    "gpt2": _gpt2,
    "llama": _llama,
    "vit": _vit,
    "resnet": _resnet,
}
SEES = frozenset({"vit", "resnet"})
"""Architectures that read images and have no vocabulary."""


@dataclass(frozen=True)
class Tiny:
    """One tiny backbone: an architecture and its sizes."""

    architecture: str
    shape: Shape

    def config(self, **options: Any) -> Any:  # Any: transformers' configurations
        """Return its configuration; ``options`` are added, such as ``num_labels``."""
        from transformers import AutoConfig

        values: dict[str, Any] = {}
        if self.architecture not in SEES:
            values = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
            values |= {"max_position_embeddings": self.shape.positions, "n_positions": self.shape.positions}
        return AutoConfig.for_model(
            self.architecture, **values, **ARCHITECTURES[self.architecture](self.shape), **options
        )

    def build(self, auto_class: Any, **options: Any) -> Any:  # Any: as above
        """Return the model with the random weights of torch's current seed."""
        return auto_class.from_config(self.config(**options))


def parse(text: str) -> Tiny:
    """Return what ``ARCH`` or ``ARCH@WIDTHxLAYERS`` names: by default 2 blocks of width 32.

    Raises:
        UnknownName, MissingPrerequisite: for an architecture that is not there, or a size that is none.
    """
    architecture, _, size = text.partition("@")
    if architecture not in ARCHITECTURES:
        raise UnknownName("backbone", f"tiny:{architecture}", [f"tiny:{name}" for name in ARCHITECTURES])
    if not size:
        return Tiny(architecture, Shape(width=32, layers=2, heads=2, inner=64))
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if not found or int(found[1]) % HEAD_WIDTH:
        raise MissingPrerequisite(
            f"tiny:{text} has no such size; write WIDTHxLAYERS with a width that is a multiple of {HEAD_WIDTH}, "
            f"such as tiny:{architecture}@768x12"
        )
    width, layers = int(found[1]), int(found[2])
    return Tiny(architecture, Shape(width, layers, max(2, width // HEAD_WIDTH), 4 * width, positions=1024))


def tokenizer(closed: bool = True) -> Any:  # Any: tokenizers of transformers have no common typed base
    """Return a tokenizer whose tokens are bytes; ``closed`` puts ``</s>`` behind a text, which nothing continues."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<s>", "</s>", "<mask>", "<unk>"]
    vocabulary = {token: index for index, token in enumerate([*special, *letters])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if closed else "<s> $A",
        pair="<s> $A </s> $B </s>" if closed else "<s> $A $B",
        special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])],
    )
    names = {
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "unk_token": "<unk>",
    }
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bytewise, cls_token="<s>", sep_token="</s>", **names
    )
