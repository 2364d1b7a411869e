"""The two presets: what each sets differently from the defaults in `schema.py`.

The guide's overview and its YAML example disagree; the overview's figures are the defaults (`optimized`), the example's
ship as `conservative`. Its 20 minutes between two trainings are among these: six trainings of a sixth of the games each
make a stronger player (docs/log.md, 2026-11-29, "many short trainings").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PRESETS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "optimized": MappingProxyType({}),
        "conservative": MappingProxyType(
            {
                "data_ingestion.poll_interval_seconds": 60,
                "training.trigger_threshold_games": 500,
                "training.min_interval_seconds": 1200,
                "evaluation.shadow_interval_seconds": 900,
                "promotion.elo_threshold": 25.0,
            }
        ),
    }
)
