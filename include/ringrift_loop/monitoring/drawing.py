"""A dashboard as one SVG picture, each panel drawn from what Prometheus answers to its queries.

For who has no Grafana, and for the documentation's pictures. The places of the panels are those of `grafana.py`.
"""

from __future__ import annotations

import math
import re
import textwrap
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

from ringrift_loop.json_value import JsonValue
from ringrift_loop.monitoring.grafana import Annotation, Dashboard, Panel, Query, Row, Table, places
from ringrift_loop.text import clean, span

Ask = Callable[[str], JsonValue]
"""Answers a path of Prometheus' API, such as `query?query=up`, with the `data` of its answer."""

_CELL = (52, 32)  # a cell of Grafana's grid, px
_POINTS = 180
_INK, _GREY, _FAINT, _PAPER = "#1f2328", "#6e7781", "#d8dee4", "#ffffff"
_LINES = ("#2f6fde", "#d9822b", "#2f9e5f", "#b8458f", "#7a5bd0", "#c2413a", "#3b9fb5", "#8a7a2a")
_COLORS = {"green": "#2f9e5f", "yellow": "#c99a1b", "red": "#c2413a", "blue": "#2f6fde"}


@dataclass(frozen=True)
class _Series:
    """One line of a graph."""

    name: str
    points: tuple[tuple[float, float], ...]
    """UTC seconds and value, in the order of time."""


@dataclass(frozen=True)
class _Box:
    """Where a panel may draw, px."""

    x: float
    y: float
    width: float
    height: float


def draw(dashboard: Dashboard, ask: Ask, *, end: float, span_s: float) -> str:
    """The picture.

    Args:
        dashboard: what is drawn.
        ask: Prometheus.
        end: the latest time of the graphs, UTC seconds.
        span_s: how much time they show, s.
    """
    parts: list[str] = []
    bottom, times = 0.0, (end - span_s, end)
    marks = [(mark, _answers(ask, Query(mark.expr, mark.text), times)) for mark in dashboard.annotations]
    for part, (x, y, width, height) in places(dashboard.parts):
        box = _Box(x * _CELL[0] + 8, y * _CELL[1] + 44, width * _CELL[0] - 8, height * _CELL[1] - 8)
        bottom = max(bottom, box.y + box.height)
        parts += _part(part, box, ask, times, marks)
    across = 24 * _CELL[0] + 8
    until = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = _text(12, 28, f"{dashboard.title}, {span(span_s)} until {until}", size=18, color=_INK)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{bottom + 12:.0f}" '
            'font-family="system-ui, sans-serif">',
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
            head,
            *parts,
            "</svg>\n",
        ]
    )


def _part(
    part: Panel | Table | Row,
    box: _Box,
    ask: Ask,
    times: tuple[float, float],
    marks: Sequence[tuple[Annotation, list[_Series]]],
) -> Iterator[str]:
    if isinstance(part, Row):
        yield _text(box.x + 4, box.y + 18, part.title, size=14, color=_INK)
        return
    yield (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="4" '
        f'fill="none" stroke="{_FAINT}"/>'
    )
    yield _text(box.x + 8, box.y + 18, part.title, size=12, color=_INK)
    inner = _Box(box.x + 8, box.y + 28, box.width - 16, box.height - 36)
    if isinstance(part, Table):
        yield from _paragraph(inner, f"A table of {part.path}, which Prometheus does not have")
        return
    if part.kind == "timeseries":
        series = [line for query in part.queries for line in _answers(ask, query, times)]
        drawn = _graph(part, inner, series, times, marks) if series else None
    else:
        values = [line for query in part.queries for line in _answers(ask, query, None)]
        drawn = _figures(part, inner, values) if values else None
    if drawn is None:
        yield from _paragraph(inner, f"Empty until {part.after}." if part.after else "No data")
    else:
        yield from drawn


def _answers(ask: Ask, query: Query, times: tuple[float, float] | None) -> list[_Series]:
    """The series of a query: over a time, or their last values; numbers that are none are left out."""
    words = {"query": query.expr}
    if times is not None:
        words |= {"start": f"{times[0]:.3f}", "end": f"{times[1]:.3f}", "step": f"{_step(times):.3f}"}
    data = ask(f"{'query' if times is None else 'query_range'}?{urllib.parse.urlencode(words)}")
    result = data.get("result") if isinstance(data, dict) else None
    series = []
    for each in result if isinstance(result, list) else []:
        if not isinstance(each, dict) or not isinstance(each.get("metric"), dict):
            continue
        samples = [each.get("value")] if times is None else each.get("values")
        points = tuple(_points(samples if isinstance(samples, list) else []))
        if points:
            series.append(_Series(_name(query, each["metric"]), points))
    return series


def _step(times: tuple[float, float]) -> float:
    """Seconds between two points of a graph."""
    return max(1.0, (times[1] - times[0]) / _POINTS)


def _points(samples: Sequence[JsonValue]) -> Iterator[tuple[float, float]]:
    for sample in samples:
        match sample:
            case [int() | float() as at, str() as text] if math.isfinite(value := float(text)):
                yield float(at), value


