"""All figures of a site: stable names and colours, each drawn once, and a limit to what Altair draws."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard import gallery, plain, svg
from leaderboard.gallery import CROWD, uncrowded
from leaderboard.load import load_records
from leaderboard.marks import Drawing, Point, Series
from leaderboard.page import build_board
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers, card
from tests.leaderboard.small_board import write_small_board

COMPLETE = card("glue/sst2") | {"source": {"splits": {"validation": "validation"}}, "sizes": {"evaluation": 40}}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return the small board and a second section that shares two of its methods."""
    write_small_board(tmp_path)
    for method in ("lora", "zebra"):
        for seed in range(2):
            made = Made(method, suite="other", seed=seed, spec={"data_seed": 7})
            made.items = {made.task: answers(30, 3 + seed, seed)}
            made.write(tmp_path)
    return Site.of(load_records([tmp_path]))


def test_a_method_has_one_colour_and_shape_on_all_pages(site: Site) -> None:
    looks: dict[str, set[tuple[str, str]]] = {}
    for section in site.sections:
        for series in site.gallery.key(section):
            looks.setdefault(series.name.split()[0], set()).add((series.colour, series.shape))
    assert set(looks) == {"head_only", "lora", "random_mask", "zebra"}
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == 4


def test_names_are_unique_and_fit_for_files(site: Site) -> None:
    names = [figure.name for figure in site.gallery.every()]
    assert len(names) == len(set(names)) == 5
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in names)


def test_a_task_s_figure_is_that_of_its_section_and_is_drawn_once(site: Site) -> None:
    section = next(one for one in site.sections if one.ground.suite == "small")
    for column in section.columns:
        figure = site.gallery.task_figure(section, column)
        assert figure in site.gallery.figures(section)
        assert figure.svg is figure.svg
        assert figure.title == column.task
    assert site.gallery.method_figures("random_mask")
    assert site.gallery.method_figures("lora") == ()


def test_figures_beyond_the_limit_are_drawn_from_the_template(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MOST", 2)
    figures = list(Site.of(site.loaded).gallery.every())
    assert [figure.by_altair for figure in figures] == [True, True, False, False, False]
    for figure in figures:
        draw = svg.drawn if figure.by_altair else plain.drawn
        assert figure.svg == svg.inline(draw(figure.specification), figure.drawing.title)
        kinds = [label for label, _ in figure.downloads]
        assert kinds == (["SVG", "PNG"] if figure.by_altair else ["SVG"])
        assert len(list(figure.files())) == len(kinds)


def test_a_page_has_room_for_some_figures_and_at_least_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    section = next(one for one in site.sections if one.ground.suite == "small")
    assert site.gallery.fitting(section) == site.gallery.figures(section)
    monkeypatch.setattr(gallery, "ROOM", 10)
    assert site.gallery.fitting(section) == site.gallery.figures(section)[:1]


def test_a_task_without_a_number_has_no_drawing(tmp_path: Path) -> None:
    Made("lora", status="cancelled").write(tmp_path)
    (figure,) = Site.of(load_records([tmp_path])).gallery.every()
    assert not figure.is_drawn
    assert figure.svg == ""


@pytest.mark.parametrize(("num_marks", "bars"), [(CROWD, True), (CROWD + 1, False)])
def test_very_many_marks_stand_without_bars_and_the_text_says_so(num_marks: int, bars: bool) -> None:
    points = tuple(Point(10.0 + n, 1.0, 0.5, 1.5, False, False) for n in range(num_marks))
    line = Series("base", 1, (Point(0, 1.0, 0.5, 1.5, False, False),), True)
    drawing, words = uncrowded(Drawing("t", "x", "y", (Series("one", 0, points), line)))
    assert all((point.low is not None) is bars for point in drawing.series[0].points)
    assert drawing.series[1] == line
    assert bool(words) is not bars


def test_the_key_says_what_a_double_ring_is_where_there_is_one(tmp_path: Path) -> None:
    for folder, backbone in (("plain", "package:tiny/model"), ("known", "roberta-base")):
        made = Made(backbone=backbone, cards={"glue/sst2": COMPLETE})
        made.items = {made.task: answers(40, 4)}
        made.write(tmp_path / folder)
        build_board([tmp_path / folder], tmp_path / f"site_{folder}")
    said = {
        path.parent.name: "a number that a paper reports" in path.read_text("utf-8")
        for path in tmp_path.glob("*/index.html")
    }
    assert said == {"site_plain": False, "site_known": True}
