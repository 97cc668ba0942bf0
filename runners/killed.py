"""Whether the kernel killed something for want of memory: a worker that it kills says nothing of that itself."""

from __future__ import annotations

from pathlib import Path

COUNTERS = Path("/proc/vmstat")


def memory_kills() -> int:
    """Return how often the kernel killed a process since the machine started because memory ran out.

    Returns:
        The count, of all groups of processes; 0 where the kernel keeps none.
    """
    try:
        lines = COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
