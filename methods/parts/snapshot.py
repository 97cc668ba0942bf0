"""A snapshot of a model's structure, so that a library that rebuilds a model in place can be undone without a trace."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Snapshot:
    """Every module's own attributes, the storage of every tensor, and the configuration, as they were.

    Values are not copied: what writes into a tensor in place is undone by whoever keeps the loaded values.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules: dict[str, nn.Module] = dict(model.named_modules())
        self.parameters: dict[str, nn.Parameter] = dict(model.named_parameters())
        self._attributes = [(module, _copied(vars(module))) for module in self.modules.values()]
        tensors = [*model.parameters(), *model.buffers()]
        self._tensors: list[tuple[Tensor, Tensor, bool]] = [(t, t.data, t.requires_grad) for t in tensors]
        self._config = getattr(model, "config", None)
        self._values = _copied(vars(self._config)) if self._config is not None else {}

    def changed(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters, by their names then, of modules that have another in their place now."""
        now = dict(model.named_modules())
        found: dict[str, nn.Parameter] = {}
        for name, module in self.modules.items():
            if now.get(name) is not module:
                inside = {f"{name}.{key}" for key, _ in module.named_parameters()}
                found |= {key: parameter for key, parameter in self.parameters.items() if key in inside}
        return found

    def restore(self) -> None:
        """Put everything back."""
        for module, attributes in self._attributes:
            vars(module).clear()
            vars(module).update(_copied(attributes))
        for tensor, data, requires_grad in self._tensors:
            tensor.data = data
            tensor.requires_grad_(requires_grad)
            tensor.grad = None
        if self._config is not None:
            vars(self._config).clear()
            vars(self._config).update(_copied(self._values))


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:  # Any: a module's attributes are of every kind
    """Return the attributes with containers copied, so that what is put into them later does not count."""
    return {key: value.copy() if isinstance(value, dict | set | list) else value for key, value in attributes.items()}
