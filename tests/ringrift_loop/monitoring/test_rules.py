"""The alert rules: each fires when it should, and only then, by Prometheus' own reckoning."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import alert_table
from alert_cases import CASES, Case, Series
from promql import metrics_in
from ringrift_loop.config import LoopConfig
from ringrift_loop.metrics.names import REGISTRY
from ringrift_loop.monitoring.alerts import alerts
from ringrift_loop.monitoring.rules import RUNBOOKS, rules_text

PROJECT = Path(__file__).parents[3]
RULES = PROJECT / "config" / "prometheus" / "rules" / "ringrift.yml"
GUIDE = {
    "AILoopDown": "critical",
    "NoGamesSynced": "critical",
    "AllHostsFailed": "critical",
    "TrainingStuck": "high",
    "HighSyncErrorRate": "high",
    "GamesPendingThresholdExceeded": "high",
    "NoPromotionsIn24h": "warning",
    "EloDecline": "warning",
    "LowActiveHosts": "warning",
    "CPUUnderutilized": "warning",
    "CPUOverutilized": "warning",
    "GPUUnderutilized": "warning",
    "GPUOverutilized": "warning",
    "GPUCriticallyOverloaded": "critical",
    "HighMemoryUtilization": "warning",
    "ProlongedBackpressure": "warning",
}
ALERTS = {alert.name: alert for alert in alerts(LoopConfig())}
# Prometheus' own; the collector's, which our bridge has under the exporter's names.
OTHERS = {"up", "statsd_exporter_udp_packets_total"}


def test_the_shipped_rules_are_the_generated_ones() -> None:
    assert RULES.read_text(encoding="utf-8") == rules_text(LoopConfig()), (
        "run: ringrift-loop monitoring rules > config/prometheus/rules/ringrift.yml"
    )


def test_every_alert_of_the_guide_is_there_with_the_guides_severity() -> None:
    assert {name: ALERTS[name].severity for name in GUIDE} == GUIDE


def test_every_metric_in_a_condition_is_in_the_registry() -> None:
    unknown = {(alert.name, name) for alert in ALERTS.values() for name in metrics_in(alert.expr)}

    assert {(alert, name) for alert, name in unknown if name not in REGISTRY and name not in OTHERS} == set()


def test_the_metrics_of_a_condition_are_found() -> None:
    expr = 'sum by (host) (rate(ringrift_a_total{le="up"}[5m])) / (b_count or absent(up)) > 2 and ringrift_b offset 3d'

    assert metrics_in(expr) == {"ringrift_a_total", "b", "up", "ringrift_b"}


def test_limits_come_from_the_configuration() -> None:
    config = LoopConfig()
    changed = replace(
        config,
        alerts=replace(config.alerts, pending_games=77, disk_percent=77.5),
        resource_targets=replace(config.resource_targets, cpu_max=88.0),
    )
    exprs = {alert.name: alert.expr for alert in alerts(changed)}

    assert exprs["GamesPendingThresholdExceeded"].endswith("> 77")
    assert exprs["DiskNearlyFull"].endswith("> 77.5")
    assert exprs["CPUOverutilized"].endswith("> 88")


def test_every_alert_has_a_runbook_on_the_operations_page() -> None:
    page = (PROJECT / RUNBOOKS).read_text(encoding="utf-8")
    sections = {
        part.partition("\n")[0]: part.partition("\n")[2].strip()
        for part in re.split(r"^### ", page.partition("\n## Alerts\n")[2].partition("\n## ")[0], flags=re.MULTILINE)[1:]
    }

    assert sorted(sections) == sorted(ALERTS)
    assert [name for name, text in sections.items() if len(text.splitlines()) < 2] == []


def test_every_alert_has_its_cases() -> None:
    assert sorted(CASES) == sorted(ALERTS)
    assert [name for name, case in CASES.items() if not case.fires or not case.quiet] == []


def test_the_page_of_alerts_is_the_generated_one_and_has_all_of_the_shipped_rules() -> None:
    text = (PROJECT / alert_table.PAGE).read_text(encoding="utf-8")
    assert text == alert_table.page(), "run: cd tests && ../.venv/bin/python -m alert_table ../docs/alerts.md"
    shipped = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    names = [rule["alert"] for group in shipped for rule in group["rules"]]
    assert sorted(re.findall(r"^\| \[(\w+)\]", text, flags=re.MULTILINE)) == sorted(names)


@pytest.mark.system
@pytest.mark.skipif(shutil.which("promtool") is None, reason="the Debian package prometheus is missing")
class TestByPromtool:
    def test_the_rules_are_valid(self) -> None:
        found = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr

    @pytest.mark.parametrize("name", sorted(CASES))
    def test_an_alert_fires_when_it_should_and_only_then(self, name: str, tmp_path: Path) -> None:
        case = CASES[name]
        told = [(series, True) for series in case.fires] + [(series, False) for series in case.quiet]
        tests = [
            {
                "name": f"{'fires' if fires else 'is quiet'} with {dict(series)}",
                "promql_expr_test": [
                    {
                        "expr": 'count(ALERTS{alertstate="firing"})',
                        "eval_time": f"{case.minutes}m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                ],
                **_series(series, case),
            }
            for series, fires in [*told, ({}, case.when_absent)]
        ]
        found = _promtool(tmp_path, name, case, tests)
        assert found.returncode == 0, found.stdout + found.stderr

    @pytest.mark.parametrize("name", sorted(CASES))
    def test_what_an_alert_says_has_its_values(self, name: str, tmp_path: Path) -> None:
        said = _said(tmp_path, name, CASES[name])
        assert f'severity="{ALERTS[name].severity}"' in said
        for label, value in CASES[name].labels.items():
            assert f'{label}="{value}"' in said
        assert CASES[name].says in said
        assert f'runbook="{RUNBOOKS}#{name.lower()}"' in said
        assert "<error" not in said and "<no value>" not in said


def _said(folder: Path, name: str, case: Case) -> str:
    """The alert as promtool prints it when it did not expect it."""
    wanted = [{"alertname": name, "eval_time": f"{case.minutes}m", "exp_alerts": []}]
    found = _promtool(folder, name, case, [{**_series(case.fires[0], case), "alert_rule_test": wanted}])
    assert found.returncode == 1
    return (found.stdout + found.stderr).partition("got:")[2]


def _series(series: Series, case: Case) -> dict[str, Any]:
    return {
        "interval": f"{case.step}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
    }


def _promtool(folder: Path, name: str, case: Case, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """Run tests on one alert of the shipped rules; all of them together would take minutes."""
    shipped = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    (rule,) = (rule for group in shipped for rule in group["rules"] if rule["alert"] == name)
    (folder / "rule.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}), encoding="utf-8")
    document = {"rule_files": ["rule.yml"], "evaluation_interval": f"{case.step}m", "tests": tests}
    (folder / "tests.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = ["promtool", "test", "rules", str(folder / "tests.yml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)
