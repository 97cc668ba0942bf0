"""BitFit: only the biases of the backbone are trained, or, with ``vectors``, new vectors in their place.

Paper: Ben Zaken, Ravfogel, Goldberg, BitFit, ACL 2022, https://arxiv.org/abs/2106.10199; ``vectors`` is the baseline of
Xu, Zhang, Random Masking Finds Winning Tickets for Parameter Efficient Fine-tuning, https://arxiv.org/abs/2405.02596
Code: https://github.com/benzakenelad/BitFit
Maths: y = W x + b, only b moves; also the shifts of the layer norms. With ``vectors``, y = (W x + b) + v: b is frozen
and v, which starts at zero, moves, for every linear layer of the blocks, with a bias or without.
Count: the number of bias scalars; with ``vectors``, sum(m) over the linear layers, and the shifts of the layer norms
Starts at identity: yes, no structure is added; v = 0.
Differs from the paper: nothing; ``vectors`` is another paper's variant.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.method import Config, Method, Plan
from harness.random import Streams
from harness.targets import resolve, weight_shape
from methods.parts.patching import Patches

CARD = {
    "name": "bitfit",
    "title": "BitFit (biases only)",
    "paper": "Ben Zaken et al., BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked LMs, 2022",
    "url": "https://arxiv.org/abs/2106.10199",
    "year": 2022,
    "code": "https://github.com/benzakenelad/BitFit",
    "version": 1,
    "count": "the bias scalars; with vectors: outputs of the linear layers, and norm biases",
    "starts_at_identity": True,
    "differs": ["vectors is another paper's variant of it"],
    "tuned": {"lr": [1e-4, 1e-2]},
    "targets": "all",
}
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class BitfitConfig(Config):
    """Which shifts are trained; the defaults are those of the BitFit paper."""

    vectors: bool = Field(
        default=False,
        description="train a new vector on the output of each linear layer and freeze its bias, if any",
    )
    norms: bool = Field(default=True, description="train the biases of the normalising layers too")


class Bitfit(Method):
    """Train every bias outside the head, those of the layer norms included, or new vectors on the linear layers."""

    Config = BitfitConfig
    config: BitfitConfig

    def count(self, model: nn.Module, plan: Plan) -> int:
        vectors = sum(weight_shape(layer)[0] for layer in self._layers(model, plan).values())
        return vectors + sum(parameter.numel() for parameter in self._biases(model, plan).values())

    def attach(self, model: nn.Module, plan: Plan, streams: Streams) -> None:
        biases = self._biases(model, plan)
        self._modules, self._patches = self._layers(model, plan), Patches()
        self._vectors: dict[str, nn.Parameter] = {}
        for name, module in self._modules.items():
            weight: Any = module.weight  # Any: a module's attributes are typed as tensor or module
            self._vectors[name] = nn.Parameter(torch.zeros(weight_shape(module)[0], device=weight.device))
            self._patch(module, self._vectors[name])
        self.train_dense(biases)

    def own_parameters(self) -> dict[str, nn.Parameter]:
        return {f"{name}.vector": vector for name, vector in self._vectors.items()}

    def extra_at_inference(self) -> int:
        """Return the scalars of the vectors that no bias can take in."""
        return sum(self._vectors[name].numel() for name in self._without_bias())

    def merge(self, model: nn.Module) -> None:
        """Add the vectors to the biases.

        Raises:
            NotApplicable: if a layer has no bias to add its vector to.
        """
        lacking = self._without_bias()
        if lacking:
            raise NotApplicable(
                f"{len(lacking)} of {len(self._modules)} linear layers of {type(model).__name__} have no bias that "
                f"could take in a vector ({lacking[0]} is one)"
            )
        for name, module in self._modules.items():
            bias: Any = module.bias  # Any: as above
            bias.data.copy_(bias.data.float() + self._vectors[name].data)
        self.remove(model)

    def remove(self, model: nn.Module) -> None:
        self._patches.remove()

    def _without_bias(self) -> list[str]:
        return [name for name, module in self._modules.items() if getattr(module, "bias", None) is None]

    def _layers(self, model: nn.Module, plan: Plan) -> dict[str, nn.Module]:
        if not self.config.vectors:
            return {}
        layers = resolve(model, "linear", plan.head).modules
        if not layers:
            raise NotApplicable(f"{type(model).__name__} has no linear layers in its blocks; vectors need some")
        return layers

    def _biases(self, model: nn.Module, plan: Plan) -> dict[str, nn.Parameter]:
        norms = {f"{name}.bias" for name, module in model.named_modules() if isinstance(module, NORMS)}
        biases = {
            name: parameter
            for name, parameter in plan.targets.tensors.items()
            if name.rpartition(".")[2] == "bias" and (self.config.norms if name in norms else not self.config.vectors)
        }
        if not biases and not self.config.vectors:
            kind = "" if self.config.norms else ", those of its norms apart"
            raise NotApplicable(f"{type(model).__name__} has no biases outside its head{kind}; bitfit needs some")
        return biases

    def _patch(self, module: nn.Module, vector: nn.Parameter) -> None:
        def forward(module: nn.Module, inputs: Tensor) -> Tensor:
            output: Tensor = type(module).forward(module, inputs)
            return output + vector.to(output.dtype)

        self._patches.patch(module, forward)


METHOD = Bitfit
