"""Every setting of `config/unified_loop.yaml`: name, type, default, unit, range.

A default stands here and nowhere else; `presets.py` holds the few values in which the presets differ from it,
`loader.py` reads the file, `docs/6-configuration.md` is generated from this module. Keys of the deployment guide keep
its names and meanings; `config` in the guide's labels and flags is a variant here, such as `square8_2p`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from ringrift_loop.config.setting import section, setting
from ringrift_loop.errors import ConfigError

VARIANT_NAMES = tuple(f"{board}_{n}p" for board in ("square8", "square19", "hex8", "hexagonal") for n in (2, 3, 4))


_DAY_S = 86_400
_YEAR_S = 365 * _DAY_S
_SIMULATIONS = 100_000
_GAMES = 1_000_000
_ROWS = 100_000_000
_GIB = 1_000_000
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_GIB_OF_MEMORY = 65536
_MODEL_BYTES = 1 << 30  # as `network/artifact.py`, which is too heavy to be read here; a test compares


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise ConfigError(complaint)


def _is_hex(variant: str) -> bool:
    return variant.startswith("hex")


@dataclass(frozen=True)
class DataIngestion:
    """How new games are collected from the hosts."""

    poll_interval_seconds: int = setting(30, "time between two looks at every host, s", at_least=10, at_most=3600)
    sync_method: str = setting(
        "incremental",
        "`incremental` lists segments above the watermark only, `full` lists every sealed segment of a host",
        choices=("incremental", "full"),
    )
    min_games_per_sync: int = setting(
        5, "sealed games a host must hold before they are fetched", at_least=1, at_most=_GAMES
    )
    max_age_seconds: int = setting(
        120, "fewer games are fetched anyway once the oldest is this old, s", at_least=10, at_most=_DAY_S
    )
    retry_max_backoff_seconds: int = setting(
        600,
        "longest pause before a failing host is retried; it doubles from the poll interval, s",
        at_least=10,
        at_most=_DAY_S,
    )

    def check(self) -> None:
        """Refuse values that contradict each other."""
        _require(
            self.retry_max_backoff_seconds >= self.poll_interval_seconds,
            "data_ingestion.retry_max_backoff_seconds must be at least data_ingestion.poll_interval_seconds, "
            f"got {self.retry_max_backoff_seconds} and {self.poll_interval_seconds}",
        )


@dataclass(frozen=True)
class Selfplay:
    """How a worker plays."""

    simulations_full: int = setting(
        16, "simulations of a full search; only these give policy targets", at_least=2, at_most=_SIMULATIONS
    )
    simulations_fast: int = setting(8, "simulations of a fast search", at_least=1, at_most=_SIMULATIONS)
    considered_moves: int = setting(
        4,
        "moves that a model's search compares at its root, the most promising; few are better with few simulations",
        at_least=2,
        at_most=1000,
    )
    full_search_probability: float = setting(0.5, "share of searches that are full ones", above=0, at_most=1)
    simulations_per_choice: int = setting(
        4,
        "simulations of a search at most for each legal move, so that a state with few moves takes few",
        at_least=1,
        at_most=_SIMULATIONS,
    )
    games_in_parallel: int = setting(64, "games that one worker plays at once", at_least=1, at_most=65536)
    opening_random_plies: int = setting(8, "a game opens with 0 to this many random moves", at_least=0, at_most=100)
    temperature: float = setting(1.0, "temperature of the played move in the first plies", at_least=0.01, at_most=10)
    temperature_plies: int = setting(30, "plies played at `temperature`", at_least=0, at_most=100_000)
    temperature_final: float = setting(0.2, "temperature from then on", at_least=0.01, at_most=10)
    segment_seconds: int = setting(15, "an open segment is sealed at this age, s", at_least=1, at_most=600)
    segment_games: int = setting(1000, "an open segment is sealed at this many games", at_least=1, at_most=100_000)
    network_threads: int = setting(1, "threads of a worker's network evaluation", at_least=1, at_most=256)
    bootstrap_simulations: int = setting(
        32,
        "simulations of the heuristic-guided search that plays before there is any model",
        at_least=1,
        at_most=_SIMULATIONS,
    )
    transfer: bool = setting(
        True,
        "a variant without a champion is played with that of the nearest variant that has one; false: with the "
        "heuristic-guided search",
    )
    lenders: Mapping[str, tuple[str, ...]] = setting(
        MappingProxyType({}),
        "whose champions a variant without one begins with, in its games and its first training, the nearest first; a "
        "variant that is not named here has the order of docs/1-loop.md",
        choices=VARIANT_NAMES,
    )
    hot_reload: bool = setting(True, "a worker takes a new champion between two games; false: when it is restarted")
    worker_memory_gb: float = setting(
        0.0,
        "memory that one worker may use, GiB; one that uses more ends and is started anew. 0: a core's share of half "
        "of its machine's memory, at least 2 GiB, 6 with a GPU",
        at_least=0,
        at_most=_GIB_OF_MEMORY,
    )

    def check(self) -> None:
        """Refuse values that contradict each other."""
        _require(
            self.simulations_fast <= self.simulations_full,
            "selfplay.simulations_fast must not exceed selfplay.simulations_full, "
            f"got {self.simulations_fast} and {self.simulations_full}",
        )
        for name, others in self.lenders.items():
            _require(name in VARIANT_NAMES, f"selfplay.lenders names variants such as square8_3p, got {name!r}")
            strangers = [other for other in others if other == name or _is_hex(other) != _is_hex(name)]
            _require(
                not strangers and len(set(others)) == len(others),
                f"selfplay.lenders.{name} must be other variants on {'hex' if _is_hex(name) else 'square'} boards, "
                f"each once, got {list(others)}",
            )


@dataclass(frozen=True)
class LossWeights:
    """Weights of the training losses."""

    policy: float = setting(
        1.0, "cross-entropy with the search's visit distribution, full searches only", at_least=0, at_most=1000
    )
    value: float = setting(1.5, "cross-entropy of the seats' shares of the win", at_least=0, at_most=1000)
    owner: float = setting(1.5, "final owner of each cell, mean over the board's cells", at_least=0, at_most=1000)
    score: float = setting(0.1, "final score share of each seat", at_least=0, at_most=1000)
    moves_left: float = setting(0.02, "plies until the end of the game", at_least=0, at_most=1000)

    def check(self) -> None:
        """Refuse weights with which nothing is learnt."""
        _require(
            self.policy > 0 and self.value > 0,
            f"training.loss.policy and training.loss.value must be above 0, got {self.policy:g} and {self.value:g}",
        )


@dataclass(frozen=True)
class Training:
    """When a model is trained, and how."""

    trigger_threshold_games: int = setting(
        300, "new games of a variant that start a training run", at_least=1, at_most=_GAMES
    )
    trigger_threshold_rows: int = setting(
        40_000,
        "rows (searched moves) in a variant's new games that start a training run as well, whichever comes first; "
        "a game of hexagonal holds seven times as many as one of square8",
        at_least=1,
        at_most=_ROWS,
    )
    min_interval_seconds: int = setting(
        120, "least time between two training runs of a variant, s", at_least=0, at_most=_YEAR_S
    )
    min_interval_core_seconds: float = setting(
        0.0,
        "least self-play between two training runs of a variant, core-seconds of its workers, and before the first "
        "one of a variant that has a champion already; counts beside `min_interval_seconds`, of which more or faster "
        "cores make more games",
        at_least=0,
        at_most=1e9,
    )
    max_concurrent_jobs: int = setting(
        0,
        "trainings of different variants at once; 0: as many as there are training hosts, at least one; holds from the "
        "next claim on, no restart needed",
        at_least=0,
        at_most=len(VARIANT_NAMES),
    )
    window_rows_min: int = setting(20_000, "rows of the replay window at first", at_least=1, at_most=_ROWS)
    window_rows_max: int = setting(300_000, "rows of the replay window at most", at_least=1, at_most=_ROWS)
    window_growth_exponent: float = setting(
        0.75, "the window grows with the variant's rows to this power", above=0, at_most=1
    )
    samples_per_row: float = setting(2.0, "how often a new row is drawn, on average", above=0, at_most=64)
    batch_size: int = setting(256, "rows per step", at_least=1, at_most=65536)
    learning_rate: float = setting(2e-3, "AdamW's rate after the warm-up", at_least=1e-8, at_most=1)
    learning_rate_final: float = setting(5e-4, "AdamW's rate at the last step", at_least=1e-8, at_most=1)
    weight_decay: float = setting(1e-4, "AdamW's weight decay", at_least=0, at_most=1)
    warmup_steps: int = setting(500, "steps over which the rate rises from 0", at_least=0, at_most=1_000_000)
    gradient_clip: float = setting(1.0, "norm at which gradients are clipped", above=0, at_most=1000)
    validation_fraction: float = setting(0.1, "share of the games kept for validation", above=0, below=1)
    blocks: int = setting(2, "residual blocks of the network", at_least=1, at_most=64)
    channels: int = setting(32, "channels of the network", at_least=8, at_most=1024)
    ema_decay: float = setting(0.999, "decay per step of the exported average of the weights", at_least=0, below=1)
    checkpoint_seconds: int = setting(30, "time between two checkpoints, s", at_least=1, at_most=_DAY_S)
    threads: int = setting(
        1,
        "threads of a training run on a CPU; more only where cores are idle: beside self-play two are slower than one",
        at_least=1,
        at_most=256,
    )
    value_outcome_share: float = setting(
        0.6,
        "share of the game's outcome in the value target; the rest is the search's root value",
        at_least=0,
        at_most=1,
    )
    bootstrap_outcome_share: float = setting(
        0.6,
        "the same in games that no model played; with 1.0, the outcome alone, the first network is weaker",
        at_least=0,
        at_most=1,
    )
    surprise_share: float = setting(
        0.8,
        "share of the rows' draws that goes by how far their search found something else than its player expected; "
        "0 draws every row alike",
        at_least=0,
        at_most=1,
    )
    stuck_after_seconds: int = setting(
        7200,
        "a run that takes longer has failed, s; on a larger board more, in proportion to its area",
        at_least=60,
        at_most=_YEAR_S,
    )
    backlog_factor: float = setting(
        30.0,
        "a variant's self-play is slowed when more than this many times `trigger_threshold_games` wait for training",
        at_least=2,
        at_most=100_000,
    )
    loss: LossWeights = section(LossWeights)

    def check(self) -> None:
        """Refuse values that contradict each other."""
        _require(
            self.window_rows_min <= self.window_rows_max,
            "training.window_rows_min must not exceed training.window_rows_max, "
            f"got {self.window_rows_min} and {self.window_rows_max}",
        )
        _require(
            self.learning_rate_final <= self.learning_rate,
            "training.learning_rate_final must not exceed training.learning_rate, "
            f"got {self.learning_rate_final:g} and {self.learning_rate:g}",
        )
        # Two convolutions of 3 x 3 and a pooling of a block hold nearly all of the weights, 4 bytes each.
        size = self.blocks * self.channels**2 * (2 * 9 + 2) * 4
        _require(
            size <= 0.9 * _MODEL_BYTES,
            f"training.blocks and training.channels give a model of {size >> 20} MiB, a model has at most "
            f"{_MODEL_BYTES >> 20}, got {self.blocks} and {self.channels}",
        )


@dataclass(frozen=True)
class Evaluation:
    """How often models meet, and with what search."""

    shadow_interval_seconds: int = setting(300, "time between two shadow tournaments, s", at_least=30, at_most=_DAY_S)
    shadow_games_per_config: int = setting(
        15,
        "games of a variant per shadow tournament, rounded up to whole blocks, one game per seat",
        at_least=2,
        at_most=10_000,
    )
    shadow_cores: float = setting(
        0.25,
        "cores that the shadow tournaments of all variants keep busy on average at most; where that does not suffice "
        "for `shadow_games_per_config`, a variant plays fewer or less often",
        at_least=0.05,
        at_most=1024,
    )
    full_tournament_interval_seconds: int = setting(
        3600, "time between two full tournaments, s", at_least=60, at_most=_DAY_S
    )
    simulations: int = setting(16, "simulations per move in every match", at_least=1, at_most=_SIMULATIONS)
    considered_moves: int = setting(
        4,
        "moves that a model's search compares at its root in every match; with another number a model is another "
        "participant",
        at_least=2,
        at_most=1000,
    )
    opening_random_plies: int = setting(8, "random moves that open every block of games", at_least=0, at_most=100)


@dataclass(frozen=True)
class Inference:
    """How models are evaluated on CPUs."""

    int8: str = setting(
        "auto",
        "convolutions of candidates and imported models in eight bits, for ONNX Runtime: `auto` where that is faster "
        "on the machine that takes them in, `always`, or `never`; one whose outputs that would change too much keeps "
        "float32",
        choices=("auto", "always", "never"),
    )


@dataclass(frozen=True)
class Promotion:
    """What a candidate needs to become the champion."""

    auto_promote: bool = setting(True, "false: a candidate that passes waits for a person")
    require_approval: bool = setting(
        False, "a person approves each promotion and rollback on Airflow's page before it happens"
    )
    elo_threshold: float = setting(
        20.0, "least Elo gain over the champion, as a point estimate", at_least=0, at_most=400
    )
    min_games: int = setting(50, "least games against the champion", at_least=1, at_most=_GAMES)
    regression_test: bool = setting(True, "run the regression gate before a promotion; false is recorded as skipped")
    cooldown_seconds: int = setting(
        900, "least time between two promotions of a variant, s", at_least=0, at_most=_YEAR_S
    )
    max_promotions_per_day: int = setting(
        15, "most promotions of a variant within 24 hours", at_least=1, at_most=_DAY_S
    )
    early_generator: bool = setting(
        True,
        "a candidate makes the self-play games as soon as it wins its share of the games at a look of the champion "
        "gate; false: the champion alone does",
    )
    auto_rollback: bool = setting(
        True,
        "a champion that its shadow games show to be weaker than its predecessor is rolled back; false: that is only "
        "said",
    )
    confidence: float = setting(
        0.975, "least posterior probability that the gain is above 0, asked at each look", at_least=0.5, below=1
    )
    looks: tuple[int, ...] = setting(
        (100, 200, 400, 800),
        "numbers of games after which the champion gate looks at the result",
        at_least=2,
        at_most=_GAMES,
    )

    def check(self) -> None:
        """Refuse values that contradict each other."""
        rising = all(a < b for a, b in pairwise(self.looks))
        _require(bool(self.looks) and rising, f"promotion.looks must be a rising list, got {list(self.looks)}")
        _require(
            self.looks[-1] >= self.min_games,
            "promotion.looks must reach promotion.min_games, or no candidate can pass, "
            f"got {list(self.looks)} and {self.min_games}",
        )


@dataclass(frozen=True)
class Curriculum:
    """How self-play is shared between the variants."""

    adaptive: bool = setting(True, "weights follow the ratings; false: every variant weighs 1")
    rebalance_interval_seconds: int = setting(
        3600, "time between two computations of the weights, s", at_least=60, at_most=_DAY_S
    )
    max_weight_multiplier: float = setting(1.5, "largest weight of a variant that lags behind", at_least=1, at_most=10)
    min_weight_multiplier: float = setting(0.7, "smallest weight of a variant that is ahead", at_least=0.01, at_most=1)
    ema_alpha: float = setting(0.3, "share of the new weight in the smoothed one", above=0, at_most=1)
    min_games_for_weight: int = setting(
        100, "rated games before a variant's rating moves its weight", at_least=0, at_most=_GAMES
    )


@dataclass(frozen=True)
class Regression:
    """The regression gate's limits."""

    hard_block: bool = setting(True, "a failed gate blocks the promotion; false: the report is only recorded")
    timeout_seconds: int = setting(
        600,
        "deadline of the whole gate, s, without the time in which others had the processor; more where a variant's "
        "games cost more",
        at_least=10,
        at_most=_DAY_S,
    )
    max_inference_ms: float = setting(
        50.0, "largest median latency of one evaluation on the machine of the gate, ms", above=0, at_most=60_000
    )
    games: int = setting(
        100,
        "games against each baseline; fewer when a fifth of them or more leave the verdict in no doubt",
        at_least=2,
        at_most=10_000,
    )
    min_win_rate_random: Mapping[int, float] = setting(
        MappingProxyType({2: 0.90, 3: 0.55, 4: 0.45}),
        "share of wins against random players that must be exceeded, by number of players",
        at_least=0,
        below=1,
    )
    min_win_rate_heuristic: Mapping[int, float] = setting(
        MappingProxyType({2: 0.55, 3: 0.45, 4: 0.35}),
        "share of wins against heuristic players that must be exceeded, by number of players",
        at_least=0,
        below=1,
    )

    def check(self) -> None:
        """Refuse floors that leave a number of players out."""
        for key in ("min_win_rate_random", "min_win_rate_heuristic"):
            players = sorted(getattr(self, key))
            _require(players == [2, 3, 4], f"regression.{key} needs a floor for 2, 3 and 4 players, got {players}")


