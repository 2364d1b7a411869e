"""The first third of a training run, where the ledger is: its start, its replay window and its schedule as a bundle.

A bundle that is finished is kept when the same is asked for again; of one that is not, the window is kept. The next
third is run_bundle.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ringrift_loop.config.schema import Training
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.ledger import training
from ringrift_loop.ledger.training import TrainingRunRow, WindowGameRow
from ringrift_loop.loop import Loop
from ringrift_loop.network.encoding import ENCODING_VERSION
from ringrift_loop.training.gather import Gathered, WindowPlan, gather
from ringrift_loop.training.remote.bundle import (
    FORMAT_VERSION,
    MANIFEST,
    START,
    WINDOW,
    Bundle,
    describe_files,
    read_bundle,
    seal_bundle,
)
from ringrift_loop.training.report import WindowFigures
from ringrift_loop.training.schedule import Schedule, plan_schedule, window_rows_wanted
from ringrift_loop.training.start import Start, choose_start, recorded_start, start_weights
from ringrift_loop.training.targets import check_targets, target_statistics
from ringrift_loop.training.window import FORMAT_VERSION as WINDOW_FORMAT

_log = logging.getLogger(__name__)

_STAGING = ".bundle.new"
_WHEN_TO_TRAIN = (
    "trigger_threshold_games",
    "trigger_threshold_rows",
    "min_interval_seconds",
    "min_interval_core_seconds",
)
"""Settings that say nothing about a run that has begun."""
_INDIFFERENT = (*_WHEN_TO_TRAIN, "threads", "checkpoint_seconds", "stuck_after_seconds")
"""Settings that do not change what a run makes."""


def prepare(loop: Loop, run: TrainingRunRow, wanted: Start | None = None) -> Bundle:
    """Write the bundle of a claimed run to `RunDirectory.training_bundle`; call it under the variant's lease.

    Args:
        loop: the loop.
        run: the run.
        wanted: what it shall start from; by default `choose_start` decides.

    Raises:
        ConfigError: the run has begun already, from another start than the wanted one.
        DataError: the games make no window that can be trained on, or the bundle is too large.
        ModelError: the model to start from does not load.
    """
    settings = loop.config.training
    start, games = _begin(loop, run, wanted)
    plan = WindowPlan(run.variant, games, settings.validation_fraction)
    request = _request(run, start, plan, settings)
    folder = loop.directory.training_bundle(run.id)
    kept = _kept(folder, request)
    if kept is not None:
        return kept
    _log.info("training run %s starts from %s, with %d games", run.id, start.why, len(games))
    staging = _staged(folder)
    weights, parent_encoding = start_weights(start, loop.directory, run.variant, settings)
    if weights is None:
        (staging / START).unlink(missing_ok=True)
    else:
        (staging / START).write_bytes(weights)
    gathered = gather(plan, loop.directory, staging / WINDOW)
    statistics = target_statistics(gathered.window, variant_of(run.variant).players)
    check_targets(statistics)
    figures = _figures(gathered)
    schedule = plan_schedule(
        settings,
        fresh_rows=figures.fresh_rows,
        window_rows=figures.training_rows,
        cold=start.is_cold,
        borrowed=start.borrowed,
    )
    bundle = Bundle(
        v=FORMAT_VERSION,
        request=request,
        identity=_identity(run, start, gathered, settings, schedule),
        run_id=run.id,
        variant=run.variant,
        engine_version=ENGINE_VERSION,
        encoding_version=ENCODING_VERSION,
        parent=start.digest,
        parent_encoding=parent_encoding,
        start=start.why,
        seed=int(hashlib.sha256(run.id.encode()).hexdigest()[:12], 16),
        settings=settings,
        schedule=schedule,
        window=figures,
        targets=statistics,
        created_at=loop.clock(),
        files=describe_files(staging),
    )
    seal_bundle(staging, bundle, folder)
    _log.info(
        "window of %d games, %d rows, %d of them fresh; %d steps; a bundle of %.1f MB",
        figures.games,
        figures.rows,
        figures.fresh_rows,
        schedule.steps,
        bundle.num_bytes / 1e6,
    )
    return bundle


def _begin(loop: Loop, run: TrainingRunRow, wanted: Start | None) -> tuple[Start, list[WindowGameRow]]:
    """Settle what the run starts from and learns from, and record that it runs."""
    settings = loop.config.training
    with loop.ledger.begin() as conn:
        if run.state == "running":
            start = recorded_start(conn, run, loop.directory)
            if wanted is not None and wanted.digest != start.digest:
                raise ConfigError(
                    f"training run {run.id} has begun from {start.why} ({(start.digest or 'none')[:12]}) and goes on "
                    "from there; leave --start-from away, or let it end first"
                )
        else:
            start = wanted or choose_start(conn, run.variant, settings, loop.config.selfplay.lenders)
        rows = window_rows_wanted(settings, training.consumed_rows(conn, run.variant))
        games = training.window(
            conn,
            run,
            rows=rows,
            rows_max=settings.window_rows_max,
            seen_until=start.seen_until,
            engine_version=ENGINE_VERSION,
        )
        training.mark_running(
            conn,
            run.id,
            window_games=len(games),
            window_rows=sum(game.rows for game in games),
            parent_digest=start.digest,
            lent=start.borrowed,
        )
        return start, games


def _kept(folder: Path, request: str) -> Bundle | None:
    """The finished bundle of an earlier try, if it answers the same request."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        bundle = read_bundle(folder)
    except DataError as error:
        _log.warning("the bundle of an earlier try is made anew: %s", error)
        return None
    return bundle if bundle.request == request else None


