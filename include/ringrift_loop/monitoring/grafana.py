"""A dashboard as Grafana's JSON: panels side by side in rows of 24 columns, each with its queries.

The names of the JSON are those of Grafana's dashboard schema; tests read it with Grafana's own SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from ringrift_loop.json_value import JsonValue

Json = dict[str, JsonValue]
INFINITY = "yesoreyeram-infinity-datasource"
_COLUMNS = 24
_SCHEMA_VERSION = 39
# A variable, so that an imported dashboard finds the Prometheus of whoever imports it.
_PROMETHEUS: Json = {"type": "prometheus", "uid": "${datasource}"}
_INFINITY: Json = {"type": INFINITY, "uid": "infinity"}


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are called."""

    expr: str
    legend: str = "__auto"
    """`{{label}}` stands for a label's value."""


@dataclass(frozen=True)
class Step:
    """A colour and the value from which it holds; None: from the least."""

    since: float | None
    color: str


@dataclass(frozen=True)
class Panel:
    """One panel over Prometheus."""

    title: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    """`timeseries`, `stat`, `gauge` or `bargauge`."""
    unit: str = "short"
    """Grafana's name of it: `s`, `percent`, `percentunit`, `bytes`, ..."""
    width: int = 8
    height: int = 8
    minimum: float | None = None
    maximum: float | None = None
    steps: tuple[Step, ...] = (Step(None, "green"),)
    names: tuple[str, ...] = ()
    """What 0, 1, 2, ... are called."""
    about: str = ""
    after: str = ""
    """What must have happened for the first time; until then the panel is empty."""


@dataclass(frozen=True)
class Table:
    """A table over one of the loop's endpoints."""

    title: str
    path: str
    columns: Sequence[tuple[str, str]]
    """Name and type (`number`, `string`, `boolean`)."""
    about: str = ""
    width: int = _COLUMNS
    height: int = 12


@dataclass(frozen=True)
class Row:
    """A heading."""

    title: str


@dataclass(frozen=True)
class Annotation:
    """A mark on every graph at each time for which the expression has a series."""

    name: str
    expr: str
    text: str
    color: str


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; `uid` is its address and its file's name."""

    uid: str
    title: str
    about: str
    parts: Sequence[Panel | Table | Row]
    annotations: Sequence[Annotation] = field(default=())

    @property
    def panels(self) -> list[Panel]:
        """Those over Prometheus."""
        return [part for part in self.parts if isinstance(part, Panel)]


def dashboard_text(dashboard: Dashboard) -> str:
    """The dashboard's file."""
    return json.dumps(_dashboard(dashboard), indent=2) + "\n"


def _dashboard(dashboard: Dashboard) -> Json:
    prometheus: list[JsonValue] = []
    if dashboard.panels:
        prometheus = [{"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}]
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["ringrift"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": _SCHEMA_VERSION,
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": prometheus},
        "annotations": {"list": [_annotation(each) for each in dashboard.annotations]},
        "links": [{"title": "RingRift", "type": "dashboards", "tags": ["ringrift"], "asDropdown": True}],
        "panels": list(_laid_out(dashboard.parts)),
    }


def places(
    parts: Sequence[Panel | Table | Row],
) -> Iterator[tuple[Panel | Table | Row, tuple[int, int, int, int]]]:
    """Each part with its place in the grid of 24 columns: x, y, width, height."""
    x = y = tallest = 0
    for part in parts:
        width, height = (_COLUMNS, 1) if isinstance(part, Row) else (part.width, part.height)
        if x + width > _COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield part, (x, y, width, height)
        x, tallest = x + width, max(tallest, height)


def _laid_out(parts: Sequence[Panel | Table | Row]) -> Iterator[JsonValue]:
    for number, (part, (x, y, width, height)) in enumerate(places(parts), 1):
        place: Json = {"x": x, "y": y, "w": width, "h": height}
        yield {"id": number, "title": part.title, "gridPos": place, **_contents(part)}


def _contents(part: Panel | Table | Row) -> Json:
    if isinstance(part, Row):
        return {"type": "row", "collapsed": False, "panels": []}
    if isinstance(part, Table):
        return _table(part)
    about = " ".join(filter(None, (part.about, f"Empty until {part.after}." if part.after else "")))
    is_graph = part.kind == "timeseries"
    targets: list[JsonValue] = [
        {
            "refId": name,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": not is_graph,
            "range": is_graph,
            "datasource": _PROMETHEUS,
        }
        for name, query in zip(ascii_uppercase, part.queries, strict=False)
    ]
    return {
        "type": part.kind,
        "description": about,
        "datasource": _PROMETHEUS,
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(part), "overrides": []},
        "options": _options(part.kind),
    }


def _defaults(panel: Panel) -> Json:
    steps: list[JsonValue] = [{"value": step.since, "color": step.color} for step in panel.steps]
    defaults: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind != "timeseries":
        defaults["color"] = {"mode": "thresholds"}
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    if panel.names:
        options: Json = {str(value): {"text": name, "index": value} for value, name in enumerate(panel.names)}
        defaults["mappings"] = [{"type": "value", "options": options}]
    return defaults


def _options(kind: str) -> Json:
    if kind == "timeseries":
        legend: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {"reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""}}


def _table(table: Table) -> Json:
    columns: list[JsonValue] = [{"selector": name, "text": name, "type": kind} for name, kind in table.columns]
    target: Json = {
        "refId": "A",
        "datasource": _INFINITY,
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": "table",
        "url": table.path,
        "url_options": {"method": "GET"},
        "root_selector": "",
        "columns": columns,
    }
    return {
        "type": "table",
        "description": table.about,
        "datasource": _INFINITY,
        "targets": [target],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {"showHeader": True},
    }


def _annotation(annotation: Annotation) -> JsonValue:
    return {
        "name": annotation.name,
        "datasource": _PROMETHEUS,
        "enable": True,
        "iconColor": annotation.color,
        "expr": annotation.expr,
        "step": "60s",
        "titleFormat": annotation.name,
        "textFormat": annotation.text,
    }