@dataclass(frozen=True)
class Pid:
    """Gains of the controller of utilization."""

    kp: float = setting(0.3, "proportional gain", at_least=0, at_most=10)
    ki: float = setting(0.05, "integral gain", at_least=0, at_most=10)
    kd: float = setting(0.1, "derivative gain", at_least=0, at_most=10)
    gain_scheduling: bool = setting(True, "larger gains far from the target, smaller ones close to it")
    output_smoothing: float = setting(0.3, "share of the previous output in the new one", at_least=0, below=1)


@dataclass(frozen=True)
class ResourceTargets:
    """Utilization that the loop aims for, in percent."""

    cpu_min: float = setting(60.0, "below this the CPUs are under-used, %", at_least=0, at_most=97)
    cpu_target: float = setting(70.0, "the controller's aim for CPUs, %", at_least=1, at_most=98)
    cpu_max: float = setting(80.0, "above this no new jobs start, %", at_least=2, at_most=100)
    cpu_critical: float = setting(90.0, "above this jobs are taken away, %", at_least=3, at_most=100)
    gpu_min: float = setting(60.0, "below this the GPUs are under-used, %", at_least=0, at_most=97)
    gpu_target: float = setting(75.0, "the controller's aim for GPUs, %", at_least=1, at_most=98)
    gpu_max: float = setting(85.0, "above this no new jobs start, %", at_least=2, at_most=100)
    gpu_critical: float = setting(95.0, "above this jobs are taken away, %", at_least=3, at_most=100)
    gpu_memory_warning: float = setting(
        80.0,
        "from here on new work on GPUs is cut to 70 %, and a job must say how much it needs, %",
        at_least=1,
        at_most=100,
    )
    gpu_memory_critical: float = setting(
        90.0, "from here on it is cut to 30 %, and no job is placed there, %", at_least=1, at_most=100
    )
    job_memory_gb: float = setting(
        0.0,
        "memory that one job may use with all that it starts, GiB: a training, a gate, a job on a host. One that uses "
        "more is ended and has failed. 0: half of its machine's memory",
        at_least=0,
        at_most=_GIB_OF_MEMORY,
    )
    memory_max: float = setting(
        85.0,
        "while a machine uses more of its memory, one worker after the other rests at once, and none is woken, %",
        at_least=20,
        at_most=100,
    )
    disk_max: float = setting(
        85.0,
        "from here on self-play is slowed: the host's for its own disk, everyone's for the coordinator's. Of a disk "
        "above 200 GiB its last 200 GiB count as the whole, %",
        at_least=10,
        at_most=99,
    )
    disk_critical: float = setting(
        95.0, "from here on it rests, until the disk is below `disk_max`, %", at_least=11, at_most=100
    )
    pid: Pid = section(Pid)

    def check(self) -> None:
        """Refuse bands that are out of order."""
        for unit in ("cpu", "gpu"):
            band = [float(getattr(self, f"{unit}_{part}")) for part in ("min", "target", "max", "critical")]
            _require(
                # `cpu_max: 100` lets the machine be used whole: then nothing is critical.
                all(a < b for a, b in pairwise(band[: 3 if band[2] >= 100 else 4])),
                f"resource_targets.{unit}_min, {unit}_target, {unit}_max, {unit}_critical must rise in this order, got "
                + ", ".join(f"{value:g}" for value in band),
            )
        _require(
            self.gpu_memory_warning <= self.gpu_memory_critical,
            "resource_targets.gpu_memory_warning must be at most gpu_memory_critical, got "
            f"{self.gpu_memory_warning:g} and {self.gpu_memory_critical:g}",
        )
        _require(
            self.disk_max < self.disk_critical,
            f"resource_targets.disk_max must be below disk_critical, got {self.disk_max:g} and {self.disk_critical:g}",
        )