def _staged(folder: Path) -> Path:
    """The folder in which the bundle is made; with the window of an earlier bundle or try, if there is one."""
    staging = folder.with_name(_STAGING)
    if folder.exists():
        shutil.rmtree(staging, ignore_errors=True)
        folder.rename(staging)
    staging.mkdir(parents=True, exist_ok=True)
    (staging / MANIFEST).unlink(missing_ok=True)
    return staging


def _figures(gathered: Gathered) -> WindowFigures:
    window = gathered.window
    training_rows = window.row_numbers(validation=False)
    validation_rows = window.row_numbers(validation=True)
    if len(training_rows) == 0 or len(validation_rows) == 0:
        raise DataError(f"the window has {len(training_rows)} training and {len(validation_rows)} validation rows")
    is_fresh = np.zeros(window.num_games, np.bool_)
    is_fresh[list(gathered.fresh)] = True
    return WindowFigures(
        digest=gathered.digest,
        games=window.num_games,
        rows=window.num_rows,
        training_rows=len(training_rows),
        validation_rows=len(validation_rows),
        fresh_games=len(gathered.fresh),
        fresh_rows=int(is_fresh[window.game[training_rows]].sum()),
        lost_games=len(gathered.lost),
    )


def _request(run: TrainingRunRow, start: Start, plan: WindowPlan, settings: Training) -> str:
    """Digest of what is asked for."""
    return _digest(
        {
            "format": [FORMAT_VERSION, WINDOW_FORMAT],
            "run": run.id,
            "start": start.digest,
            "window": plan.digest,
            "fresh": sorted(game.id for game in plan.games if game.fresh),
            "settings": _without(settings, _WHEN_TO_TRAIN),
            "engine": ENGINE_VERSION,
            "encoding": ENCODING_VERSION,
        }
    )


def _identity(run: TrainingRunRow, start: Start, gathered: Gathered, settings: Training, schedule: Schedule) -> str:
    """Digest of all that decides what the run makes; how often it saves and on how many threads does not."""
    return _digest(
        {
            "run": run.id,
            "start": start.digest,
            "window": gathered.digest,
            "lost": gathered.lost,
            "settings": _without(settings, _INDIFFERENT),
            "schedule": asdict(schedule),
            "engine": ENGINE_VERSION,
            "encoding": ENCODING_VERSION,
        }
    )


def _without(settings: Training, names: tuple[str, ...]) -> dict[str, object]:
    return {key: value for key, value in asdict(settings).items() if key not in names}


def _digest(document: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
