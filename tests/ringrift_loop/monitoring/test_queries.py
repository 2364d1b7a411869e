"""Every query of every dashboard on a real Prometheus, which scrapes a bridge that the loop's own code feeds."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from other_programs import end
from ringrift_loop.cli.entry import main
from ringrift_loop.ledger import hosts
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.bridge import Bridge, BridgeAddress
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.metrics.mapping import read_rules
from ringrift_loop.metrics.names import REGISTRY, Kind, label_sets
from ringrift_loop.monitoring.alerts import JOB
from ringrift_loop.monitoring.dashboards import DASHBOARDS
from ringrift_loop.status.gauges import note_alive, publish_gauges
from ringrift_loop.views.learning import note_learning

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="the Debian package prometheus is missing"),
]
RULES = Path(__file__).parents[3] / "config" / "prometheus" / "rules" / "ringrift.yml"
LIMIT_S = 60.0
LABELS = {
    "config": ["square8_2p", "hex8_2p"],
    "head": ["policy"],
    "host": ["a"],
    "loop": ["data_sync"],
    "slot": ["0"],
    "stage": ["selfplay"],
    "status": ["succeeded", "failed", "promoted", "rejected", "rolled_back"],
    "type": ["shadow"],
    "gate": ["regression"],
}
SVG = "{http://www.w3.org/2000/svg}"
Found = list[dict[str, str]]


@dataclass
class Collected:
    """A Prometheus that scrapes a bridge once a second."""

    url: str
    metrics: Metrics

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of Prometheus' API."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def found(self, expr: str) -> Found:
        """The label sets of an expression's result, without those that have no number."""
        result = self.get("query", query=expr)["result"]
        return [series["metric"] for series in result if series["value"][1] != "NaN"]


def _wait(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)  # between two looks at another process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    folder = tmp_path_factory.mktemp("prometheus")
    bridge = Bridge(BridgeAddress("127.0.0.1", 0, "127.0.0.1", 0), read_rules(None), fleet="own")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{bridge.address.http_port}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    port = _free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    metrics = Metrics("127.0.0.1", bridge.address.udp_port, fleet="own", strict=True)
    running = Collected(f"http://127.0.0.1:{port}", metrics)
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:

            def scrapes() -> bool:
                try:
                    return running.found(f'up{{job="{JOB}"}} == 1') != []
                except OSError:
                    return False

            _wait(scrapes, lambda: (folder / "log").read_text())
            yield running
        finally:
            end(process)
            bridge.close()


def _missing(collected: Collected, queries: list[tuple[str, str, str]]) -> list[str]:
    """Queries without a result, and legends with a label that no series of the result has."""
    missing = []
    for place, expr, legend in queries:
        series = collected.found(expr)
        labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
        if not series or any(not labels <= one.keys() for one in series):
            missing.append(f"{place}: {expr} gives {series}, the legend is {legend}")
    return missing


def _queries(*, at_once: bool) -> list[tuple[str, str, str]]:
    return [
        (f"{dashboard.uid}: {panel.title}", query.expr, query.legend)
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if at_once <= (panel.after == "")
        for query in panel.queries
    ]


def test_what_a_loop_sends_before_anything_has_happened_fills_every_panel_that_waits_for_no_event(
    collected: Collected, open_loop: Callable[..., Loop]
) -> None:
    loop = replace(open_loop(), metrics=collected.metrics)
    note_alive(loop)
    with loop.ledger.begin() as conn:
        names = [host.name for host in loop.inventory.enabled]
        hosts.ensure(conn, names)
        hosts.succeeded(conn, names[0], at=loop.clock())
    queries = _queries(at_once=True)

    def there() -> bool:
        publish_gauges(loop)
        note_learning(loop)
        return _missing(collected, queries) == []

    assert len(queries) >= 25
    _wait(there, lambda: "\n".join(_missing(collected, queries)))
    # And a panel that is said to wait for an event does.
    filled = [
        panel.title
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if panel.after and all(collected.found(query.expr) for query in panel.queries)
    ]
    assert filled == []


def test_once_everything_has_happened_every_panel_is_filled(collected: Collected) -> None:
    def send() -> None:
        # Again and again: a counter at rest does not grow, and a histogram's first observation is invisible.
        for metric in REGISTRY.values():
            for labels in label_sets(metric, LABELS):
                if metric.kind is Kind.COUNTER:
                    collected.metrics.incr(metric.name, 1, **labels)
                elif metric.kind is Kind.GAUGE:
                    collected.metrics.gauge(metric.name, 1, **labels)
                else:
                    collected.metrics.observe(metric.name, 1.0, **labels)

    queries = _queries(at_once=False)

    def there() -> bool:
        send()
        return _missing(collected, queries) == []

    _wait(there, lambda: "\n".join(_missing(collected, queries)))


@pytest.mark.parametrize("hours", ["0", "-1", "nan"])
def test_no_time_at_all_cannot_be_drawn(tmp_path: Path, hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitoring", "draw", str(tmp_path), f"--hours={hours}"]) == 2
    assert f"--hours must be above 0, got {float(hours):g}" in capsys.readouterr().err


def test_every_panel_is_drawn_from_what_prometheus_answers(collected: Collected, tmp_path: Path) -> None:
    assert main(["monitoring", "draw", str(tmp_path), "--prometheus", collected.url, "--hours", "0.02"]) == 0

    over_prometheus = [dashboard for dashboard in DASHBOARDS if dashboard.panels]
    assert {file.stem for file in tmp_path.iterdir()} == {dashboard.uid for dashboard in over_prometheus}
    for dashboard in over_prometheus:
        picture = ElementTree.fromstring((tmp_path / f"{dashboard.uid}.svg").read_text(encoding="utf-8"))
        texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
        assert {panel.title for panel in dashboard.panels} <= set(texts)
        assert [text for text in texts if text.startswith(("Empty until", "No data"))] == []
        graphs = [panel for panel in dashboard.panels if panel.kind == "timeseries"]
        lines = [*picture.iter(f"{SVG}polyline"), *picture.iter(f"{SVG}circle")]
        assert len(lines) >= sum(len(panel.queries) for panel in graphs)


def test_a_prometheus_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitoring", "draw", str(tmp_path), "--prometheus", f"http://127.0.0.1:{_free_port()}"]) == 75
    assert "no answer of a Prometheus from http://127.0.0.1:" in capsys.readouterr().err


def test_prometheus_evaluates_every_rule(collected: Collected) -> None:
    def states() -> dict[str, str]:
        groups = collected.get("rules", type="alert")["groups"]
        return {
            rule["name"]: rule.get("lastError", "") or rule["health"] for group in groups for rule in group["rules"]
        }

    _wait(lambda: set(states().values()) == {"ok"}, lambda: str(states()))