def _name(query: Query, labels: JsonValue) -> str:
    known: Mapping[str, JsonValue] = labels if isinstance(labels, dict) else {}
    if query.legend == "__auto":
        return ", ".join(f"{key}={value}" for key, value in known.items() if key not in ("__name__", "instance", "job"))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(known.get(found[1], "")), query.legend)


def _graph(
    panel: Panel,
    box: _Box,
    series: Sequence[_Series],
    times: tuple[float, float],
    marks: Sequence[tuple[Annotation, list[_Series]]],
) -> Iterator[str]:
    values = [value for line in series for _, value in line.points]
    low, high = min(0.0, *values), max(values)
    high = low + 1.0 if high == low else high
    plot = _Box(box.x + 62, box.y, box.width - 62, box.height - 34)

    def place(at: float, value: float) -> str:
        right = (at - times[0]) / (times[1] - times[0])
        return f"{plot.x + plot.width * right:.1f},{plot.y + plot.height * (high - value) / (high - low):.1f}"

    for value in (low, (low + high) / 2, high):
        y = plot.y + plot.height * (high - value) / (high - low)
        yield f'<path d="M{plot.x:.1f} {y:.1f}h{plot.width:.1f}" stroke="{_FAINT}"/>'
        yield _text(plot.x - 6, y + 4, shown(value, panel.unit), size=10, color=_GREY, anchor="end")
    for mark, lines in marks:
        for at in sorted({at for line in lines for at, _ in line.points}):
            top, color = place(at, high).replace(",", " "), _COLORS.get(mark.color, _GREY)
            yield f'<path d="M{top}v{plot.height:.1f}" stroke="{color}" stroke-dasharray="2 3"/>'
    for line, color in zip(series, _LINES * len(series), strict=False):
        for part in _unbroken(line.points, 1.5 * _step(times)):
            points = " ".join(place(*point) for point in part)
            if len(part) == 1:
                across, _, down = points.partition(",")
                yield f'<circle cx="{across}" cy="{down}" r="2" fill="{color}"/>'
            else:
                yield f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.4"/>'
    yield _raw_text(box.x, box.y + box.height - 2, _legend(series, letters=int(box.width / 5.5)), size=10)
    for at, x, anchor in ((times[0], plot.x, "start"), (times[1], plot.x + plot.width, "end")):
        clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M")
        yield _text(x, plot.y + plot.height + 14, clock, size=10, color=_GREY, anchor=anchor)


def _unbroken(points: Sequence[tuple[float, float]], gap_s: float) -> list[list[tuple[float, float]]]:
    """The parts of a line between which there was no value for longer than that."""
    parts = [[points[0]]]
    for before, point in pairwise(points):
        if point[0] - before[0] > gap_s:
            parts.append([])
        parts[-1].append(point)
    return parts


def _legend(series: Sequence[_Series], *, letters: int) -> str:
    """The names of the lines in their colours, as many as there is room for, and the number of the others."""
    told, room = "", letters - 12
    for number, (line, color) in enumerate(zip(series, _LINES * len(series), strict=False)):
        name = clean(line.name or "value", 60)
        room -= len(name) + 2
        if room < 0 and number:
            return f"{told}and {len(series) - number} more"
        told += f'<tspan fill="{color}">{escape(name)}  </tspan>'
    return told


def _figures(panel: Panel, box: _Box, values: Sequence[_Series]) -> Iterator[str]:
    """The last values: one large, or one a line."""
    size = 26 if len(values) == 1 else 12
    for number, line in enumerate(values):
        value = line.points[-1][1]
        color = next(
            (
                _COLORS.get(step.color, _INK)
                for step in reversed(panel.steps)
                if step.since is None or value >= step.since
            ),
            _INK,
        )
        text = panel.names[int(value)] if panel.names and 0 <= value < len(panel.names) else shown(value, panel.unit)
        if len(values) > 1:
            text = f"{line.name}: {text}"
        y = box.y + (number + 1) * (size + 4)
        if y <= box.y + box.height:
            yield _text(box.x, y, text, size=size, color=color)


def shown(value: float, unit: str) -> str:
    """A value with its unit, one of Grafana's: `12 min`, `72 %`, `1.2 k`."""
    if unit == "s":
        return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:.1f} s" if 1 <= value < 10 else span(value)
    if unit in ("percent", "percentunit"):
        return f"{value * (100 if unit == 'percentunit' else 1):.3g} %"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {letter}{'B/s' if unit == 'Bps' else ''}"
    return f"{value:.3g}{' B/s' if unit == 'Bps' else ''}"


def _paragraph(box: _Box, text: str) -> Iterator[str]:
    """A text in as many lines as it needs; each of them is a part of one element, so that it can be read as one."""
    lines = textwrap.wrap(clean(text, 160), max(10, int(box.width / 6.2)), drop_whitespace=False)
    spans = "".join(f'<tspan x="{box.x:.1f}" dy="16">{escape(line)}</tspan>' for line in lines)
    yield _raw_text(box.x, box.y, spans, size=12)


def _text(x: float, y: float, text: str, *, size: int = 12, color: str, anchor: str = "start") -> str:
    return _raw_text(x, y, escape(clean(text, 160)), size=size, color=color, anchor=anchor)


def _raw_text(x: float, y: float, inner: str, *, size: int, color: str = _GREY, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}">{inner}</text>'
