"""Methods of a third party, each sound but for one fault, installed as pip would: what the promises must find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.plugins import forget, write_distribution
from tests.runners.faulty import installed

HEAD = """
import itertools

import torch
from pydantic import Field
from torch import nn

from harness.errors import NotApplicable
from harness.method import Config, Method

CARD = {{
    "name": "{name}", "title": "A method", "paper": "none", "url": "", "year": 2025, "code": None,
    "version": 1, "count": "the sizes of the biases", "starts_at_identity": {identity}, "differs": [],
    "tuned": {{"lr": [1e-3, 1e-1]}}, "budget": {budget},
}}


class Layers(Config):
    layers: int = Field(default=12, ge=1)


class Sound(Method):
    # A trained vector is added to the output of the first targeted layers.

    Config = Layers

    def sizes(self, model, plan):
        return [model.get_parameter(f"{{name}}.bias").numel() for name in plan.targets.modules]

    def count(self, model, plan):
        return sum(self.sizes(model, plan)[: self.config.layers])

    def solve(self, model, plan):
        sums = list(itertools.accumulate(self.sizes(model, plan)))
        if plan.budget < sums[0]:
            raise NotApplicable(f"smallest is {{sums[0]}}")
        return Layers(layers=sum(total <= plan.budget for total in sums))

    def attach(self, model, plan, streams):
        self.model = model
        self.layers = dict(list(plan.targets.modules.items())[: self.config.layers])
        self.biases = {{name: model.get_parameter(f"{{name}}.bias") for name in self.layers}}
        self.shifts = {{name: nn.Parameter(torch.zeros_like(bias)) for name, bias in self.biases.items()}}
        self.hooks = [
            module.register_forward_hook(lambda _, inputs, out, shift=self.shifts[name]: (out + shift).to(out.dtype))
            for name, module in self.layers.items()
        ]
        self.before = {{name: bias.detach().clone() for name, bias in self.biases.items()}}

    def own_parameters(self):
        return {{f"{{name}}.shift": shift for name, shift in self.shifts.items()}}

    def merge(self, model):
        for name, shift in self.shifts.items():
            self.biases[name].data.add_(shift.data)
        self.unhook()

    def unhook(self):
        for hook in self.hooks:
            hook.remove()
        self.hooks = []

    def remove(self, model):
        self.unhook()
        for name, bias in self.biases.items():
            bias.data.copy_(self.before[name])


class Faulty(Sound):
{body}


