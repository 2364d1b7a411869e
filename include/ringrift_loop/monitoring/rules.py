"""The alerts as a rule file for Prometheus: `config/prometheus/rules/ringrift.yml`."""

from __future__ import annotations

import yaml

from ringrift_loop.config import LoopConfig
from ringrift_loop.monitoring.alerts import Alert, alerts

RUNBOOKS = "docs/5-operations.md"
_HEADER = """\
# Generated from ringrift_loop/monitoring/alerts.py with the limits of the configuration; do not edit:
#   ringrift-loop monitoring rules > config/prometheus/rules/ringrift.yml
"""


def rules_text(config: LoopConfig) -> str:
    """The rule file for a configuration."""
    groups: dict[str, list[dict[str, object]]] = {}
    for alert in alerts(config):
        groups.setdefault(f"ringrift-{alert.group}", []).append(_rule(alert))
    document = {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}
    return _HEADER + yaml.safe_dump(document, sort_keys=False, width=118)


def _rule(alert: Alert) -> dict[str, object]:
    labels = {"severity": alert.severity}
    if alert.follows is not None:
        labels["follows"] = alert.follows
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": f"{alert.for_s}s",
        "labels": labels,
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook": f"{RUNBOOKS}#{alert.name.lower()}",
        },
    }