@dataclass(frozen=True)
class Alerts:
    """Limits of the alert rules that `ringrift-loop monitoring rules` writes."""

    loop_down_seconds: int = setting(
        300, "without a sign of life for so long, the loop is down, s", at_least=60, at_most=_DAY_S
    )
    no_task_seconds: int = setting(
        300, "without a started task for so long, Airflow stands still, s", at_least=60, at_most=_DAY_S
    )
    no_games_seconds: int = setting(
        1800, "without a new game for so long, self-play or sync stand still, s", at_least=60, at_most=_DAY_S
    )
    no_promotion_seconds: int = setting(
        _DAY_S, "a candidate, and no promotion for so long after it, s", at_least=3600, at_most=_YEAR_S
    )
    sync_error_share: float = setting(0.25, "share of failed visits to hosts in half an hour", above=0, below=1)
    quarantine_share: float = setting(0.02, "share of a host's games of an hour that were refused", above=0, below=1)
    pending_games: int = setting(5000, "games that wait for training, over all variants", at_least=1, at_most=_GAMES)
    min_active_hosts: int = setting(
        5, "fewer hosts that answer are few, if others are enabled", at_least=1, at_most=100_000
    )
    candidates_without_promotion: int = setting(
        10, "candidates in a row that were not promoted", at_least=1, at_most=10_000
    )
    learning_days: int = setting(3, "days in which a champion should become stronger", at_least=1, at_most=14)
    elo_decline_per_hour: float = setting(1.0, "loss of a champion's rating, Elo an hour", at_least=0, at_most=1000)
    memory_percent: float = setting(85.0, "memory in use on a host, %", above=0, at_most=100)
    disk_percent: float = setting(
        90.0,
        "taken of the coordinator's or a host's disk; of one above 200 GiB its last 200 GiB count as the whole, %",
        above=0,
        at_most=100,
    )


