"""The StatsD mapping: statsd_exporter's file format, generated from the registry and read by our own bridge.

`ringrift-loop statsd-bridge --print-mapping` prints `config/prometheus/statsd_mapping.yaml`; a test keeps it so. The
bridge reads the part of the format that the generator writes: exact names, help, ttl, histogram buckets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

from ringrift_loop.errors import ConfigError
from ringrift_loop.metrics.names import REGISTRY, Kind, Metric

# prometheus_client's and the exporter's own default, for observations that no mapping names.
DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HEADER = """\
# Generated from the metric registry (ringrift_loop/metrics/names.py); do not edit:
#   ringrift-loop statsd-bridge --print-mapping > config/prometheus/statsd_mapping.yaml
# Read by statsd_exporter (--statsd.mapping-config) and by ringrift-loop statsd-bridge.
"""
_RULE_KEYS = {"match", "name", "help", "ttl", "observer_type", "histogram_options"}


@dataclass(frozen=True)
class Rule:
    """What becomes of one StatsD name."""

    name: str
    help: str
    ttl_s: float
    buckets: tuple[float, ...]


def mapping_text() -> str:
    """The mapping file for the registry."""
    document = {
        "defaults": {"observer_type": "histogram", "histogram_options": {"buckets": list(DEFAULT_BUCKETS)}},
        "mappings": [_entry(metric) for metric in REGISTRY.values()],
    }
    return _HEADER + yaml.safe_dump(document, sort_keys=False, width=118)


def read_rules(path: Path | None) -> Mapping[str, Rule]:
    """The rules of a mapping file by StatsD name; without a file those of the registry.

    Raises:
        ConfigError: the file cannot be read, or uses a part of the format that the bridge does not know.
    """
    if path is None:
        return rules_of(mapping_text(), "the registry")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the StatsD mapping {path} cannot be read: {error}") from error
    return rules_of(text, str(path))


def rules_of(text: str, source: str) -> Mapping[str, Rule]:
    """The rules in a mapping file's text; errors as for `read_rules`."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the StatsD mapping is not valid YAML: {error} ({source})") from error
    if not isinstance(document, dict) or not isinstance(document.get("mappings"), list):
        raise ConfigError(f"the StatsD mapping needs a list under `mappings` ({source})")
    rules: dict[str, Rule] = {}
    for number, entry in enumerate(document["mappings"], 1):
        match, rule = _rule(entry, f"mapping {number} of {source}")
        rules[match] = rule
    return MappingProxyType(rules)


def _entry(metric: Metric) -> dict[str, object]:
    entry: dict[str, object] = {"match": metric.name, "name": metric.name, "help": f"{metric.help} ({metric.unit})"}
    if metric.unit == "1":
        entry["help"] = metric.help
    if metric.ttl_s:
        entry["ttl"] = f"{metric.ttl_s}s"
    if metric.kind is Kind.HISTOGRAM:
        entry["observer_type"] = "histogram"
        entry["histogram_options"] = {"buckets": list(metric.buckets)}
    return entry


def _rule(entry: object, where: str) -> tuple[str, Rule]:
    if not isinstance(entry, dict) or not {"match", "name"} <= entry.keys() <= _RULE_KEYS:
        raise ConfigError(f"a mapping has match and name, and of the rest only {sorted(_RULE_KEYS)} ({where})")
    match = entry["match"]
    if not isinstance(match, str) or any(sign in match for sign in "*?[("):
        raise ConfigError(f"the bridge matches whole names, no patterns, got {match!r} ({where})")
    options = entry.get("histogram_options", {})
    try:
        ttl_s = float(str(entry.get("ttl", "0s")).removesuffix("s"))
        buckets = tuple(float(bound) for bound in options.get("buckets", DEFAULT_BUCKETS))
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"ttl is seconds such as 300s, buckets are numbers: {error} ({where})") from error
    if list(buckets) != sorted(set(buckets)) or not buckets:
        raise ConfigError(f"buckets must rise, got {list(buckets)} ({where})")
    return match, Rule(str(entry["name"]), str(entry.get("help", "")), ttl_s, buckets)
