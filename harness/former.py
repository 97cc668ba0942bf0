"""Former: what some of lm-eval's tasks import from transformers 4, for a transformers that no longer has it.

Nine families of tasks of lm-eval 0.4.13, ReCoRD and CoQA among them, compare answers by two functions of
``transformers.data.metrics.squad_metrics``, which transformers 5 dropped. Ours stand in under that name, and only where
the import would fail: exact match and F1 of SQuAD's official script, for one prediction and one reference.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from harness.metrics.squad import best_token_f1, exact

PACKAGE = "transformers.data.metrics"


def stand_in() -> None:
    """Let tasks that need the functions import them."""
    if PACKAGE in sys.modules or importlib.util.find_spec(PACKAGE) is not None:
        return
    package, module = ModuleType(PACKAGE), ModuleType(f"{PACKAGE}.squad_metrics")
    package.__path__ = []
    module.compute_exact = _exact  # type: ignore[attr-defined]  # a module is given its functions
    module.compute_f1 = _f1  # type: ignore[attr-defined]  # as above
    package.squad_metrics = module  # type: ignore[attr-defined]  # as above
    sys.modules |= {PACKAGE: package, module.__name__: module}


def _exact(first: str, second: str) -> int:
    return int(exact(first, [second]))


def _f1(first: str, second: str) -> float:
    return best_token_f1(first, [second])
