"""``cell.json``: one search with its trials, what they chose, and the finals; made from records, to be read by people.

It lies at ``OUT/cells/<search>/cell.json``. Nothing reads it back: removed, the next run of the suite writes it anew.
"""

from __future__ import annotations

import json
import os
from typing import Any

from runners.plan import Plan
from runners.search import bill
from runners.trials import Progress, Stage

CELLS, CELL_FILE = "cells", "cell.json"


def write_cells(planned: Plan) -> None:
    """Write the file of every search of a plan that is not there, or holds something else."""
    for one, stage in planned.agenda.searches():
        path = planned.agenda.out / CELLS / one.search.id / CELL_FILE
        text = json.dumps(cell(planned, one, stage), indent=1, sort_keys=True) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{CELL_FILE}.{os.getpid()}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def cell(planned: Plan, one: Progress, stage: Stage) -> dict[str, Any]:  # Any: JSON
    """Return what the records say of a search."""
    first = one.search.finals[0]
    finals = []
    for asked in one.search.finals:
        chosen = one.final(asked, stage)
        run = planned.agenda.run(chosen) if chosen else None
        finals.append(
            {
                "run_id": chosen.run_id if chosen else None,
                "budget": str(asked.budget) if asked.budget else None,
                "seed": asked.seed,
                "status": run.record.status if run and run.record else None,
                "attempt": run.record.attempt if run and run.record else None,
            }
        )
    shown = {"backbone", "method", "values", "targets", "train", "score", "protocol", "policy"}
    return {
        "cell": first.model_dump(mode="json", include=shown),
        "finals": finals,
        "reason": one.reason(first, stage) if stage.problem else None,
        "search": bill(one, stage),
    }
