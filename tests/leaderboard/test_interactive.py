"""What the interactive chart gets: the same marks, an axis that moves, and a script that no text can end."""

from __future__ import annotations

import json
import re

from leaderboard.chart import specification
from leaderboard.interactive import bundle, data, movable
from leaderboard.svg import drawn
from tests.leaderboard.test_chart import CURVE, EVERYTHING

SPECIFICATION = specification(EVERYTHING)


def test_at_first_it_shows_what_the_drawing_shows() -> None:
    def marks(text: str) -> list[str]:
        return sorted(re.findall(r'transform="translate\([^)]*\)" d="[^"]*"', text))

    assert marks(drawn(movable(SPECIFICATION))) == marks(drawn(SPECIFICATION))
    assert len(marks(drawn(SPECIFICATION))) >= 8


def test_the_axis_moves_with_its_ends_and_the_drawing_s_own_specification_stays() -> None:
    before = json.dumps(SPECIFICATION)
    chart = movable(SPECIFICATION)
    assert json.dumps(SPECIFICATION) == before
    x = chart["layer"][0]["encoding"]["x"]
    assert x["scale"]["domainMin"] == {"expr": "low"}
    ends = {one["name"]: one["value"] for one in chart["params"]}
    assert [ends["low"], ends["high"]] == SPECIFICATION["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert all(layer["mark"]["clip"] for layer in chart["layer"][1:])


def test_every_layer_with_names_can_be_faded() -> None:
    faded = {layer["data"]["name"] for layer in movable(SPECIFICATION)["layer"] if "opacity" in layer["encoding"]}
    assert faded == {"references", "levels", "lines", "bars", "dashed", "quoted", "filled", "hollow", "texts"}


def test_the_data_script_is_one_plain_call() -> None:
    hostile = EVERYTHING._replace(series=(CURVE._replace(name="</script><!-- \u2028 \U0001f600"),))
    text = data("some--name", specification(hostile))
    assert text.isascii()
    assert "<" not in text
    call = re.fullmatch(r"paretuneChart\((\"[^\"]*\"), (\{.*\})\);\n", text)
    assert call
    content = json.loads(call[2])
    assert json.loads(call[1]) == "some--name"
    assert content["colours"]["#0a0b00"] == "--series-1"
    assert "</script><!-- \u2028 \U0001f600" in {row["name"] for row in content["spec"]["datasets"]["filled"]}


def test_the_bundle_is_one_script_that_loads_nothing() -> None:
    text = bundle()
    assert 500_000 < len(text) < 1_200_000
    assert "window.vegaEmbed" in text
    assert not re.search(r"^\s*(import|export)\b", text, re.MULTILINE)
    assert bundle() is text
