"""What a training leaves in its output folder, wherever it ran: the candidate's weights and a report of them.

    report.json                        `Outcome`
    model/<digest>/model.safetensors   the candidate's weights; the digest is their sha256
    checkpoint.safetensors, until the report is written

The coordinator believes none of it: adopt.py compares it with the bundle that it has prepared itself.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import msgspec

from ringrift_loop.checked_json import Count, File, Sentence, parse, parse_exactly
from ringrift_loop.errors import DataError
from ringrift_loop.layout import checked_digest
from ringrift_loop.machine.files import read_plain, write_json
from ringrift_loop.network.artifact import WEIGHTS
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import Architecture
from ringrift_loop.training.fit import Fit
from ringrift_loop.training.remote.bundle import Bundle

REPORT = "report.json"
_MAX_REPORT_BYTES = 1 << 16
_MAX_LOSS = 1e4
"""No sound loss comes near: a uniform policy over 16,000 moves has 9.7 nats."""
_LEAST_LOSS = -1e-2
"""Divergences from 0 on; rounding takes them a little below."""
_MAX_SECONDS = 30 * 86400.0
_MAX_RESUMED = 100_000
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Outcome(File, frozen=True):
    """What `report.json` says."""

    run_id: Sentence
    variant: Sentence
    identity: Sentence
    """The bundle's."""
    model_digest: Sentence
    parent: Sentence | None
    architecture: Sentence
    engine_version: Sentence
    encoding_version: Count
    fit: Fit

    @classmethod
    def of(cls, bundle: Bundle, model_digest: str, fit: Fit) -> Outcome:
        """The outcome of a bundle's training."""
        return cls(
            run_id=bundle.run_id,
            variant=bundle.variant,
            identity=bundle.identity,
            model_digest=model_digest,
            parent=bundle.parent,
            architecture=bundle_architecture(bundle).name,
            engine_version=bundle.engine_version,
            encoding_version=bundle.encoding_version,
            fit=fit,
        )


class _Of(msgspec.Struct):
    identity: object = None


def bundle_architecture(bundle: Bundle) -> Architecture:
    """The architecture of the network that a bundle asks for."""
    return architecture_for(bundle.variant, blocks=bundle.settings.blocks, channels=bundle.settings.channels)


def candidate_weights(output: Path, digest: str) -> Path:
    """Where the candidate's weights lie in an output folder."""
    return output / "model" / checked_digest(digest) / WEIGHTS


def write_outcome(output: Path, outcome: Outcome) -> None:
    """Write the report; the training is finished by this."""
    write_json(output / REPORT, outcome.as_json())


def finished_outcome(output: Path, bundle: Bundle) -> Outcome | None:
    """The outcome that an earlier try has left, if it is this bundle's; that of an earlier version is another's."""
    if not (output / REPORT).exists():
        return None
    raw = read_plain(output / REPORT, _MAX_REPORT_BYTES)
    if parse(raw, _Of, REPORT).identity != bundle.identity:
        return None
    return parse_exactly(raw, Outcome, REPORT)


def read_outcome(output: Path, bundle: Bundle) -> Outcome:
    """The outcome in a folder that came from a host, checked against the bundle.

    Raises:
        DataError: it is missing, malformed, of another training, or has impossible figures.
    """
    path = output / REPORT
    outcome = parse_exactly(read_plain(path, _MAX_REPORT_BYTES), Outcome, str(path))
    if not _DIGEST.fullmatch(outcome.model_digest):
        raise DataError(f"{path}: model_digest must be 64 hex characters, got {outcome.model_digest[:80]!r}")
    expected = Outcome.of(bundle, outcome.model_digest, outcome.fit)
    ours, theirs = expected.as_json(), outcome.as_json()
    for name, value in ours.items():
        if theirs[name] != value:
            raise DataError(f"{path}: {name} is {str(theirs[name])[:80]!r}, training run {bundle.run_id} has {value!r}")
    _check_figures(outcome.fit, bundle, path)
    return outcome


def _check_figures(fit: Fit, bundle: Bundle, path: Path) -> None:
    bounds: dict[str, tuple[float, float, float]] = {
        "steps": (fit.steps, bundle.schedule.steps, bundle.schedule.steps),
        "best_step": (fit.best_step, 1, bundle.schedule.steps),
        "samples": (fit.samples, *2 * (bundle.schedule.steps * bundle.settings.batch_size,)),
        "seconds": (fit.seconds, 0.0, _MAX_SECONDS),
        "resumed": (fit.resumed, 0, _MAX_RESUMED),
        "rows_at_once": (fit.rows_at_once, 1, bundle.settings.batch_size),
    }
    weights = sum(asdict(bundle.settings.loss).values())
    for side, figures in (("train", fit.train), ("validation", fit.validation)):
        bounds |= {f"{side}.{name}": (value, _LEAST_LOSS, _MAX_LOSS) for name, value in asdict(figures).items()}
        bounds[f"{side}.total"] = (figures.total, _LEAST_LOSS * weights, _MAX_LOSS * weights)
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise DataError(f"{path}: fit.{name} must be from {least:g} to {most:g}, got {value!r:.40}")
