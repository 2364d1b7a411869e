"""A claimed training run, from its window to its registered candidate.

Three steps, each of which finds its own finished work when it is called again: prepare.py, run_bundle.py, adopt.py. A
local run takes them one after the other; a remote one takes the middle one on another machine. claim.py makes runs and
gives up on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ringrift_loop.errors import DataError, LedgerError, ModelError
from ringrift_loop.ledger import leases, training
from ringrift_loop.ledger.training import TrainingRunRow
from ringrift_loop.loop import Loop
from ringrift_loop.text import counted
from ringrift_loop.training.adopt import adopt
from ringrift_loop.training.claim import lease_name
from ringrift_loop.training.prepare import prepare
from ringrift_loop.training.remote.bundle import Bundle
from ringrift_loop.training.remote.run_bundle import output_folder, run_bundle
from ringrift_loop.training.report import TrainingReport
from ringrift_loop.training.start import Start
from ringrift_loop.training.team import alone


def train(loop: Loop, run_id: str, *, wait_s: float = 0.0, start: Start | None = None) -> TrainingReport:
    """Train the candidate of a claimed run; a run that has succeeded already returns its report again.

    Args:
        loop: the loop.
        run_id: the run.
        wait_s: how long to wait for another process that works on the variant. It may be an earlier try of the same
            task that lived on when its supervisor died: what it makes of the run is the answer then.
        start: what to start from; by default training/start.py chooses.

    Raises:
        NoCapacity: another process works on the variant.
        LedgerError: there is no such run, or it has failed.
        ConfigError: the run has begun from another start than the one asked for.
        DataError, ModelError: the games or the model to start from are no good; the run is recorded as failed and its
            games are free again. After any other error the run may be resumed.
    """
    finished = _finished(loop, run_id)
    if finished is not None:
        return finished
    with _at_work(loop, run_id, wait_s) as (run, lease):
        finished = _finished(loop, run_id)  # whoever held the lease may have ended it
        if finished is not None:
            return finished
        with _recorded_failure(loop, run):
            prepare(loop, run, start)
            output = loop.directory.training_output(run.id)
            with output_folder(output):
                run_bundle(loop.directory.training_bundle(run.id), output, alone())
            with loop.ledger.read() as conn:
                lease.check(conn)
            return adopt(loop, run, output)


def prepare_run(loop: Loop, run_id: str, *, wait_s: float = 0.0, start: Start | None = None) -> Bundle:
    """Write the bundle of a claimed run, for a training on another machine.

    Arguments and errors as for `train`; a run that has succeeded is a LedgerError.
    """
    with _at_work(loop, run_id, wait_s) as (run, _):
        if _finished(loop, run_id) is not None:
            raise LedgerError(f"training run {run_id} has succeeded already; there is nothing to prepare")
        with _recorded_failure(loop, run):
            return prepare(loop, run, start)


def adopt_run(loop: Loop, run_id: str, output: Path, *, wait_s: float = 0.0) -> TrainingReport:
    """Register what a training on another machine has left in its output folder.

    A run that has succeeded already returns its report again. An output that is refused does not end the run: it may
    have been damaged on its way.

    Raises:
        NoCapacity: another process works on the variant.
        LedgerError: there is no such run, or it has failed.
        DataError, ModelError: the output is not what the run asked for.
    """
    with _at_work(loop, run_id, wait_s) as (run, _):
        return _finished(loop, run_id) or adopt(loop, run, output)


@contextmanager
def _at_work(loop: Loop, run_id: str, wait_s: float) -> Iterator[tuple[TrainingRunRow, leases.Lease]]:
    """The run as it stands once the variant's lease is held."""
    with loop.ledger.read() as conn:
        run = training.require(conn, run_id)
    with leases.hold(loop.ledger, lease_name(run.variant), wait_s=wait_s, clock=loop.clock) as lease:
        with loop.ledger.read() as conn:
            run = training.require(conn, run_id)
        yield run, lease


def _finished(loop: Loop, run_id: str) -> TrainingReport | None:
    """The report of a run that has succeeded, None for one that is open; a failed one is an error."""
    with loop.ledger.read() as conn:
        run = training.require(conn, run_id)
    if run.state == "succeeded" and run.report is not None:
        return TrainingReport.from_json(run.report)
    if run.state not in training.ACTIVE:
        raise LedgerError(f"training run {run.id} is {run.state}: {run.error}")
    return None


@contextmanager
def _recorded_failure(loop: Loop, run: TrainingRunRow) -> Iterator[None]:
    """What is wrong with the run's games or models ends the run; its games are free again."""
    try:
        yield
    except (DataError, ModelError) as error:
        with loop.ledger.begin() as conn:
            given_back = training.fail(conn, run.id, error=str(error), at=loop.clock())
            message = f"training run {run.id} failed, {counted(given_back, 'game')} given back: {error}"
            loop.record(conn, "training", message, variant=run.variant, run_id=run.id)
        loop.metrics.incr("ringrift_training_runs_total", config=run.variant, status="failed")
        raise