@dataclass(frozen=True)
class Retention:
    """How long and how much is kept of what nothing refers to any more; nothing younger than a day is deleted."""

    apply: bool = setting(False, "delete every day; false: only say what would be deleted")
    segments_days: float = setting(
        90.0, "segments whose games no replay window reaches are kept for so long, days", at_least=1, at_most=3650
    )
    segments_gib: float = setting(
        100.0, "space of all segments; above it such ones go earlier, GiB", above=0, at_most=_GIB
    )
    training_days: float = setting(
        7.0,
        "folders of ended training runs, checkpoints included, are kept for so long, days",
        at_least=1,
        at_most=3650,
    )
    training_gib: float = setting(
        50.0, "space of all training runs; above it such ones go earlier, GiB", above=0, at_most=_GIB
    )
    models_days: float = setting(
        90.0, "models that are neither champions nor in use are kept for so long, days", at_least=1, at_most=3650
    )
    models_gib: float = setting(50.0, "space of all models; above it such ones go earlier, GiB", above=0, at_most=_GIB)
    logs_days: float = setting(30.0, "logs of Airflow's tasks are kept for so long, days", at_least=1, at_most=3650)
    logs_gib: float = setting(
        10.0, "space of all those logs; above it the oldest go earlier, GiB", above=0, at_most=_GIB
    )
    airflow_days: float = setting(
        30.0, "runs and tasks stay in Airflow's own database for so long, days", at_least=1, at_most=3650
    )


