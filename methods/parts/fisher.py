"""Fisher masks: what methods share whose masks are the scalars of largest Fisher information in some training rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field
from torch import Tensor, nn

from harness.method import Plan, Samples
from methods.parts.masking import MaskConfig, Masking


class FisherConfig(MaskConfig):
    """A size, the rows that are scored, and whether that is done again."""

    samples: int = Field(default=1024, ge=1, description="training rows that are scored; all, where there are fewer")
    charge_head: bool = Field(default=False, description="the size includes the head, as in the paper")
    reselect: bool = Field(default=False, description="choose anew before every epoch but the first")


class FisherMask(Masking):
    """The base of masks that look at training rows; a subclass chooses in ``calibrate``, and again if asked to."""

    Config = FisherConfig
    config: FisherConfig

    def total(self, model: nn.Module, plan: Plan) -> int:
        return plan.total + self.charged(model, plan)

    def charged(self, model: nn.Module, plan: Plan) -> int:
        return num_head(model, plan) if self.config.charge_head else 0

    def calibrate(self, model: nn.Module, samples: Samples) -> None:
        """Keep what later choices need."""
        self._model, self._samples, self._num_rows = model, samples, len(samples)

    def keeps(self, values: Tensor) -> bool:
        # The optimiser is given its parameters once, and any tensor may be selected from later.
        return self.config.reselect or super().keeps(values)

    def exchanged(self, before: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what ``before_epoch`` does, for the positions that a part's scalars had before."""
        return {f"{name}@values": positions for name, positions in before.items()}

    def notes(self) -> tuple[str, ...]:
        asked, had = self.config.samples, self._num_rows
        return (f"{asked} samples were asked for, the training set has {had}: all were scored",) if asked > had else ()

    def remove(self, model: nn.Module) -> None:
        super().remove(model)
        for kept in ("_model", "_samples"):  # both hold the model, and are there only once calibrated
            self.__dict__.pop(kept, None)

    def true_losses(self) -> Iterator[tuple[Tensor, float, bool]]:
        """Yield the loss of each scored row by itself against its own label, as ``scores.accumulate`` takes it."""
        for batch in self._samples.batches(self.config.samples):
            yield self._samples.loss(batch), 1.0, False


def num_head(model: nn.Module, plan: Plan) -> int:
    """Return the number of scalars of the head."""
    return sum(parameter.numel() for name, parameter in model.named_parameters() if name in plan.head)
