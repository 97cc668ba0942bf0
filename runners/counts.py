"""Counts: how many scalars a run would train, from the shapes of its backbone alone."""

from __future__ import annotations

import json
from functools import cache

from harness.backbone import BackboneFiles
from harness.spec import Spec

# What a run starts from is decided there, and its code belongs to the provenance of records: it is asked, not changed.
from runners.prepare import _configured, _shapes


def trained(spec: Spec, files: BackboneFiles) -> int:
    """Return the trained scalars outside the head.

    Raises:
        NotApplicable, ValueError: as planning the run does.
    """
    # Seeds and training values move no count, and thousands of runs of a search differ in nothing else.
    same = {"seed": 0, "training": type(spec.training)(), "purpose": "final"}
    return _trained(spec.model_copy(update=same).canonical(), files)


@cache
def _trained(canonical: str, files: BackboneFiles) -> int:
    spec = Spec.model_validate_json(canonical)
    model, head = _shapes(files, spec.protocol, spec.train, json.dumps(spec.options, sort_keys=True))
    method, plan = _configured(spec, model, head)
    return method.count(model, plan)
