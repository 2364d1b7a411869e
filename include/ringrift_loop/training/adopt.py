"""The last third of a training run, where the ledger is: the candidate of an output folder is checked and registered.

The folder may come from a host, so nothing in it is believed: the report is compared with the bundle that was prepared
here, the weights are loaded strictly, and the ONNX file must compute what the weights do.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.ledger import models, training
from ringrift_loop.ledger.training import TrainingRunRow
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import MANIFEST, ONNX, WEIGHTS, Manifest, read_checked, write_model
from ringrift_loop.network.export import Inference, load_network
from ringrift_loop.network.inference import OnnxEvaluator
from ringrift_loop.training.batches import BatchMaker
from ringrift_loop.training.remote.bundle import WINDOW, Bundle, read_bundle
from ringrift_loop.training.remote.documents import write_document
from ringrift_loop.training.remote.outcome import REPORT, Outcome, bundle_architecture, model_folder, read_outcome
from ringrift_loop.training.report import OVERFIT_ALARM, TrainingReport
from ringrift_loop.training.window import open_window

_log = logging.getLogger(__name__)

_COMPARED_ROWS = 16
_TOLERANCE = 1e-3
"""Of logits and shares: far above what rounding makes of either, far below what matters in play."""


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
    source = model_folder(output, outcome.model_digest)
    manifest = _checked_model(source, bundle, outcome, bundle_folder)
    report = _register(loop, run, bundle, outcome, manifest, source)
    write_document(loop.directory.training(run.id) / REPORT, report.to_json())
    for folder in (bundle_folder, loop.directory.training_output(run.id)):
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _refuse_links(*paths: Path) -> None:
    for path in paths:
        if path.is_symlink():
            raise DataError(f"{path} is a symbolic link; an output folder has none")


def _checked_model(source: Path, bundle: Bundle, outcome: Outcome, bundle_folder: Path) -> Manifest:
    _refuse_links(source.parent, source, *(source / name for name in (MANIFEST, WEIGHTS, ONNX)))
    net, manifest = load_network(source, outcome.model_digest)
    expected = {
        "variant": bundle.variant,
        "engine_version": bundle.engine_version,
        "parent": bundle.parent,
        "training_run": bundle.run_id,
    }
    for name, value in expected.items():
        if getattr(manifest, name) != value:
            found = str(getattr(manifest, name))[:80]
            raise ModelError(f"{source / MANIFEST}: {name} is {found!r}, training run {bundle.run_id} has {value!r}")
    architecture = bundle_architecture(bundle)
    if net.architecture != architecture or manifest.architecture.name != architecture.name:
        raise ModelError(f"{source} is {manifest.architecture.name[:40]}, the run asked for {architecture.name}")
    _compare_backends(Inference(net).eval(), source, bundle, bundle_folder)
    return manifest


def _compare_backends(net: Inference, source: Path, bundle: Bundle, bundle_folder: Path) -> None:
    """See that the ONNX file, which self-play uses, computes what the weights do, on rows of the window."""
    window = open_window(bundle_folder / WINDOW, bundle.window.digest)
    if window is None:
        raise DataError(f"{bundle_folder / WINDOW} is not the window that the bundle describes")
    maker = BatchMaker(rules_for(bundle.variant), bundle.variant, window, value_outcome_share=1.0)
    rows = window.row_numbers(validation=True)[:_COMPARED_ROWS]
    batch = maker.make(rows, np.zeros(len(rows), np.int64))
    with torch.inference_mode():
        expected = [output.numpy() for output in net(*(torch.from_numpy(array) for array in batch[:3]))]
    found = OnnxEvaluator(source).evaluate(*batch[:3])
    for theirs, ours in zip(found, expected, strict=True):
        if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise ModelError(f"{source / ONNX} does not compute what {source / WEIGHTS} does")


def _register(
    loop: Loop, run: TrainingRunRow, bundle: Bundle, outcome: Outcome, manifest: Manifest, source: Path
) -> TrainingReport:
    """Put the candidate's files in place, then write the ledger's rows, the model and the end of its run, at once."""
    at, digest, result = loop.clock(), outcome.model_digest, outcome.fit
    written = write_model(
        loop.directory.model(digest).parent,
        # A host's clock is as little believed as the rest.
        replace(manifest, created_at=at),
        read_checked(source / WEIGHTS),
        read_checked(source / ONNX),
    )
    gap = result.validation.value - result.train.value
    with loop.ledger.begin() as conn:
        model = models.add(
            conn,
            digest,
            run.variant,
            parent_digest=bundle.parent,
            training_run=run.id,
            manifest=written.to_json(),
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
            steps=result.steps,
            best_step=result.best_step,
            samples=result.samples,
            seconds=result.seconds,
            samples_per_s=result.samples / max(result.seconds, 1e-9),
            resumed=result.resumed,
        )
        training.succeed(conn, run.id, model_digest=digest, report=report.to_json(), at=at)
        loop.record(conn, "training", _summary(report), variant=run.variant, run_id=run.id)
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
