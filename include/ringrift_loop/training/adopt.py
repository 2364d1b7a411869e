"""The last third of a training run, where the ledger is: the candidate of an output folder is checked and registered.

The folder may come from a host, so nothing in it is believed: the report is compared with the bundle that was prepared
here, and of the model only the weights are taken, into a network of the bundle's architecture. Manifest and ONNX file
are made here, the latter in eight bits where that pays (`precision.py`).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import numpy as np

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError
from ringrift_loop.ledger import models, training
from ringrift_loop.ledger.training import TrainingRunRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.files import read_plain, write_json
from ringrift_loop.network.artifact import Manifest
from ringrift_loop.network.comparison import compare_backends
from ringrift_loop.network.export import export_onnx, network_from, save_model, tensors_of
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.ratings.holdout import Holdout
from ringrift_loop.training.batches import BatchMaker
from ringrift_loop.training.holdout import compare_holdout
from ringrift_loop.training.precision import Precision, checked_rows, choose_precision, window_batches
from ringrift_loop.training.remote.bundle import WINDOW, Bundle, read_bundle
from ringrift_loop.training.remote.outcome import REPORT, Outcome, bundle_architecture, candidate_weights, read_outcome
from ringrift_loop.training.report import OVERFIT_ALARM, TrainingReport
from ringrift_loop.training.window import Window, open_window

_log = logging.getLogger(__name__)

_HEADER_BYTES = 1 << 20
"""Allowed to a weights file beside its numbers."""


def adopt(loop: Loop, run: TrainingRunRow, output: Path) -> TrainingReport:
    """Register the candidate that lies in an output folder, in one transaction with the end of its run.

    Call it under the variant's lease, for an active run. The run's folder keeps its report alone.

    Raises:
        DataError, ModelError: what lies there is not what the run's bundle asked for; nothing was changed.
    """
    bundle_folder = loop.directory.training_bundle(run.id)
    bundle = read_bundle(bundle_folder)
    _refuse_links(output, output / REPORT)
    outcome = read_outcome(output, bundle)
    net = _candidate(output, bundle, outcome.model_digest)
    window = open_window(bundle_folder / WINDOW, bundle.window.digest)
    if window is None:
        raise DataError(f"{bundle_folder / WINDOW} is not the window that the bundle describes")
    maker = BatchMaker(rules_for(bundle.variant), bundle.variant, window, value_outcome_share=1.0)
    precision = choose_precision(export_onnx(net), *window_batches(maker, window), loop.config.inference.int8)
    taught = BatchMaker(
        rules_for(bundle.variant), bundle.variant, window, value_outcome_share=bundle.settings.value_outcome_share
    )
    holdout = compare_holdout(net, taught, window)
    manifest = save_model(
        net,
        loop.directory.model,
        variant=bundle.variant,
        engine_version=bundle.engine_version,
        parent=bundle.parent,
        training_run=bundle.run_id,
        created_at=loop.clock(),
        graph=precision.graph,
    )
    _compare_backends(net, loop.directory.model(manifest.digest), maker, window)
    report = _register(loop, run, bundle, outcome, manifest, precision, holdout)
    write_json(loop.directory.training(run.id) / REPORT, report.as_json())
    for folder in (bundle_folder, loop.directory.training_output(run.id)):
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _refuse_links(*paths: Path) -> None:
    for path in paths:
        if path.is_symlink():
            raise DataError(f"{path} is a symbolic link; an output folder must have none")


def _candidate(output: Path, bundle: Bundle, digest: str) -> RingRiftNet:
    """The network that was trained, of the architecture that was asked for."""
    path = candidate_weights(output, digest)
    _refuse_links(path.parent.parent, path.parent, path)
    architecture = bundle_architecture(bundle)
    size = sum(tensor.nbytes for tensor in tensors_of(architecture).values())
    weights = read_plain(path, size + _HEADER_BYTES)
    found = hashlib.sha256(weights).hexdigest()
    if found != digest:
        raise DataError(f"{path} has sha256 {found}, the report says {digest}")
    return network_from(weights, architecture, str(path))


def _compare_backends(net: RingRiftNet, model: Path, maker: BatchMaker, window: Window) -> None:
    """See that the model's ONNX file, which self-play uses, computes what its weights do, where that was decided on."""
    rows = checked_rows(window)
    batch = maker.make(rows, np.zeros(len(rows), np.int64))
    compare_backends(net, model, *batch[:3])


