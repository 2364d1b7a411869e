"""Typed configuration: `schema.py` holds every setting, `loader.py` reads `config/unified_loop.yaml`."""

from __future__ import annotations

from ringrift_loop.config.loader import (
    CONFIG_VARIABLE,
    EffectiveConfig,
    as_dict,
    config_hash,
    load_config,
    load_effective,
)
from ringrift_loop.config.schema import (
    Alerts,
    Curriculum,
    DataIngestion,
    Evaluation,
    Inference,
    LoopConfig,
    LossWeights,
    Notifications,
    Pid,
    Promotion,
    Regression,
    ResourceTargets,
    Retention,
    Selfplay,
    Training,
)

__all__ = [
    "CONFIG_VARIABLE",
    "Alerts",
    "Curriculum",
    "DataIngestion",
    "EffectiveConfig",
    "Evaluation",
    "Inference",
    "LoopConfig",
    "LossWeights",
    "Notifications",
    "Pid",
    "Promotion",
    "Regression",
    "ResourceTargets",
    "Retention",
    "Selfplay",
    "Training",
    "as_dict",
    "config_hash",
    "load_config",
    "load_effective",
]
