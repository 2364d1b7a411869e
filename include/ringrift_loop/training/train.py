"""A claimed training run, from its window to its registered candidate.

Killed at any point and called again, it goes on: the window and the checkpoint lie in the run's folder, the candidate
is named by its weights, and the ledger learns of it in one transaction at the end. claim.py makes runs and gives up on
them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ringrift_loop.config.schema import Training
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, LedgerError, ModelError
from ringrift_loop.ledger import events, leases, models, training
from ringrift_loop.ledger.training import TrainingRunRow, WindowGameRow
from ringrift_loop.loop import Loop
from ringrift_loop.network.encoding import ENCODING_VERSION
from ringrift_loop.network.export import save_model
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.training.batches import BatchMaker
from ringrift_loop.training.claim import lease_name
from ringrift_loop.training.fit import CHECKPOINT, Fit, FitTask, fit
from ringrift_loop.training.gather import Gathered, WindowPlan, gather
from ringrift_loop.training.report import OVERFIT_ALARM, TrainingReport, WindowFigures
from ringrift_loop.training.schedule import Schedule, plan_schedule, window_rows_wanted
from ringrift_loop.training.start import Start, choose_start, open_start, recorded_start
from ringrift_loop.training.targets import TargetStatistics, check_targets, target_statistics

_log = logging.getLogger(__name__)

_WINDOW = "window"


def train(loop: Loop, run_id: str, *, wait_s: float = 0.0) -> TrainingReport:
    """Train the candidate of a claimed run; a run that has succeeded already returns its report again.

    Args:
        loop: the loop.
        run_id: the run.
        wait_s: how long to wait for another process that works on the variant. It may be an earlier try of the same
            task that lived on when its supervisor died: what it makes of the run is the answer then.

    Raises:
        NoCapacity: another process works on the variant.
        LedgerError: there is no such run, or it has failed.
        DataError, ModelError: the games or the model to start from are no good; the run is recorded as failed and its
        games
            are free again. After any other error the run may be resumed.
    """
    with loop.ledger.read() as conn:
        run = training.require(conn, run_id)
    finished = _finished(run)
    if finished is not None:
        return finished
    with leases.hold(loop.ledger, lease_name(run.variant), wait_s=wait_s, clock=loop.clock) as lease:
        with loop.ledger.read() as conn:
            run = training.require(conn, run_id)  # whoever held the lease may have ended it
        finished = _finished(run)
        if finished is not None:
            return finished
        try:
            return _train(loop, run, lease)
        except (DataError, ModelError) as error:
            _record_failure(loop, run, str(error))
            raise


def _finished(run: TrainingRunRow) -> TrainingReport | None:
    """The report of a run that has succeeded, None for one that is open; a failed one is an error."""
    if run.state == "succeeded" and run.report is not None:
        return TrainingReport.from_json(run.report)
    if run.state not in training.ACTIVE:
        raise LedgerError(f"training run {run.id} is {run.state}: {run.error}")
    return None


def _train(loop: Loop, run: TrainingRunRow, lease: leases.Lease) -> TrainingReport:
    settings = loop.config.training
    folder = loop.directory.training(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.threads)

    start, games = _begin(loop, run)
    _log.info("training run %s starts from %s, with %d games", run.id, start.why, len(games))
    gathered = gather(WindowPlan(run.variant, games, settings.validation_fraction), loop.directory, folder / _WINDOW)
    statistics = target_statistics(gathered.window)
    check_targets(statistics)
    task, figures = _fit_task(run, start, gathered, settings, folder)
    _log.info(
        "window of %d games, %d rows, %d of them fresh; %d steps",
        figures.games,
        figures.rows,
        figures.fresh_rows,
        task.schedule.steps,
    )
    net = open_start(start, loop.directory, run.variant, settings, seed=task.seed)
    result = fit(net, task)
    lease.check()
    report = _register(loop, run, start, net, result, figures, statistics)
    _write_report(folder, report)
    shutil.rmtree(folder / _WINDOW, ignore_errors=True)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return report


def _begin(loop: Loop, run: TrainingRunRow) -> tuple[Start, list[WindowGameRow]]:
    """Settle what the run starts from and learns from, and record that it runs."""
    settings = loop.config.training
    with loop.ledger.begin() as conn:
        start = recorded_start(conn, run) if run.state == "running" else choose_start(conn, run.variant, settings)
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
        )
        return start, games


def _fit_task(
    run: TrainingRunRow, start: Start, gathered: Gathered, settings: Training, folder: Path
) -> tuple[FitTask, WindowFigures]:
    window = gathered.window
    training_rows = window.row_numbers(validation=False)
    validation_rows = window.row_numbers(validation=True)
    if len(training_rows) == 0 or len(validation_rows) == 0:
        raise DataError(f"the window has {len(training_rows)} training and {len(validation_rows)} validation rows")
    is_fresh = np.zeros(window.num_games, np.bool_)
    is_fresh[list(gathered.fresh)] = True
    figures = WindowFigures(
        digest=gathered.digest,
        games=window.num_games,
        rows=window.num_rows,
        training_rows=len(training_rows),
        validation_rows=len(validation_rows),
        fresh_games=len(gathered.fresh),
        fresh_rows=int(is_fresh[window.game[training_rows]].sum()),
        lost_games=len(gathered.lost),
    )
    schedule = plan_schedule(
        settings, fresh_rows=figures.fresh_rows, window_rows=len(training_rows), cold=start.is_cold
    )
    task = FitTask(
        maker=BatchMaker(rules_for(run.variant), run.variant, window, value_outcome_share=settings.value_outcome_share),
        training_rows=training_rows,
        validation_rows=validation_rows,
        settings=settings,
        schedule=schedule,
        seed=int(hashlib.sha256(run.id.encode()).hexdigest()[:12], 16),
        identity=_identity(run, start, gathered, settings, schedule),
        folder=folder,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    return task, figures


def _identity(run: TrainingRunRow, start: Start, gathered: Gathered, settings: Training, schedule: Schedule) -> str:
    """Digest of all that decides what the run makes; how often it saves and on how many threads does not."""
    indifferent = (
        "threads",
        "checkpoint_seconds",
        "stuck_after_seconds",
        "trigger_threshold_games",
        "min_interval_seconds",
    )
    document = {
        "run": run.id,
        "start": start.digest,
        "window": gathered.digest,
        "lost": gathered.lost,
        "settings": {key: value for key, value in asdict(settings).items() if key not in indifferent},
        "schedule": asdict(schedule),
        "engine": ENGINE_VERSION,
        "encoding": ENCODING_VERSION,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _register(
    loop: Loop,
    run: TrainingRunRow,
    start: Start,
    net: RingRiftNet,
    result: Fit,
    figures: WindowFigures,
    statistics: TargetStatistics,
) -> TrainingReport:
    """Write the candidate's files, then the ledger's rows, the model and the end of its run, in one transaction."""
    at = loop.clock()
    manifest = save_model(
        net,
        loop.directory.model,
        variant=run.variant,
        engine_version=ENGINE_VERSION,
        parent=start.digest,
        training_run=run.id,
        created_at=at,
    )
    gap = result.validation.value - result.train.value
    with loop.ledger.begin() as conn:
        model = models.add(
            conn,
            manifest.digest,
            run.variant,
            parent_digest=start.digest,
            training_run=run.id,
            manifest=manifest.to_json(),
            at=at,
        )
        report = TrainingReport(
            run_id=run.id,
            variant=run.variant,
            model_digest=manifest.digest,
            generation=model.generation,
            parent=start.digest,
            start=start.why,
            architecture=net.architecture.name,
            window=figures,
            targets=statistics,
            value_outcome_share=loop.config.training.value_outcome_share,
            train=result.train,
            validation=result.validation,
            overfit_gap=gap,
            overfit_alarm=gap > OVERFIT_ALARM,
            steps=result.steps,
            best_step=result.best_step,
            samples=result.samples,
            seconds=result.seconds,
            samples_per_s=result.samples / max(result.seconds, 1e-9),
            resumed=result.resumed,
        )
        training.succeed(conn, run.id, model_digest=manifest.digest, report=report.to_json(), at=at)
        events.record(conn, "training", _summary(report), at=at, variant=run.variant, data={"run_id": run.id})
    _announce(loop, run, report, at)
    return report


def _summary(report: TrainingReport) -> str:
    text = (
        f"training run {report.run_id} made {report.variant} generation {report.generation}, "
        f"{report.model_digest[:12]}: "
        f"validation policy {report.validation.policy:.4f}, value {report.validation.value:.4f}"
    )
    if report.overfit_alarm:
        text += f"; validation value loss is {report.overfit_gap:.3f} above training: it overfits"
    return text


def _announce(loop: Loop, run: TrainingRunRow, report: TrainingReport, at: float) -> None:
    _log.log(logging.WARNING if report.overfit_alarm else logging.INFO, "%s", _summary(report))
    loop.metrics.incr("ringrift_training_runs_total", config=run.variant, status="succeeded")
    loop.metrics.observe("ringrift_training_duration_seconds", at - run.started_at, config=run.variant)
    for head in ("total", "policy", "value"):
        figure = getattr(report.validation, head)
        loop.metrics.gauge("ringrift_training_validation_loss", figure, config=run.variant, head=head)


def _record_failure(loop: Loop, run: TrainingRunRow, reason: str) -> None:
    with loop.ledger.begin() as conn:
        given_back = training.fail(conn, run.id, error=reason, at=loop.clock())
        message = f"training run {run.id} failed, {given_back} games are free again: {reason}"
        events.record(conn, "training", message, at=loop.clock(), variant=run.variant, data={"run_id": run.id})
    loop.metrics.incr("ringrift_training_runs_total", config=run.variant, status="failed")


def _write_report(folder: Path, report: TrainingReport) -> None:
    temporary = folder / ".report.json.tmp"
    temporary.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    temporary.rename(folder / "report.json")
