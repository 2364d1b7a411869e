"""`config/unified_loop.yaml` and `docs/6-configuration.md` against the schema."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ringrift_loop.config import load_effective
from ringrift_loop.config.leaves import leaves, values_of
from ringrift_loop.config.reference import reference_page
from ringrift_loop.config.schema import VARIANT_NAMES, LoopConfig
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.hosts.inventory import Host

PROJECT = Path(__file__).parents[3]
SHIPPED = PROJECT / "config" / "unified_loop.yaml"


def test_the_shipped_file_leaves_every_value_to_the_preset() -> None:
    effective = load_effective(SHIPPED, {})

    assert effective.config == LoopConfig()


def test_every_key_stands_in_the_shipped_file_with_its_default(tmp_path: Path) -> None:
    # `# key: value` becomes `key: value`; `## text` stays a comment.
    text = re.sub(r"^( *)# (\w+: )", r"\1\2", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    uncommented = tmp_path / "all.yaml"
    uncommented.write_text(text, encoding="utf-8")

    effective = load_effective(uncommented, {})

    assert values_of(effective.config) == values_of(LoopConfig())
    assert {name for name, origin in effective.origins.items() if origin == "default"} == set()


def test_the_reference_page_is_what_the_schema_says() -> None:
    page = (PROJECT / "docs" / "6-configuration.md").read_text(encoding="utf-8")

    assert page == reference_page(), "run: ringrift-loop config reference > docs/6-configuration.md"


def test_the_reference_page_lists_every_key_of_a_host() -> None:
    page = reference_page()

    # The name is the entry itself, roles are the key `role`, what a connection says never stands in a file.
    missing = [field.name for field in dataclasses.fields(Host) if f"| `{field.name}` |" not in page]
    assert missing == ["name", "roles", "connect_limit_s", "unusable", "credentials"]
    assert "| `role` |" in page


def test_every_key_of_the_guides_example_is_known() -> None:
    # Figures of the deployment guide's YAML: the preset `conservative`.
    guide = {
        "data_ingestion.poll_interval_seconds": 60,
        "data_ingestion.sync_method": "incremental",
        "data_ingestion.min_games_per_sync": 5,
        "training.trigger_threshold_games": 500,
        "training.min_interval_seconds": 1200,
        "evaluation.shadow_interval_seconds": 900,
        "evaluation.shadow_games_per_config": 15,
        "evaluation.full_tournament_interval_seconds": 3600,
        "promotion.auto_promote": True,
        "promotion.elo_threshold": 25,
        "promotion.min_games": 50,
        "promotion.regression_test": True,
        "curriculum.adaptive": True,
        "curriculum.rebalance_interval_seconds": 3600,
        "curriculum.max_weight_multiplier": 1.5,
        "regression.hard_block": True,
        "regression.timeout_seconds": 600,
        "resource_targets.cpu_min": 60,
        "resource_targets.cpu_target": 70,
        "resource_targets.cpu_max": 80,
        "resource_targets.cpu_critical": 90,
        "resource_targets.gpu_min": 60,
        "resource_targets.gpu_target": 75,
        "resource_targets.gpu_max": 85,
        "resource_targets.gpu_critical": 95,
        "resource_targets.pid.kp": 0.3,
        "resource_targets.pid.ki": 0.05,
        "resource_targets.pid.kd": 0.1,
        "resource_targets.pid.gain_scheduling": True,
        "resource_targets.pid.output_smoothing": 0.3,
    }
    config = load_effective(SHIPPED, {"RINGRIFT__PRESET": "conservative"}).config

    values = values_of(config)
    assert {name: values[name] for name in guide} == guide


def test_the_variants_are_those_of_the_engine() -> None:
    assert set(VARIANT_NAMES) == set(VARIANTS)


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, leaf in leaves().items() if len(leaf.rule.help) < 10] == []
