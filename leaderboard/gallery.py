"""All figures of a site: which there are, what each is called, and which are drawn by Altair.

Index, task and method pages ask ``site.gallery``; a figure is made when something of it is first asked for, once, and
the same on every page. The first ``MOST`` figures are drawn by Altair, in a fixed order; a site with more draws the
others from a template (``leaderboard.plain``), which takes a hundredth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup

from leaderboard import figures, paths, plain, svg
from leaderboard.cells import Section
from leaderboard.chart import Specification, specification
from leaderboard.columns import Column
from leaderboard.marks import Drawing, Series
from leaderboard.methodfigures import Plan, method_plans, runs_by_method
from leaderboard.surroundings import surroundings
from leaderboard.wording import Sentence, summary

if TYPE_CHECKING:
    from leaderboard.site import Site

MOST = 60
"""Figures that Altair draws for one site; each costs about 60 ms."""
FOLDER = "charts"
ROOM = 300_000
"""Bytes of drawings on one page that also holds a table; further charts stand on the pages of their tasks."""
CROWD = 120
"""Marks beyond which a chart has no bars, as they would cover each other, and is drawn from the template."""


@dataclass(frozen=True, eq=False)
class Figure:
    """One chart and its words."""

    name: str
    """Of its files below ``charts/``, and of its element in a page."""
    title: str
    column: Column | None
    """The task that it shows; None where it shows several."""
    by_altair: bool
    make: Callable[[], tuple[Drawing, tuple[Sentence, ...]]]

    @cached_property
    def _made(self) -> tuple[Drawing, tuple[Sentence, ...]]:
        return self.make()

    @property
    def drawing(self) -> Drawing:
        """What it shows."""
        return self._made[0]

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """What it shows, in words."""
        return self._made[1]

    @property
    def is_drawn(self) -> bool:
        """Whether there is anything to draw."""
        return not self.drawing.is_empty

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its marks that a key has to explain; none where nothing is drawn."""
        return self.drawing.kinds if self.is_drawn else ()

    @cached_property
    def specification(self) -> Specification:
        """The Vega-Lite specification, with marker colours; the figure must not be empty."""
        return specification(self.drawing)

    @cached_property
    def _drawn(self) -> str:
        return svg.drawn(self.specification) if self.by_altair else plain.drawn(self.specification)

    @cached_property
    def svg(self) -> Markup:
        """The drawing as an element of a page; empty where there is nothing to draw."""
        if not self.is_drawn:
            return Markup("")
        return Markup(svg.inline(self._drawn, self.drawing.title))  # our own drawing, names escaped

    @property
    def interactive(self) -> str:
        """Path of its data for the interactive chart, from the site's folder."""
        return f"{FOLDER}/{self.name}.js"

    @property
    def downloads(self) -> tuple[tuple[str, str], ...]:
        """Labels and paths of the drawing as files, from the site's folder; the figures of Altair come as PNG too."""
        kinds = ("SVG", "PNG") if self.by_altair else ("SVG",)
        return tuple((kind, f"{FOLDER}/{self.name}.{kind.lower()}") for kind in kinds)

    def files(self) -> Iterator[str | bytes]:
        """Yield the content of each download."""
        file = svg.standalone(self._drawn, self.drawing.title)
        yield file
        if self.by_altair:
            yield svg.png(file)


class Gallery:
    """The figures of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Method to the number that decides its colour and shape on all pages."""
        return {method: number for number, method in enumerate(self._site.methods)}

    def key(self, section: Section) -> Sequence[Series]:
        """Return the series of a section, for the key above its charts."""
        return figures.key(section, self.numbers)

    def figures(self, section: Section) -> tuple[Figure, ...]:
        """Return a figure for each task of a section, by task."""
        return self._by_section[section.ground]

    def fitting(self, section: Section) -> tuple[Figure, ...]:
        """Return the first figures of a section, as many as one page has room for and at least one.

        Every other figure stands on the page of its task.
        """
        kept: list[Figure] = []
        taken = 0
        for figure in self.figures(section):
            taken += len(figure.svg)
            if kept and taken > ROOM:
                break
            kept.append(figure)
        return tuple(kept)

    def task_figure(self, section: Section, column: Column) -> Figure:
        """Return the figure of one task of a section: the very one that its index page shows."""
        return next(one for one in self.figures(section) if one.column == column)

    def method_figures(self, method: str) -> tuple[Figure, ...]:
        """Return a method's curves over its budgets, and its scores against the learning rate, by section."""
        return self._by_method[method]

    def every(self) -> Iterator[Figure]:
        """Yield all figures in the order in which Altair draws them."""
        for group in (*self._by_section.values(), *self._by_method.values()):
            yield from group

    @cached_property
    def _by_section(self) -> Mapping[object, tuple[Figure, ...]]:
        found: dict[object, tuple[Figure, ...]] = {}
        number = 0
        for section in self._site.sections:
            group = []
            for column in section.columns:
                name = f"{stem(section)}--{paths.slug(column.task)}"
                by_altair = number < MOST and len(section.rows) <= CROWD
                group.append(Figure(name, column.task, column, by_altair, _task_maker(self, section, column)))
                number += 1
            found[section.ground] = tuple(group)
        return found

    @cached_property
    def _by_method(self) -> Mapping[str, tuple[Figure, ...]]:
        number = sum(map(len, self._by_section.values()))
        found: dict[str, tuple[Figure, ...]] = {}
        runs = runs_by_method(self._site.runs)
        for method in self._site.methods:
            group = []
            for place, plan in enumerate(method_plans(self._site.sections, runs, method)):
                name = f"{paths.slug(method)}--{stem(plan.section)}-{place}"
                group.append(Figure(name, plan.title, None, number < MOST, _plan_maker(plan)))
                number += 1
            found[method] = tuple(group)
        return found


def stem(section: Section) -> str:
    """Return a name for the files of a section."""
    return paths.board(section.ground).removeprefix("boards/").removesuffix(".html")


def _task_maker(
    gallery: Gallery, section: Section, column: Column
) -> Callable[[], tuple[Drawing, tuple[Sentence, ...]]]:
    def make() -> tuple[Drawing, tuple[Sentence, ...]]:
        drawing = figures.task_drawing(section, column, gallery.numbers)
        drawing, further = surroundings(drawing, section, column, gallery.numbers)
        drawing, left_out = uncrowded(drawing)
        return drawing, (*summary(section, column), *further, *left_out)

    return make


def uncrowded(drawing: Drawing) -> tuple[Drawing, tuple[Sentence, ...]]:
    """Return a drawing without bars where its marks are very many, and the words that say so."""
    num_marks = sum(len(one.points) for one in drawing.series if not one.reference)
    if num_marks <= CROWD:
        return drawing, ()
    bare = tuple(
        one
        if one.reference
        else one._replace(points=tuple(point._replace(low=None, high=None) for point in one.points))
        for one in drawing.series
    )
    words = f"left out, as {num_marks:,} marks stand here; the table has every interval."
    return drawing._replace(series=bare), (Sentence("Bars", words),)


def _plan_maker(plan: Plan) -> Callable[[], tuple[Drawing, tuple[Sentence, ...]]]:
    return lambda: (plan.drawing(), plan.sentences)
