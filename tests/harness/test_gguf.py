"""A GGUF file becomes a folder once, its weights are those that the file holds, and its digest is the file's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf as writing  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from harness import gguf
from harness.backbone import load_tokenizer, locate
from harness.errors import MissingPrerequisite
from harness.protocol import meet
from harness.registry import load_task

WIDTH, INNER, HEADS, LAYERS = 32, 48, 2, 1
TOKENS = ["<unk>", "<s>", "</s>", *(chr(code) for code in range(33, 127)), "Ġ", "Ċ", "th", "the"]
MERGES = ["t h", "th e"]


def write(path: Path) -> dict[str, NDArray[np.float32]]:
    """Write a llama of one block in the format's own quantised form (Q8_0), and return what it holds, dequantised."""
    drawn = np.random.default_rng(0)
    out = writing.GGUFWriter(path, "llama")
    out.add_block_count(LAYERS)
    out.add_context_length(64)
    out.add_embedding_length(WIDTH)
    out.add_feed_forward_length(INNER * 2)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(TOKENS))
    out.add_tokenizer_model("gpt2")
    out.add_token_list(TOKENS)
    out.add_token_types([3, 3, 3, *([1] * (len(TOKENS) - 3))])
    out.add_token_merges(MERGES)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    shapes = {
        "token_embd.weight": (len(TOKENS), WIDTH),
        "blk.0.attn_v.weight": (WIDTH, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (WIDTH, WIDTH),
        "blk.0.ffn_gate.weight": (INNER * 2, WIDTH),
        "blk.0.ffn_up.weight": (INNER * 2, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, INNER * 2),
    }
    kept = {}
    for name, shape in shapes.items():
        packed = writing.quants.quantize(
            drawn.normal(0, 0.1, shape).astype(np.float32), writing.GGMLQuantizationType.Q8_0
        )
        out.add_tensor(name, packed, raw_dtype=writing.GGMLQuantizationType.Q8_0)
        kept[name] = writing.quants.dequantize(packed, writing.GGMLQuantizationType.Q8_0)
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"):
        kept[name] = drawn.normal(1, 0.1, WIDTH).astype(np.float32)
        out.add_tensor(name, kept[name])
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return kept


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_its_weights_and_tokens_are_those_of_the_file(tmp_path: Path) -> None:
    kept = write(tmp_path / "small.gguf")
    files = locate(f"path:{tmp_path / 'small.gguf'}")
    assert files.model_type == "llama"
    assert files.kind == "decoder"
    assert files.digest == hashlib.sha256((tmp_path / "small.gguf").read_bytes()).hexdigest()
    loaded = meet("prompt", load_task("lm/boolq").card).load(files)
    weights = dict(loaded.model.named_parameters())
    for name, place in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
        ("blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"),
        ("output_norm.weight", "model.norm.weight"),
    ):
        assert torch.equal(weights[place], torch.from_numpy(kept[name])), name
        assert weights[place].dtype == torch.float32
    assert loaded.num_parameters == sum(value.size for value in kept.values())  # the embedding is tied, and counts once
    assert load_tokenizer(files).tokenize("the the") == ["the", "Ġ", "the"]


def test_it_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "small.gguf")
    first = gguf.converted(tmp_path / "small.gguf")
    monkeypatch.setattr(gguf, "_convert", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert gguf.converted(tmp_path / "small.gguf") == first
    (tmp_path / "again.gguf").write_bytes((tmp_path / "small.gguf").read_bytes())
    assert gguf.converted(tmp_path / "again.gguf") == first


def test_what_is_missing_or_no_such_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 60)
    with pytest.raises(MissingPrerequisite, match=r"broken.gguf cannot be read by transformers"):
        locate(f"path:{tmp_path / 'broken.gguf'}")
    with pytest.raises(MissingPrerequisite, match="is not a folder"):
        locate(f"path:{tmp_path / 'absent.gguf'}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPrerequisite, match="python -m pip install gguf"):
        locate(f"path:{tmp_path / 'broken.gguf'}")