@dataclass(frozen=True)
class Notifications:
    """Who is told of failures, stuck trainings, promotions and rollbacks."""

    notifier: str = setting("", "import path of a notifier class of Airflow's; empty: nobody is told")
    arguments: Mapping[str, str] = setting(
        MappingProxyType({}), "what the notifier is made with; `{{ ringrift_message }}` is what happened, in a sentence"
    )

    def check(self) -> None:
        """Refuse what is no import path."""
        _require(
            not self.notifier or _IMPORT_PATH.fullmatch(self.notifier) is not None,
            "notifications.notifier must be an import path, such as "
            f"airflow.providers.smtp.notifications.smtp.SmtpNotifier, got {self.notifier!r}",
        )


@dataclass(frozen=True)
class LoopConfig:
    """The whole configuration; each stage is handed its own section."""

    preset: str = setting(
        "optimized",
        "values of the keys that the file leaves out: the guide's overview or, `conservative`, its YAML example",
        choices=("optimized", "conservative"),
    )
    variants: tuple[str, ...] = setting(
        ("square8_2p", "hex8_2p"), "variants that the loop improves", choices=VARIANT_NAMES
    )
    metrics_port: int = setting(9102, "TCP port of the metrics bridge's `/metrics`", at_least=1, at_most=65535)
    statsd_host: str = setting("127.0.0.1", "where StatsD packets go")
    statsd_port: int = setting(8125, "UDP port that StatsD packets go to", at_least=1, at_most=65535)
    data_ingestion: DataIngestion = section(DataIngestion)
    selfplay: Selfplay = section(Selfplay)
    training: Training = section(Training)
    evaluation: Evaluation = section(Evaluation)
    inference: Inference = section(Inference)
    promotion: Promotion = section(Promotion)
    curriculum: Curriculum = section(Curriculum)
    regression: Regression = section(Regression)
    resource_targets: ResourceTargets = section(ResourceTargets)
    alerts: Alerts = section(Alerts)
    retention: Retention = section(Retention)
    notifications: Notifications = section(Notifications)

    def check(self) -> None:
        """Refuse a list of variants that is empty or names one twice."""
        _require(bool(self.variants), "variants must name at least one variant, such as square8_2p")
        _require(
            len(set(self.variants)) == len(self.variants), f"variants must not repeat a name, got {list(self.variants)}"
        )
        _require(bool(self.statsd_host), "statsd_host must not be empty, try 127.0.0.1")
