"""The dashboards: the shipped files are the generated ones, Grafana's SDK reads them, and every query makes sense."""

from __future__ import annotations

import enum
import json
import re
import shutil
import subprocess
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from promql import metrics_in
from ringrift_loop.cli.entry import main
from ringrift_loop.metrics.names import REGISTRY
from ringrift_loop.monitoring.dashboards import DASHBOARDS
from ringrift_loop.monitoring.grafana import Dashboard, Panel, Query, Table, dashboard_text

FOLDER = Path(__file__).parents[3] / "config" / "grafana" / "dashboards"
BY_UID = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
# What Grafana's data source for Prometheus reads of an annotation; the SDK knows only what all data sources have.
OF_PROMETHEUS = {"step", "titleFormat", "textFormat"}


def _queries() -> Iterator[tuple[str, Query]]:
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                yield f"{dashboard.uid}: {panel.title}", query
        for mark in dashboard.annotations:
            yield f"{dashboard.uid}: {mark.name}", Query(mark.expr, mark.text)


def test_the_shipped_files_are_what_the_command_writes(tmp_path: Path) -> None:
    assert main(["monitoring", "dashboards", str(tmp_path)]) == 0

    written = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()} == written, (
        "run: ringrift-loop monitoring dashboards config/grafana/dashboards"
    )


@BY_UID
def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: Dashboard) -> None:
    panels = json.loads(dashboard_text(dashboard))["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24


@BY_UID
def test_every_query_has_its_letter(dashboard: Dashboard) -> None:
    for panel in json.loads(dashboard_text(dashboard))["panels"]:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert letters == sorted(set(letters)) and len(letters) >= (panel["type"] != "row")


def test_every_metric_of_a_query_is_in_the_registry() -> None:
    assert {
        (place, name) for place, query in _queries() for name in metrics_in(query.expr) if name not in REGISTRY
    } == set()


def test_every_label_of_a_legend_is_on_the_metric_and_survives_the_aggregation() -> None:
    missing = []
    for place, query in _queries():
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            kept = re.findall(r"\bby \(([^)]*)\)", query.expr)
            lacks = [name for name in metrics_in(query.expr) if label not in REGISTRY[name].labels]
            if lacks or any(label not in labels.split(", ") for labels in kept):
                missing.append(f"{place}: {label}")

    assert missing == []


def test_the_panels_of_the_guide_are_there() -> None:
    guide = {
        "ringrift_uptime_seconds",
        "ringrift_hosts_active",
        "sum(increase(ringrift_games_synced_total[1h]))",
        "ringrift_current_elo",
        "ringrift_cluster_cpu_utilization_percent",
        "ringrift_cluster_gpu_utilization_percent",
        "ringrift_selfplay_rate_per_hour",
        "ringrift_config_weight",
    }

    assert guide <= {query.expr for _, query in _queries()}


def test_the_gauges_of_utilization_are_green_from_60_to_80_percent() -> None:
    gauges = {panel.title: panel for dashboard in DASHBOARDS for panel in dashboard.panels if panel.kind == "gauge"}
    for name in ("CPU", "GPU"):
        colors = {step.since: step.color for step in gauges[name].steps}
        assert (colors[60], colors[80]) == ("green", "yellow") and colors[None] != "green"


@BY_UID
def test_a_panel_that_waits_for_an_event_says_so_in_its_description(dashboard: Dashboard) -> None:
    panels = {panel["id"]: panel for panel in json.loads(dashboard_text(dashboard))["panels"]}
    for number, part in enumerate(dashboard.parts, 1):
        if isinstance(part, Panel) and part.after:
            assert f"Empty until {part.after}." in panels[number]["description"]
    waits = {panel.title: panel.after for panel in dashboard.panels}
    for name in ("ringrift_cluster_gpu", "ringrift_gpu", "ringrift_training_started", "ringrift_ledger_verification"):
        asks = {panel.title for panel in dashboard.panels if all(name in query.expr for query in panel.queries)}
        assert {title for title in asks if not waits[title]} == set()


def test_the_tables_ask_the_endpoints() -> None:
    tables = {part.path for dashboard in DASHBOARDS for part in dashboard.parts if isinstance(part, Table)}

    assert tables == {"/ringrift/elo/table", "/ringrift/nodes/table"}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("promtool") is None, reason="the Debian package prometheus is missing")
def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query.expr} for number, (_, query) in enumerate(_queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")

    found = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@BY_UID
def test_grafanas_sdk_reads_every_field_and_each_has_its_type(dashboard: Dashboard) -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="pip install grafana-foundation-sdk: Grafana's own types")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard as Model

    register_default_plugins()
    ours = json.loads(dashboard_text(dashboard))
    model = Model.from_json(ours)

    assert list(_lost(ours, json.loads(json.dumps(model, cls=JSONEncoder)), "")) == []
    assert list(_wrong(model, "")) == []


def _lost(ours: Any, read: Any, path: str) -> Iterator[str]:
    """Places where what was read back is not what we wrote; more than we wrote may come back: defaults."""
    if isinstance(ours, dict) and isinstance(read, dict):
        for key in ours.keys() - OF_PROMETHEUS:
            yield from _lost(ours[key], read.get(key, "(nothing)"), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        for number, (one, other) in enumerate(zip(ours, read, strict=True)):
            yield from _lost(one, other, f"{path}[{number}]")
    elif ours != read:
        yield f"{path}: wrote {ours!r}, read {read!r}"


def _wrong(value: Any, path: str) -> Iterator[str]:
    """Places where an attribute of one of the SDK's objects is not what its annotation says."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _wrong(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _wrong(item, f"{path}.{key}")
    elif type(value).__module__.startswith("grafana_foundation_sdk.") and not isinstance(value, enum.Enum):
        for name, kind in typing.get_type_hints(type(value)).items():
            item = getattr(value, name)
            if not _is_a(item, kind):
                yield f"{path}.{name}: {item!r} is no {kind}"
            yield from _wrong(item, f"{path}.{name}")


def _is_a(value: Any, kind: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(value, each) for each in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_is_a(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is_a(item, arguments[1]) for item in value.values())
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return value in [member.value for member in kind]
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