METHOD = Faulty
"""
FAULTS = {
    # name: (what is wrong, the promises that are broken, words of the finding)
    "sound": ("    pass", set(), ""),
    "moves_another": (
        "    def after_step(self, step):\n"
        "        self.model.get_parameter('bert.embeddings.word_embeddings.weight').data[0, 0] += 1\n"
        "    def remove(self, model):\n"
        "        super().remove(model)\n"
        "        self.model.get_parameter('bert.embeddings.word_embeddings.weight').data[0, 0] = self.first\n"
        "    def attach(self, model, plan, streams):\n"
        "        super().attach(model, plan, streams)\n"
        "        self.first = model.get_parameter('bert.embeddings.word_embeddings.weight').data[0, 0].clone()",
        {"only the trained part moves"},
        "word_embeddings.weight is no part of what is trained, but it moved",
    ),
    "claims_a_support_that_it_does_not_count": (
        "    def buffers(self):\n        return {'bert.embeddings.word_embeddings.weight@indices': torch.arange(1000)}",
        {"only the trained part moves"},
        "supports hold 1000 scalars, but 448 are trained",
    ),
    "miscounts": (
        "    def count(self, model, plan):\n        return super().count(model, plan) + 1",
        {"count"},
        "448 scalars are trained; the formula gives 449",
    ),
    "counts_real_values": (
        "    def count(self, model, plan):\n"
        "        return super().count(model, plan) + model.get_parameter('classifier.bias').is_meta",
        {"count"},
        "planning on the meta device counted 449",
    ),
    "spends_over_a_budget": (
        "    class Config(Layers):\n"
        "        layers: int = 3\n"
        "    def solve(self, model, plan):\n"
        "        return Layers(layers=super().solve(model, plan).layers + 1)",
        {"budget"},
        "a budget of .* was answered with",
    ),
    "refuses_its_own_size": (
        "    def solve(self, model, plan):\n        raise NotApplicable('smallest is 10**9')",
        {"budget"},
        r"a budget of 448 is refused \(smallest is .*\), but the method has that size",
    ),
    "counts_its_rows": (
        "    def attach(self, model, plan, streams):\n"
        "        super().attach(model, plan, streams)\n"
        "        self.unhook()\n"
        "        self.hooks = [\n"
        "            module.register_forward_hook(\n"
        "                lambda _, inputs, out, shift=self.shifts[name]: out + shift * (1 if len(out) > 1 else 2))\n"
        "            for name, module in self.layers.items()\n"
        "        ]",
        {"each row for itself"},
        "what it says of row 0 differs by .* without the rows and the padding beside it",
    ),
    "leaves_hooks": (
        "    def remove(self, model):\n"
        "        super().remove(model)\n"
        "        model.register_forward_hook(lambda *things: None)",
        {"detach"},
        "the model has other hooks than before",
    ),
    "leaves_an_attribute": (
        "    def remove(self, model):\n        super().remove(model)\n        model.marked = True",
        {"detach"},
        "the model has other attributes than before: marked",
    ),
    "leaves_another_value": (
        "    def remove(self, model):\n"
        "        super().remove(model)\n"
        "        model.bert.encoder.layer[0].output.LayerNorm.eps = 0.5",
        {"detach"},
        "output.LayerNorm has other attributes than before: eps",
    ),
    "leaves_a_buffer": (
        "    def remove(self, model):\n"
        "        super().remove(model)\n"
        "        model.bert.register_buffer('left', torch.zeros(1))",
        {"detach", "merge"},
        "tensors differ after detaching: bert.left",
    ),
    "does_not_restore": (
        "    def after_step(self, step):\n"
        "        self.stepped = True\n"
        "    def remove(self, model):\n"
        "        super().remove(model)\n"
        "        if hasattr(self, 'stepped'):\n"
        "            model.get_parameter('bert.embeddings.word_embeddings.weight').data[0, 0] += 1",
        {"detach", "merge"},
        "word_embeddings.weight",
    ),
    "merges_wrongly": (
        "    def merge(self, model):\n        super().merge(model)\n        self.biases[min(self.biases)].data[0] += 1",
        {"merge"},
        "outputs differ by .* after merging",
    ),
    "forgets_to_merge": (
        "    def merge(self, model):\n        pass",
        {"merge"},
        "after loading the merged weights",
    ),
    "cannot_merge_at_no_cost": (
        "    def merge(self, model):\n        raise NotApplicable('cannot be merged')",
        {"merge"},
        r"not applicable \(cannot be merged\), but extra_at_inference\(\) is 0",
    ),
    "draws_elsewhere": (
        "    def attach(self, model, plan, streams):\n"
        "        super().attach(model, plan, streams)\n"
        "        for shift in self.shifts.values():\n"
        "            shift.data = torch.randn(shift.shape) * 1e-8",
        {"same seed, same bits"},
        "two runs of one seed differ in",
    ),
    "is_no_identity": (
        "    def attach(self, model, plan, streams):\n"
        "        super().attach(model, plan, streams)\n"
        "        for shift in self.shifts.values():\n"
        "            shift.data.fill_(0.1)",
        {"output at the start"},
        "outputs differ by .* the card says starts_at_identity: true",
    ),
    "hardly_changes_outputs": (
        "    def attach(self, model, plan, streams):\n"
        "        super().attach(model, plan, streams)\n"
        "        for shift in self.shifts.values():\n"
        "            shift.data.fill_(3e-7)",
        set(),
        "",
    ),
    "is_an_identity": ("    pass", {"output at the start"}, "outputs are unchanged .* starts_at_identity: false"),
    "keeps_unsaved": (
        "    def attach(self, model, plan, streams):\n"
        "        super().attach(model, plan, streams)\n"
        "        self.steps = 0\n"
        "        scaled = lambda _, inputs, out: out * (1 + 0.1 * self.steps)\n"
        "        self.hooks.append(model.classifier.register_forward_hook(scaled))\n"
        "    def after_step(self, step):\n"
        "        self.steps = step",
        {"save and load", "merge"},
        "outputs of the saved part differ",
    ),
    "cannot_load": (
        "    def load_state(self, state):\n"
        "        if 'nonsense' in state:\n"
        "            raise ValueError('nonsense')\n"
        "        super().load_state(state)\n"
        "        raise NotApplicable('cannot be loaded')",
        {"save and load"},
        "NotApplicable: cannot be loaded",
    ),
    "takes_anything": (
        "    def load_state(self, state):\n"
        "        for name, parameter in self.updated().items():\n"
        "            if name in state and state[name].shape == parameter.shape:\n"
        "                parameter.data.copy_(state[name])",
        {"a foreign part is refused"},
        "a part with another name was loaded",
    ),
    "holds_still": (
        "    def after_backward(self):\n        self.shifts[min(self.shifts)].grad = None",
        {"all of it can move"},
        "shift did not move in 2 steps",
    ),
    "climbs": (
        "    def after_backward(self):\n"
        "        for parameter in self.updated().values():\n"
        "            parameter.grad.neg_()",
        {"the loss falls"},
        "it should fall below 0.9 of the first",
    ),
    "takes_unknown_keys": (
        "    class Config(__import__('pydantic').BaseModel):\n        layers: int = 12",
        {"configuration"},
        "takes unknown keys",
    ),
    "understates_bits": ("    def stored_bits(self):\n        return 7", {"stored bits"}, r"stored_bits\(\) is 7"),
    "overstates_zeros": (
        "    def zeros(self):\n        return 5, 7",
        {"sparsity"},
        r"zeros\(\) is \(5, 7\); the plain model has",
    ),
    "raises": (
        "    def finalize(self, model):\n        raise KeyError('a hook went wrong')",
        {"merge"},
        "KeyError: 'a hook went wrong'",
    ),
}
REFUSES_LATE = "    def attach(self, model, plan, streams):\n        raise NotApplicable('smallest is 7')"
"""A method that is planned and then refuses to start."""
CHANGES_OUTPUTS = {"is_an_identity", "hardly_changes_outputs"}
"""Those whose card declares that outputs differ at the start."""
SIZED = {"sound", "spends_over_a_budget", "refuses_its_own_size"}
"""The others have one size, so that a budget is no matter for them."""


def source(name: str, body: str) -> str:
    knob = "layers" if name in SIZED else None
    return HEAD.format(name=name, body=body, identity=name not in CHANGES_OUTPUTS, budget=repr(knob))


@contextmanager
def breakers(folder: Path) -> Iterator[None]:
    """Install every faulty method under a folder, and one that refuses late."""
    for name, (body, _, _) in FAULTS.items():
        write_distribution(
            folder, {f"faulty_{name}.py": source(name, body)}, {"paretune.methods": f"faulty_{name}"}, name
        )
    refusing = {"refusing.py": source("refuses_late", REFUSES_LATE)}
    write_distribution(folder, refusing, {"paretune.methods": "refusing"}, "refusing")
    with installed(folder):
        forget()
        yield
    forget()
