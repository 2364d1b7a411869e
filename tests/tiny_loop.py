"""Settings of a loop that goes once round in seconds and learns next to nothing: do the stages fit?"""

from __future__ import annotations

_NO_FLOOR = "{2: 0, 3: 0, 4: 0}"
SETTINGS = {
    "selfplay.simulations_full": "4",
    "selfplay.simulations_fast": "2",
    "selfplay.bootstrap_simulations": "8",
    "selfplay.games_in_parallel": "8",
    "selfplay.segment_seconds": "1",
    "training.trigger_threshold_games": "16",
    "training.min_interval_core_seconds": "0",
    "training.window_rows_min": "200",
    "training.samples_per_row": "1.0",
    "training.batch_size": "64",
    "training.warmup_steps": "5",
    "training.validation_fraction": "0.3",
    "training.blocks": "1",
    "training.channels": "8",
    "training.threads": "1",
    "evaluation.simulations": "2",
    "promotion.looks": "[4, 8]",
    "promotion.min_games": "4",
    "regression.hard_block": "false",
    "regression.games": "4",
    "regression.max_inference_ms": "10000",
    "regression.min_win_rate_random": _NO_FLOOR,
    "regression.min_win_rate_heuristic": _NO_FLOOR,
}
