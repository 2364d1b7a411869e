"""The pictures of the dashboards, on answers that are written down here; of a real Prometheus: test_queries.py."""

from __future__ import annotations

import urllib.parse
from typing import Any
from xml.etree import ElementTree

import pytest

from ringrift_loop.json_value import JsonValue
from ringrift_loop.monitoring.drawing import Ask, draw, shown
from ringrift_loop.monitoring.grafana import Annotation, Dashboard, Panel, Query, Row, Step, Table

SVG = "{http://www.w3.org/2000/svg}"
END = 3600.0


def answering(**results: list[tuple[dict[str, str], list[tuple[float, str]]]]) -> Ask:
    """A Prometheus that has these metrics: labels with times and values."""

    def ask(path: str) -> JsonValue:
        kind, _, words = path.partition("?")
        name = urllib.parse.parse_qs(words)["query"][0]
        found: list[Any] = []
        for labels, samples in results.get(name, []):
            values: list[JsonValue] = [[at, text] for at, text in samples]
            metric: dict[str, JsonValue] = {"__name__": name, **labels}
            found.append({"metric": metric, **({"value": values[-1]} if kind == "query" else {"values": values})})
        return {"result": found}

    return ask


def texts_of(dashboard: Dashboard, ask: Ask) -> tuple[ElementTree.Element, list[str]]:
    picture = ElementTree.fromstring(draw(dashboard, ask, end=END, span_s=3600))
    return picture, ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]


def test_a_line_runs_from_the_first_value_at_the_left_to_the_last_at_the_right() -> None:
    board = Dashboard("b", "Board", "", (Panel("Games", (Query("games", "{{host}}"),)),))
    picture, texts = texts_of(board, answering(games=[({"host": "a"}, [(20.0 * n, f"{n / 1.8}") for n in range(181)])]))
    (line,) = picture.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    (x0, y0), (x1, y1), (x2, y2) = points[0], points[90], points[180]
    assert x0 < x1 < x2 and x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 > y1 > y2 and y0 - y1 == pytest.approx(y1 - y2, abs=0.2)  # upwards is less
    assert {"Games", "100", "50", "0", "00:00", "01:00"} <= set(texts)
    assert any(text.strip() == "a" for text in texts)


def test_a_time_without_a_value_is_a_gap_and_names_that_do_not_fit_are_counted() -> None:
    board = Dashboard("b", "Board", "", (Panel("Games", (Query("games", "{{host}}"),)),))
    there = [(20.0 * n, "1") for n in (*range(50), *range(100, 150), 170)]
    picture, texts = texts_of(board, answering(games=[({"host": f"a host with a name {n}"}, there) for n in range(9)]))
    assert len(list(picture.iter(f"{SVG}polyline"))) == 2 * 9
    assert len(list(picture.iter(f"{SVG}circle"))) == 9
    (legend,) = [text for text in texts if "a host with a name 0" in text]
    shown_names = legend.count("a host with a name")
    assert 1 <= shown_names < 9 and legend.endswith(f"and {9 - shown_names} more")


def test_what_has_no_value_says_what_it_waits_for_and_no_number_is_drawn_for_none() -> None:
    panels = (
        Row("Now"),
        Panel("Loss", (Query("loss"),), after="the first training"),
        Panel("Rate", (Query("rate"),)),
        Panel("Elo", (Query("elo"),), "stat"),
        Table("Nodes", "/ringrift/nodes/table", (("Node", "string"),)),
    )
    picture, texts = texts_of(
        Dashboard("b", "Board", "", panels), answering(rate=[({}, [(0.0, "NaN"), (9.0, "+Inf")])])
    )
    assert "Empty until the first training." in texts and texts.count("No data") == 2
    assert "A table of /ringrift/nodes/table, which Prometheus does not have" in texts
    assert list(picture.iter(f"{SVG}polyline")) == []


def test_a_long_text_stays_within_its_panel() -> None:
    panel = Panel("Audit", (Query("audit"),), "stat", width=4, height=4, after="the first audit, which comes each day")
    picture, texts = texts_of(Dashboard("b", "Board", "", (panel,)), answering())
    assert "Empty until the first audit, which comes each day." in texts
    lines = [line.text or "" for line in picture.iter(f"{SVG}tspan")]
    assert len(lines) == 2 and max(map(len, lines)) <= 32


def test_a_figure_has_its_unit_its_name_and_the_colour_of_its_step() -> None:
    steps = (Step(None, "green"), Step(1, "yellow"), Step(2, "red"))
    panels = (
        Panel("Memory", (Query("memory"),), "stat", steps=steps, names=("ok", "warning", "critical")),
        Panel("Uptime", (Query("uptime"),), "stat", "s"),
        Panel("Weights", (Query("weight", "{{config}}"),), "bargauge"),
    )
    ask = answering(
        memory=[({}, [(END, "1")])],
        uptime=[({}, [(END, "7200")])],
        weight=[({"config": "square8_2p"}, [(END, "1.25")]), ({"config": "hex8_2p"}, [(END, "0.75")])],
    )
    picture, texts = texts_of(Dashboard("b", "Board", "", panels), ask)
    assert {"warning", "2 h", "square8_2p: 1.25", "hex8_2p: 0.75"} <= set(texts)
    (warning,) = [text for text in picture.iter(f"{SVG}text") if text.text == "warning"]
    assert warning.attrib["fill"] == "#c99a1b"


def test_an_event_is_a_mark_on_every_graph() -> None:
    board = Dashboard(
        "b", "Board", "", (Panel("One", (Query("games"),)), Panel("Two", (Query("games"),))),
        (Annotation("Promotion", "promoted", "{{config}}", "green"),),
    )  # fmt: skip
    ask = answering(games=[({}, [(0.0, "1"), (3600.0, "2")])], promoted=[({}, [(1200.0, "1")])])
    picture, _ = texts_of(board, ask)
    assert len([path for path in picture.iter(f"{SVG}path") if "stroke-dasharray" in path.attrib]) == 2


def test_what_a_host_calls_itself_is_text_and_no_part_of_the_picture() -> None:
    board = Dashboard("b", "Board", "", (Panel("Games", (Query("games", "{{host}}"),)),))
    name = "</text><script>alert(1)</script>\x1b[2J"
    picture, texts = texts_of(board, answering(games=[({"host": name}, [(0.0, "1"), (9.0, "2")])]))
    assert list(picture.iter(f"{SVG}script")) == []
    assert any("<script>alert(1)</script>?[2J" in text for text in texts)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.25, "s", "250 ms"),
        (4.0, "s", "4.0 s"),
        (3900.0, "s", "1 h 5 min"),
        (72.0, "percent", "72 %"),
        (0.5, "percentunit", "50 %"),
        (1234.0, "short", "1.23 k"),
        (2.5e6, "Bps", "2.5 MB/s"),
        (12.0, "Bps", "12 B/s"),
        (-27.5, "short", "-27.5"),
    ],
)
def test_values_have_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text
