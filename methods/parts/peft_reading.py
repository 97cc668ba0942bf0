"""What a model tuned by peft makes of texts: outputs stand at its tokens, and rows know nothing of each other.

Soft prompts lengthen what a model reads. peft leaves their places in the outputs, takes a row's last place for its last
token, and numbers all places anew, the padding's too.
"""

from __future__ import annotations

import copy
import functools
import math
import statistics
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

STANDING = {"logits": 3, "start_logits": 2, "end_logits": 2}
"""Outputs that have a place for each token, and their dimensions then."""
TOKENS = range(5, 20)
SHORT, LONG = 3, 5
"""Tokens of the two rows that are read together."""
NUDGES = 5
"""How often a tuner is moved and looked at; the median counts, as a few moves make a model amplify rounding."""
NUDGE = 0.5
"""Deviation of what is added to a tuner while it is looked at: many begin as no change at all."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""By how much an output may differ, relative to the largest; what is sound stays ten times under that in fp32."""


def at_tokens(outputs: Any, length: int, wanted: int | Tensor = 0) -> Any:  # Any: an output of transformers
    """Return the outputs without the places that soft prompts took before so many tokens.

    Args:
        outputs: of all places; changed in place.
        length: of the tokens.
        wanted: the places whose logits are asked for, as transformers' ``logits_to_keep``.
    """
    from transformers.modeling_utils import slice_logits_to_keep

    for name, dimensions in STANDING.items():
        value = outputs.get(name) if isinstance(outputs, Mapping) else None
        if isinstance(value, Tensor) and value.dim() == dimensions:
            own = value[:, -length:]
            outputs[name] = slice_logits_to_keep(own, wanted) if name == "logits" else own
    return outputs


@contextmanager
def looking(model: nn.Module, wrapped: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Let a model be run in evaluation mode without a trace.

    Args:
        model: the backbone.
        wrapped: peft's wrapper of it.
        dtype: that passes are computed in.
    """
    device = next(model.parameters()).device
    modes = {module: module.training for module in [*model.modules(), *wrapped.modules()]}
    wrapped.eval()
    model.eval()
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16),
            warnings.catch_warnings(),
        ):
            torch.manual_seed(0)  # what is found here may end a run, and must not come from the run before
            warnings.simplefilter("ignore")  # what a first pass warns of is no part of a run
            yield
    finally:
        for module, training in modes.items():
            module.training = training


@torch.no_grad()
def minds_padding(model: nn.Module, own: Iterable[nn.Parameter], dtype: torch.dtype) -> bool:
    """Return whether what is said of a row changes where it is padded to the length of another.

    Args:
        model: reads ``input_ids`` (rows, length) in evaluation mode.
        own: what is tuned; it is moved for the while, by torch's own generator.
        dtype: that passes are computed in.
    """
    kept = [(parameter, parameter.detach().clone()) for parameter in own]
    pad, end = (getattr(model.config, name, None) for name in ("pad_token_id", "eos_token_id"))
    row = [token for token in TOKENS if token not in (pad, end)][: LONG - 1]
    ends = [end] if isinstance(end, int) and end != pad else row[-1:]  # some heads look for it
    padded, longer = [*row[: SHORT - 1], *ends, *[pad or 0] * (LONG - SHORT)], [*row, *ends]
    together = torch.tensor([padded, longer], device=next(model.parameters()).device)
    mask = torch.ones_like(together)
    mask[0, SHORT:] = 0
    differences = []
    try:
        for _ in range(NUDGES):
            for parameter, value in kept:
                parameter.copy_(value + NUDGE * torch.randn_like(value))
            said = _of_first(model(input_ids=together, attention_mask=mask))
            alone = _of_first(model(input_ids=together[:1, :SHORT], attention_mask=mask[:1, :SHORT]))
            differences.append(max(map(_difference, said, alone)))
    finally:
        for parameter, value in kept:
            parameter.copy_(value)
    seen = [one for one in differences if math.isfinite(one)]
    return bool(seen) and statistics.median(seen) > TOLERANCE[dtype]


def _difference(said: Tensor, alone: Tensor) -> float:
    largest = float(alone.abs().max())
    return float((said - alone).abs().max()) / largest if largest else 0.0


def _of_first(outputs: Any) -> list[Tensor]:  # Any: as above, or a head's of ours
    """Return what outputs say of the first row and, where they have a place for each, of its tokens."""
    found = [(name, value[0].float()) for name in STANDING if (value := getattr(outputs, name, None)) is not None]
    return [value[:SHORT] if value.dim() + 1 == STANDING[name] else value for name, value in found]


def uncached(generate: Callable[..., Any], refusal: Callable[[], Exception] | None) -> Callable[..., Any]:
    """Return a model's ``generate`` that reads the whole text for every token: tuners know nothing of caches.

    Args:
        generate: the model's own.
        refusal: makes what is raised where rows are padded; none where padding changes nothing.
    """

    @functools.wraps(generate)
    def written(*arguments: Any, **inputs: Any) -> Any:
        mask = inputs.get("attention_mask")
        if refusal and mask is not None and not bool(mask.all()):
            raise refusal()
        config = copy.copy(inputs.get("generation_config"))
        if config is None:
            inputs["use_cache"] = False
        else:
            config.use_cache = False
            inputs["generation_config"] = config
        with warnings.catch_warnings():  # where no row is padded the places are what peft numbers them
            warnings.filterwarnings("ignore", "Position ids are not supported", UserWarning)
            return generate(*arguments, **inputs)

    return written
