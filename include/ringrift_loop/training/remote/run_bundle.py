"""The middle third of a training run, on any machine: from a bundle to a candidate and the report of its training.

It needs neither ledger nor configuration. Killed at any point and called again, it goes on from the checkpoint in its
output folder; when it has finished already, its outcome is read from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError, NoCapacity
from ringrift_loop.machine.files import write_whole
from ringrift_loop.machine.locks import locked
from ringrift_loop.network.artifact import read_checked
from ringrift_loop.network.export import network_from, weights_file, with_all_inputs
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.training.batches import BatchMaker, DrawnRows
from ringrift_loop.training.fit import CHECKPOINT, FitTask, fit
from ringrift_loop.training.remote.bundle import START, WINDOW, Bundle, read_bundle, verify_bundle
from ringrift_loop.training.remote.outcome import (
    Outcome,
    bundle_architecture,
    candidate_weights,
    finished_outcome,
    write_outcome,
)
from ringrift_loop.training.surprise import draws_by_surprise
from ringrift_loop.training.team import Team
from ringrift_loop.training.window import open_window

_LOCK = ".lock"


def run_bundle(folder: Path, output: Path, team: Team, *, stop: Callable[[], bool] = lambda: False) -> Outcome | None:
    """Train from a bundle; every process of the team calls it.

    Args:
        folder: the bundle.
        output: where checkpoint, candidate and report go; the first process of the team writes there.
        team: the processes that share the work.
        stop: asked after each step (`fit`).

    Returns:
        The outcome, as it stands in the output folder; None in the processes after the first.

    Raises:
        DataError, ModelError: the bundle is damaged or not for this version, or training broke down.
        ConfigError: there are more processes than rows in a batch.
        TrainingStopped: `stop` said so.
    """
    bundle = read_bundle(folder)
    finished = finished_outcome(output, bundle)
    if finished is not None:
        return finished
    if team.is_first:
        verify_bundle(folder, bundle)
    # The processes of a team share the cores that a single one would have.
    torch.set_num_threads(max(1, bundle.settings.threads // team.size))
    net = _start_network(bundle, folder)
    result = fit(net, _fit_task(bundle, folder, output, team), stop=stop)
    if not team.is_first:
        return None
    weights = weights_file(net)
    digest = hashlib.sha256(weights).hexdigest()
    write_whole(candidate_weights(output, digest), weights)
    outcome = Outcome.of(bundle, digest, result)
    write_outcome(output, outcome)
    (output / CHECKPOINT).unlink(missing_ok=True)
    return outcome


@contextmanager
def output_folder(output: Path) -> Iterator[None]:
    """Make the output folder, and keep other trainings out of it meanwhile.

    Raises:
        NoCapacity: another training works there.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(output / _LOCK, wait_s=0))
        except BlockingIOError:
            raise NoCapacity(f"another training run is using {output}") from None
        yield


def _start_network(bundle: Bundle, folder: Path) -> RingRiftNet:
    """The network with its first weights."""
    architecture = bundle_architecture(bundle)
    if bundle.parent is None:
        # torch's own generator initialises modules; a local one keeps other users of it undisturbed.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bundle.seed)
            return RingRiftNet(architecture)
    own = replace(architecture, encoding=bundle.parent_encoding)
    return with_all_inputs(network_from(read_checked(folder / START), own, str(folder / START)))


def _fit_task(bundle: Bundle, folder: Path, output: Path, team: Team) -> FitTask:
    window = open_window(folder / WINDOW, bundle.window.digest)
    if window is None or window.num_rows != bundle.window.rows:
        raise DataError(f"{folder / WINDOW} is not the window that the bundle describes; send the bundle again")
    settings = bundle.settings
    draws = draws_by_surprise(window, settings.surprise_share)
    training_rows, validation_rows = (
        DrawnRows(numbers, draws[numbers])
        for numbers in (window.row_numbers(validation=kept) for kept in (False, True))
    )
    return FitTask(
        maker=BatchMaker(
            rules_for(bundle.variant),
            bundle.variant,
            window,
            value_outcome_share=settings.value_outcome_share,
            bootstrap_outcome_share=settings.bootstrap_outcome_share,
        ),
        training_rows=training_rows,
        validation_rows=validation_rows,
        settings=settings,
        schedule=bundle.schedule,
        seed=bundle.seed,
        identity=bundle.identity,
        folder=output,
        team=team,
    )
