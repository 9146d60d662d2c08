"""Charts as inline SVG, drawn by leather. Colours and fonts are the page's style sheet's, which knows light and dark.

Invariant: labels are visible characters on one line; leather builds the SVG as a tree of elements, so no label can be
one. What is drawn has no script, no style element and no address.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import leather
from leather import theme

from crawler.archive.audit.model import Chart, Point, Shape
from crawler.output.figures import amount
from crawler.output.safe_text import printable

_WIDTH = 420  # about that of a phone, so that nothing has to shrink there
_HEIGHT = 190
_BAR, _AXIS = 30, 28  # the height of a bar, and what is above and below all of them
_MAX_LABEL = 30  # cells
_FORMATS = ((600.0, "%H:%M:%S"), (86400.0, "%H:%M"), (400 * 86400.0, "%d %b"))  # of a moment in such a span (seconds)
_LONG_FORMAT = "%b %Y"

# Leather leaves room for its labels by these; it thinks of a broad font.
theme.margin = 0.02
theme.tick_font_size, theme.tick_font_char_height, theme.tick_font_char_width = 11, 12, 6


def draw(chart: Chart) -> str:
    """The chart as an `svg` element, which says in words what it shows."""
    drawn = leather.Chart()
    height = _AXIS + _BAR * len(chart.points) if chart.shape is Shape.BARS else _HEIGHT
    _DRAWN[chart.shape](drawn, chart.points)
    words = f"{chart.title}: {', '.join(f'{label} {amount(int(value))}' for label, value in labelled(chart))}"
    svg = ET.Element("svg", {"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "aria-label": words})
    svg.append(drawn.to_svg_group(_WIDTH, height))
    return ET.tostring(svg, encoding="unicode")


def labelled(chart: Chart) -> list[tuple[str, float]]:
    """The points, with labels as people read them."""
    if chart.shape is not Shape.LINE:
        return [(printable(str(label), _MAX_LABEL), value) for label, value in chart.points]
    first, last = float(chart.points[0][0]), float(chart.points[-1][0])
    return [(_moment(float(label), last - first), value) for label, value in chart.points]


def _draw_bars(drawn: Any, points: Sequence[Point]) -> None:
    """The value stands behind the label, so the axis need not say it."""
    bars = [(value, f"{printable(str(label), _MAX_LABEL)}  {amount(int(value))}") for label, value in points]
    drawn.add_bars(bars)
    drawn.add_x_scale(0, max(1, *(value for value, _label in bars)))
    drawn.add_x_axis(ticks=[0], tick_formatter=lambda _value, _place, _number: "")


def _draw_columns(drawn: Any, points: Sequence[Point]) -> None:
    drawn.add_columns([(printable(str(label), _MAX_LABEL), value) for label, value in points])
    _draw_height(drawn, points)


def _draw_line(drawn: Any, points: Sequence[Point]) -> None:
    """Over the seconds since the first point."""
    first = float(points[0][0])
    curve = [(float(label) - first, value) for label, value in points]
    span = curve[-1][0]
    drawn.add_line(curve)
    drawn.add_x_scale(0, span)
    drawn.add_x_axis(
        ticks=[0, span / 2, span], tick_formatter=lambda value, _place, _number: _moment(first + float(value), span)
    )
    _draw_height(drawn, points)


def _draw_height(drawn: Any, points: Sequence[Point]) -> None:
    highest = max(1, *(value for _label, value in points))
    drawn.add_y_scale(0, highest)
    ticks = [0, highest] if highest < 2 else [0, highest // 2, highest]
    drawn.add_y_axis(ticks=ticks, tick_formatter=lambda value, _place, _number: amount(int(value)))


def _moment(time_s: float, span_s: float) -> str:
    form = next((form for longest, form in _FORMATS if span_s < longest), _LONG_FORMAT)
    return datetime.fromtimestamp(time_s, tz=UTC).astimezone().strftime(form)


_DRAWN = {Shape.BARS: _draw_bars, Shape.COLUMNS: _draw_columns, Shape.LINE: _draw_line}
