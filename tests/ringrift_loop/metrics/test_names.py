from __future__ import annotations

import re
from pathlib import Path

from ringrift_loop.metrics.mapping import mapping_text, read_rules
from ringrift_loop.metrics.names import LABEL_VALUES, REGISTRY, Kind, label_sets

PROJECT = Path(__file__).parents[3]


def test_names_are_ours_and_follow_the_conventions_of_prometheus() -> None:
    for metric in REGISTRY.values():
        assert re.fullmatch(r"ringrift_[a-z0-9_]+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert metric.help and metric.unit, metric.name


def test_every_name_of_the_guide_is_there_with_the_guides_labels() -> None:
    guide = {
        "ringrift_games_synced_total": ("host",),
        "ringrift_games_pending_training": ("config",),
        "ringrift_training_runs_total": ("config", "status"),
        "ringrift_current_elo": ("config",),
        "ringrift_elo_trend": ("config",),
        "ringrift_promotions_total": ("config", "status"),
        "ringrift_hosts_active": (),
        "ringrift_uptime_seconds": (),
    }

    assert {name: REGISTRY[name].labels for name in guide} == guide


def test_only_histograms_have_buckets_and_only_gauges_may_vanish() -> None:
    for metric in REGISTRY.values():
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM), metric.name
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric.name
        assert metric.ttl_s == 0 or metric.kind is Kind.GAUGE, metric.name


def test_known_label_values_belong_to_metrics_that_exist() -> None:
    for name, label in LABEL_VALUES:
        assert label in REGISTRY[name].labels


def test_label_sets_are_all_combinations_of_known_values() -> None:
    metric = REGISTRY["ringrift_training_runs_total"]

    assert label_sets(metric, {"config": ["hex8_2p", "square8_2p"]}) == [
        {"config": "hex8_2p", "status": "succeeded"},
        {"config": "hex8_2p", "status": "failed"},
        {"config": "square8_2p", "status": "succeeded"},
        {"config": "square8_2p", "status": "failed"},
    ]
    assert label_sets(metric, {}) == []
    assert label_sets(REGISTRY["ringrift_curriculum_rebalances_total"], {}) == [{}]


def test_the_shipped_mapping_is_the_registrys() -> None:
    file = PROJECT / "config" / "prometheus" / "statsd_mapping.yaml"

    assert file.read_text(encoding="utf-8") == mapping_text(), (
        "run: ringrift-loop statsd-bridge --print-mapping > config/prometheus/statsd_mapping.yaml"
    )
    assert read_rules(file) == read_rules(None)


def test_the_mapping_carries_buckets_and_time_to_live() -> None:
    rules = read_rules(None)

    assert rules["ringrift_training_duration_seconds"].buckets[-1] == 7200.0
    assert rules["ringrift_worker_model_generation"].ttl_s == 300.0
    assert rules["ringrift_games_synced_total"].ttl_s == 0.0
