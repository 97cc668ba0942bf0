"""The validation curve of a run."""

from __future__ import annotations

import pytest

from leaderboard.curve import HEIGHT, WIDTH, plot


def test_a_line_spans_the_plot_and_breaks_where_it_is_unknown() -> None:
    found = plot([1, 2, 3, 4, 5], {"loss": [1.0, 0.5, None, 0.25, 0.5]})
    assert found is not None
    (line,) = found.lines
    assert [len(piece.split()) for piece in line.pieces] == [2, 2]
    assert len(line.dots) == 4
    heights = [float(y) for _, y in line.dots]
    assert heights[0] == min(heights)
    assert all(0 < height < HEIGHT for height in heights)
    assert all(0 < float(x) < WIDTH for x, _ in line.dots)
    assert [label for _, label in found.heights] == ["0.25", "1"]
    assert [label for _, label in found.epochs] == ["1", "2", "3", "4", "5"]


def test_one_epoch_and_equal_values_are_a_dot() -> None:
    found = plot([1], {"accuracy": [0.5]})
    assert found is not None
    assert found.lines[0].pieces == ()
    assert len(found.lines[0].dots) == len(found.heights) == 1


def test_unknown_throughout_is_no_plot() -> None:
    assert plot([1, 2], {"accuracy": [None, None]}) is None
    assert plot([], {}) is None


def test_the_drawing_has_every_line_and_dot_in_a_colour_of_its_own() -> None:
    found = plot([1, 2, 3], {"a": [1.0, 0.5, None], "b": [None, 2.0, 3.0]})
    assert found is not None
    assert found.marks.count("<polyline") == 2
    assert found.marks.count("<circle") == 4
    assert found.marks.index('class="line-1"') < found.marks.index('class="line-2"')


def test_the_labels_of_the_axis_fit_beside_it() -> None:
    for values in ([7.58e-5, 1.4], [1.234e-12, 123_456.0], [0.00012345, 1e7]):
        found = plot([1, 2], {"loss": values})
        assert found is not None
        assert [float(label) for _, label in found.heights] == pytest.approx(values, rel=0.35)
        assert all(len(label) <= 6 for _, label in found.heights)
