"""Keeps machines busy within a band of utilization: samples in, a duty for each machine's workers out.

`rebalance.py` is the pass that decides; the deployment guide's functions are importable from here.
"""

from __future__ import annotations

from ringrift_loop.resources.api import (
    apply_feedback_adjustment,
    apply_proactive_adjustment,
    get_config_weights,
    get_current_selfplay_rate,
    get_optimization_recommendation,
    get_prediction,
    get_proactive_adjustment,
    get_utilization_status,
    negotiate_selfplay_rate,
    update_config_weights,
)

__all__ = [
    "apply_feedback_adjustment",
    "apply_proactive_adjustment",
    "get_config_weights",
    "get_current_selfplay_rate",
    "get_optimization_recommendation",
    "get_prediction",
    "get_proactive_adjustment",
    "get_utilization_status",
    "negotiate_selfplay_rate",
    "update_config_weights",
]
