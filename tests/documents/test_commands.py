"""Claims about the commands of documents: each is found as it stands, and executed unless a reason is named."""

from __future__ import annotations

import re
import shlex

import pytest

from harness.registry import ROOT
from tests.documents.commands import Command, commands, plan

README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = """# Title
```sh
paretune list methods      # a remark
# a remark alone

paretune run quick \\
    --only seed=0
```
```python
print("no command")
```
```sh
echo 'a#b' && true
```
"""


def test_commands_are_found_with_their_lines_and_without_remarks() -> None:
    assert list(commands(TEXT)) == [
        Command(3, "paretune list methods"),
        Command(6, "paretune run quick --only seed=0"),
        Command(13, "echo 'a#b' && true"),
    ]


def test_every_command_of_the_readme_is_executed_or_has_a_reason() -> None:
    found = list(commands(README))
    plans = {command: plan(command, "/mirror", "0123") for command in found}
    assert len(found) == sum(
        1 for block in re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        for line in block.splitlines() if line.strip() and not line.startswith("#")
    )  # fmt: skip
    assert all(bool(planned.run) != bool(planned.reason) for planned in plans.values())
    assert sum(bool(planned.run) for planned in plans.values()) >= 10
    unknown = [command.text for command, planned in plans.items() if "no rule" in planned.reason]
    assert not unknown
    assert all(shlex.split(planned.run) for planned in plans.values() if planned.run)


@pytest.mark.parametrize(
    ("text", "mirror", "run", "reason"),
    [
        ("paretune show RUN_ID", None, "paretune show 0123", ""),
        ("paretune export RUN_ID DIR", None, "paretune export 0123 made", ""),
        ("paretune plan glue_minilm --mirror DIR", "/m", "paretune plan glue_minilm --mirror /m", ""),
        ("paretune plan glue_minilm --mirror DIR", None, "", "PARETUNE_MIRROR names none"),
        ("python -m pip install . && paretune doctor", None, "", "changes the environment"),
        ("python -m pip install tox && tox", None, "", "changes the environment"),
        ("tox -e quick", None, "", "these checks"),
        ("paretune mirror glue_minilm DIR", "/m", "", "a network"),
        ("paretune board RECORDS", None, "", "RECORDS stands for something"),
        ("paretune compare BASE NEW", None, "", "needs two folders"),
    ],
)
def test_placeholders_are_filled_and_what_cannot_run_is_named(
    text: str, mirror: str | None, run: str, reason: str
) -> None:
    planned = plan(Command(1, text), mirror, "0123")
    assert planned.run == run
    assert reason in planned.reason


def test_commands_that_take_long_are_made_smaller() -> None:
    assert plan(Command(1, "paretune bench"), None, "0").run.startswith("paretune bench --backbone tiny:")
    assert "--set seeds=[0]" in plan(Command(1, "paretune run quick"), None, "0").run
    assert plan(Command(1, "paretune run-one a b"), None, "0").run == "paretune run-one a b"
