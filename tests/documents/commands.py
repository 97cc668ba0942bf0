"""Commands: those in the fenced ``sh`` blocks of a document, and what is done with each so that it runs anywhere.

A command is executed as it is written, in a scratch folder that holds a few runs of a tiny backbone, unless a rule says
why not. So a command that somebody adds to the README is executed from that day on, and one that cannot be is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """One line of a block."""

    line: int
    """Its number in the document, from 1."""
    text: str
    """Without the remark behind it."""


class Rule(NamedTuple):
    """What stands in the way of a command."""

    pattern: str
    """Found in commands that it is about."""
    reason: str


NEVER = (
    Rule(r"\bpip install\b", "changes the environment that it runs in"),
    Rule(r"\btox\b", "runs these checks themselves"),
    Rule(r"^paretune (mirror|publish)\b", "needs a network"),
    Rule(r"^paretune submission\b", "needs kept finals of every task of a benchmark"),
    Rule(r"^paretune compare BASE NEW$", "needs two folders of records"),
)
"""Commands that are executed nowhere."""
PLACEHOLDERS = {"DIR": "the mirror, or a new folder", "RUN_ID": "a run of the scratch folder"}
SMALLER: Mapping[str, str] = {
    r"^paretune run \S+": " --set seeds=[0] --set methods=[base,head_only] --set sizes.train=32"
    " --set sizes.validation=16 --set sizes.test=32 --set training.epochs=1 --out out/smaller --workers 1",
    r"^paretune bench\b": " --backbone tiny:bert@64x2 --batch 2 --length 16",
    r"^paretune regression$": " --only exact/metrics --only exact/pages",
}
"""Options that are added to commands which take hours or minutes as they stand."""


class Plan(NamedTuple):
    """What is done with a command."""

    run: str
    """What is executed; empty where nothing is."""
    reason: str = ""
    """Why it is not."""


def commands(document: str) -> Iterator[Command]:
    """Yield every command of a document's ``sh`` blocks; a line that ends with a backslash goes on in the next."""
    for block in FENCE.finditer(document):
        first = document.count("\n", 0, block.start(1)) + 1
        text, began = "", first
        for number, line in enumerate(block[1].splitlines(), start=first):
            began = began if text else number
            text += re.sub(r"(^|\s)#.*$", "", line).rstrip()
            if text.endswith("\\"):
                text = text[:-1]
                continue
            if text.strip():
                yield Command(began, " ".join(text.split()))
            text = ""


def plan(command: Command, mirror: str | None, run_id: str, folder: str = "made") -> Plan:
    """Return what is executed for a command, or why nothing is.

    Args:
        command: as the document has it.
        mirror: a local copy of the data; none where there is none.
        run_id: of a run in the scratch folder.
        folder: a folder that commands may make.
    """
    text = command.text
    for rule in NEVER:
        if re.search(rule.pattern, text):
            return Plan("", rule.reason)
    if re.search(r"--mirror DIR\b", text):
        if mirror is None:
            return Plan("", "needs the mirror of real data; PARETUNE_MIRROR names none")
        text = re.sub(r"--mirror DIR\b", f"--mirror {mirror}", text)
    text = re.sub(r"\bRUN_ID\b", run_id, re.sub(r"\bDIR\b", folder, text))
    for pattern, more in SMALLER.items():
        text += more if re.search(pattern, text) else ""
    left = re.search(r"(?<![\w/.=])[A-Z][A-Z_]{2,}\b", text)
    return Plan("", f"{left[0]} stands for something that no rule of {__name__} knows") if left else Plan(text)
