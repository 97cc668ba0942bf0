"""The picker of sections."""

from __future__ import annotations

from leaderboard.cells import Ground, Section
from leaderboard.picker import backbone, picker

GROUND = Ground("glue", "hub:org/small", "classify", "held_out", "", 0)


def section(**facts: object) -> Section:
    return Section(GROUND._replace(**facts), (), (), (), ())  # type: ignore[arg-type]


def lines(shown: Section, sections: list[Section]) -> dict[str, list[tuple[str, str, bool]]]:
    places = {one: f"{number}.html" for number, one in enumerate(sections)}
    found = picker(shown, places, lambda one: len(one.ground.backbone))
    return {facet.name: [tuple(choice) for choice in facet.choices] for facet in found}


def test_each_line_offers_what_is_left_after_the_lines_above() -> None:
    sections = [
        section(),
        section(backbone="hub:org/large"),
        section(backbone="hub:org/large", policy="as_published"),
        section(suite="squad", protocol="span"),
    ]
    found = lines(sections[2], sections)
    assert found["Suite"] == [("glue", "2.html", True), ("squad", "3.html", False)]
    assert found["Backbone"] == [("large", "2.html", True), ("small", "0.html", False)]
    assert found["Protocol"] == [("classify, as published", "2.html", True), ("classify, held out", "1.html", False)]
    assert lines(sections[3], sections).keys() == {"Suite"}


def test_a_choice_leads_to_the_section_most_like_this_one_then_to_the_largest() -> None:
    sections = [section(), section(suite="squad", backbone="hub:org/a-longer-name"), section(suite="squad")]
    assert lines(sections[0], sections)["Suite"][1] == ("squad", "2.html", False)
    other = [section(backbone="hub:x"), *sections[1:]]
    assert lines(other[0], other)["Suite"][1] == ("squad", "1.html", False)


def test_one_section_leaves_nothing_to_choose() -> None:
    assert lines(section(), [section()]) == {}


def test_backbones_that_end_alike_are_said_whole() -> None:
    sections = [section(), section(backbone="hub:other/small")]
    assert [text for text, _, _ in lines(sections[0], sections)["Backbone"]] == ["hub:org/small", "hub:other/small"]
    assert backbone(GROUND._replace(backbone="package:minilm/model")) == "minilm"
    assert backbone(GROUND._replace(backbone="tiny:llama@64x2")) == "llama@64x2"
