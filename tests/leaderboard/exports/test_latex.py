"""LaTeX tables."""

from __future__ import annotations

import re
from pathlib import Path

from leaderboard.downloads import downloads_of_method, downloads_of_task
from leaderboard.exports.latex import COLUMNS, latex, pages
from leaderboard.load import load_records
from leaderboard.sheet import Sheet
from leaderboard.site import Site
from leaderboard.tabulation import tabulate
from tests.leaderboard.making import Made, answers
from tests.leaderboard.small_board import write_small_board


def body(text: str) -> list[list[str]]:
    """Return the cells of all rows between the rules."""
    rows = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, flags=re.DOTALL)
    lines = [line for part in rows for line in part.splitlines() if line != r"\midrule"]
    return [line.removesuffix(r" \\").split(" & ") for line in lines]


def test_rows_hold_means_intervals_and_what_is_missing(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    text = latex(Sheet(section))
    found = {row[0]: row[1:] for row in body(text)}
    size, cola, sst2 = found[r"random\_mask 1 \%"]
    assert size == "227,132"
    assert re.match(r"89\.0 \{\\scriptsize \[\d\d\.\d,~9\d\.\d\]\}", sst2)
    assert re.match(r"0\.\d{3} \{\\scriptsize \[0\.\d{3},~0\.\d{3}\]\}", cola)
    assert found["full"] == ["---", "---", "diverged"]
    assert found["lora rank 8"][2].endswith(r"\textsuperscript{*}")  # one seed
    assert r"\textsuperscript{*} Not compared with others" in text
    assert r"{\footnotesize accuracy, \%}" in text


def test_many_tasks_make_several_tables_of_as_many_cells_as_columns(tmp_path: Path) -> None:
    tasks = [f"own/t{number}" for number in range(COLUMNS + 2)]
    Made(task=tasks[0], score=tasks, items={task: answers(10, 2) for task in tasks}).write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    text = latex(Sheet(section))
    columns = [len(found) for found in re.findall(r"\\begin\{tabular\}\{(l+rl+)\}", text)]
    assert columns == [2 + COLUMNS, 4]
    assert [len(row) for row in body(text)] == columns
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2


def test_names_of_strangers_are_no_commands(tmp_path: Path) -> None:
    made = Made(r"\input{x}", suite="50% & $x$", values={"a": "\n\\end{table}"}, items={"glue/sst2": answers(10, 2)})
    made.write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    text = latex(Sheet(section))
    assert r"\input" not in text
    assert text.count(r"\end{table}") == 1
    assert r"50\% \& \$x\$" in text
    assert len(body(text)) == 1


def test_letters_stand_beside_what_ranks_and_rules_part_the_budgets(tmp_path: Path) -> None:
    for seed in range(3):
        for method, wrong in {"random_mask": 5, "fish": 6, "pst": 60}.items():
            Made(method, seed=seed, items={"glue/sst2": answers(200, wrong + seed, seed)}).write(tmp_path)
        made = Made("full", trained=20_000_000, seed=seed, items={"glue/sst2": answers(200, 1 + seed, seed)})
        made.write(tmp_path)
    (section,) = tabulate(load_records([tmp_path]).runs, {}).sections
    text = latex(Sheet(section))
    letters = {row[0]: re.findall(r"\\textsuperscript\{([a-z]+)\}$", row[2]) for row in body(text)}
    assert letters == {r"random\_mask": ["a"], "fish": ["a"], "pst": ["b"], "full": []}
    assert text.count(r"\midrule") == 2


def test_tasks_and_methods_have_the_lines_and_columns_that_were_asked_for(tmp_path: Path) -> None:
    write_small_board(tmp_path)
    for seed in range(2):
        made = Made("full", suite="another", task="own/t", trained=9, seed=seed, items={"own/t": answers(10, 2)})
        made.write(tmp_path)
    found = {page.path: str(page.content) for page in pages(Site.of(load_records([tmp_path])))}
    of_task = found[dict(downloads_of_task("glue/cola"))["LaTeX"]]
    assert [row[0] for row in body(of_task)] == ["head\\_only", r"random\_mask 0.01 \%", r"random\_mask 1 \%"]
    assert {len(row) for row in body(of_task)} == {3}
    assert of_task.count(r"\midrule") == 2
    of_method = found[dict(downloads_of_method("random_mask"))["LaTeX"]]
    assert [len(row) for row in body(of_method)] == [4, 4]
    full = found[dict(downloads_of_method("full"))["LaTeX"]]
    assert re.findall(r"\\begin\{tabular\}\{(\w+)\}", full) == ["lrl", "lrl"]
    assert [row[2][:8] for row in body(full)] == ["80.0 {\\s", "diverged"]