def _register(
    loop: Loop,
    run: TrainingRunRow,
    bundle: Bundle,
    outcome: Outcome,
    manifest: Manifest,
    precision: Precision,
    holdout: Holdout,
) -> TrainingReport:
    """Write the ledger's rows, the model and the end of its run, at once."""
    at, digest, result = loop.clock(), manifest.digest, outcome.fit
    gap = result.validation.value - result.train.value
    with loop.ledger.begin() as conn:
        model = models.add(
            conn,
            digest,
            run.variant,
            parent_digest=bundle.parent,
            training_run=run.id,
            manifest=manifest.as_json(),
            at=at,
        )
        report = TrainingReport(
            run_id=run.id,
            variant=run.variant,
            model_digest=digest,
            generation=model.generation,
            parent=bundle.parent,
            start=bundle.start,
            architecture=outcome.architecture,
            window=bundle.window,
            targets=bundle.targets,
            value_outcome_share=bundle.settings.value_outcome_share,
            train=result.train,
            validation=result.validation,
            overfit_gap=gap,
            overfit_alarm=gap > OVERFIT_ALARM,
            holdout=holdout,
            steps=result.steps,
            best_step=result.best_step,
            samples=result.samples,
            seconds=result.seconds,
            samples_per_s=result.samples / max(result.seconds, 1e-9),
            resumed=result.resumed,
            rows_at_once=result.rows_at_once,
            precision=precision.why,
        )
        training.succeed(conn, run.id, model_digest=digest, report=report.as_json(), at=at)
        loop.record(conn, "training", _summary(report), variant=run.variant, run_id=run.id)
        if precision.refused:
            message = f"{report.variant} generation {report.generation} plays in {report.precision}"
            loop.record(conn, "training", message, variant=run.variant, run_id=run.id)
    _announce(loop, run, report, at)
    _log.log(logging.WARNING if precision.refused else logging.INFO, "the candidate plays in %s", report.precision)
    return report


def _summary(report: TrainingReport) -> str:
    text = (
        f"training run {report.run_id} made {report.variant} generation {report.generation}, "
        f"{report.model_digest[:12]}: "
        f"validation policy {report.validation.policy:.4f}, value {report.validation.value:.4f}"
    )
    if report.overfit_alarm:
        text += f"; validation value loss is {report.overfit_gap:.3f} above training: it overfits"
    if report.holdout is not None and report.holdout.overfits:
        text += f"; the regression gate will refuse it: {report.holdout.sentence()}"
    return text


def _announce(loop: Loop, run: TrainingRunRow, report: TrainingReport, at: float) -> None:
    _log.log(logging.WARNING if report.overfit_alarm else logging.INFO, "%s", _summary(report))
    loop.metrics.incr("ringrift_training_runs_total", config=run.variant, status="succeeded")
    loop.metrics.observe("ringrift_training_duration_seconds", at - run.started_at, config=run.variant)
    for head in ("total", "policy", "value"):
        figure = getattr(report.validation, head)
        loop.metrics.gauge("ringrift_training_validation_loss", figure, config=run.variant, head=head)
    loop.metrics.gauge("ringrift_training_target_entropy", report.targets.policy_entropy, config=run.variant)
    if report.holdout is not None:
        for head, gap in (("policy", report.holdout.policy), ("value", report.holdout.value)):
            loop.metrics.gauge("ringrift_training_holdout_gap", gap.share, config=run.variant, head=head)
