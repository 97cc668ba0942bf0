"""The errors that a user can mend, and what each does to a run.

Every message says what came, what is allowed, and what to do next.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence

SMALL_FAMILY = 3
"""Methods of one family that a list of all names shows one by one; of a larger one it shows the first."""


class UserError(Exception):
    """What a user asked for cannot be done; found before any work, so the command line prints it and exits with 2."""


class MissingPrerequisite(UserError, RuntimeError):
    """Data, weights or a library that the run needs is not here; the message names the fix."""


class NoData(UserError, LookupError):
    """There is nothing to compare with; the message names what is missing."""


class NotApplicable(Exception):
    """This cell makes no sense (a budget under the floor, a task for another kind of backbone); not a failure."""


class NotSharded(NotApplicable):
    """This cell makes sense, but not with a backbone that several devices hold in pieces."""


class Diverged(Exception):
    """The loss or a score became NaN or infinite."""


class UnknownName(UserError, ValueError):
    """A name that nothing has; the message offers the nearest known ones, or lists them all."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        shown = _folded(names) if kind == "method" else names
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(shown[:40]) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}{f' in {where}' if where else ''}; {hint}")


class UnwritableFolder(UserError, PermissionError):
    """A folder that results should go to cannot be written."""

    def __init__(self, folder: object, error: OSError, option: str = "--out") -> None:
        super().__init__(
            f"the folder {folder} cannot be written ({error.strerror or error}); choose another with {option}"
        )


class StoppedEarly(UserError, RuntimeError):
    """A matrix was stopped while it ran, and not by a run; what is finished is kept. The command exits with 1."""

    def __init__(self, folder: object, error: OSError) -> None:
        super().__init__(
            f"stopped: {folder} cannot be written any more ({error.strerror or error}); what is finished is kept, so "
            f"make room there and give the same command again"
        )


def _folded(names: Sequence[str]) -> list[str]:
    """Return sorted names with one mention for each large family, whose names begin alike up to a slash."""
    sizes, shown = Counter(name.partition("/")[0] for name in names if "/" in name), dict[str, None]()
    for name in names:
        family, slash, _ = name.partition("/")
        large = slash and sizes[family] > SMALL_FAMILY
        shown.setdefault(f"{family}/... ({sizes[family]} of them)" if large else name)
    return list(shown)
