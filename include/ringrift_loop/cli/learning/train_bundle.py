"""`ringrift-loop train-bundle`: train from a prepared bundle, on a machine without ledger and configuration.

With several processes the command starts itself once for each by torchrun, and stays as the one that watches them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ringrift_loop.cli.learning.train import require_torch
from ringrift_loop.errors import ConfigError, TrainingStopped

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from ringrift_loop.training.remote.bundle import Bundle
    from ringrift_loop.training.remote.outcome import Outcome

# Set by torchrun for the processes that it starts.
_RUN_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
_FAILED = 1


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "train-bundle",
        help="train from a prepared bundle, on any machine and its GPUs",
        description="Trains from a bundle that `train --prepare-only` wrote, with a process for each GPU, and leaves "
        "candidate and report in the output folder, for `train --adopt`. If killed and run again, it resumes from its "
        "last checkpoint there. Prints the report as one line of JSON. SIGTERM stops it after a checkpoint, with exit "
        "status 75.",
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="for checkpoint, candidate and report; made if missing",
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="processes that share each batch (default: as many as there are GPUs, 1 without any)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Train; prints the report."""
    # Before torch starts its threads; see cli/learning/train.py.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    require_torch()
    from ringrift_loop.training.remote.bundle import read_bundle
    from ringrift_loop.training.remote.outcome import finished_outcome
    from ringrift_loop.training.remote.run_bundle import output_folder, run_bundle
    from ringrift_loop.training.team import alone

    if _RUN_BY_TORCHRUN in os.environ:
        return _run_in_team(args)
    bundle = read_bundle(args.bundle)
    processes = _number_of_processes(args.processes, bundle)
    with output_folder(args.output):
        if processes > 1 and finished_outcome(args.output, bundle) is None:
            return _run_by_torchrun(args, processes, bundle)
        outcome = run_bundle(args.bundle, args.output, alone(), stop=_sigterm_noticed())
    return _print(outcome)


def _run_in_team(args: argparse.Namespace) -> int:
    """One process of several."""
    from ringrift_loop.machine.processes import die_with_parent
    from ringrift_loop.training.remote.run_bundle import run_bundle
    from ringrift_loop.training.team import join

    # torchrun starts each in a session of its own: they would outlive it when it is killed with its group.
    die_with_parent(signal.SIGKILL)
    team = join(int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"]))
    if not team.is_first:
        logging.getLogger().setLevel(logging.ERROR)
    return _print(run_bundle(args.bundle, args.output, team, stop=_sigterm_noticed()))


def _print(outcome: Outcome | None) -> int:
    if outcome is not None:
        print(json.dumps(outcome.as_json()))
    return 0


def _number_of_processes(asked: int | None, bundle: Bundle) -> int:
    import torch

    gpus, rows = torch.cuda.device_count(), bundle.settings.batch_size
    if asked is None:
        return max(1, min(gpus, rows))
    most = min(gpus or os.cpu_count() or 1, rows)
    if not 1 <= asked <= most:
        raise ConfigError(
            f"--processes must be from 1 to {most} here ({gpus} GPUs, {os.cpu_count()} CPUs, batches of {rows} rows), "
            f"got {asked}"
        )
    return asked


def _sigterm_noticed() -> Callable[[], bool]:
    """From now on SIGTERM ends nothing; the answer says whether it came."""
    noticed = threading.Event()

    def on_term(number: int, frame: FrameType | None) -> None:
        noticed.set()

    signal.signal(signal.SIGTERM, on_term)
    return noticed.is_set


def _run_by_torchrun(args: argparse.Namespace, processes: int, bundle: Bundle) -> int:
    """Start the processes and wait for them; the exit status is that of the first that failed."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, bundle.settings.threads // processes)))
    # All of them are on this machine, whatever its name resolves to and whichever networks it is in.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    options = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes), "--no-python"]
    own = [sys.executable, "-m", "ringrift_loop.cli", "train-bundle"]
    own += ["--bundle", str(args.bundle.resolve()), "--output", str(args.output.resolve())]
    try:
        torchrun.run(torchrun.parse_args([*options, *own]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return _failed(rank, processes, failure)
    except SignalException as error:
        raise TrainingStopped(
            f"all {processes} processes were ended by {signal.Signals(error.sigval).name}; "
            "the same command resumes from the last checkpoint"
        ) from error
    return 0


def _failed(rank: int, processes: int, failure: ProcessFailure) -> int:
    code = failure.exitcode
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    print(
        f"ringrift-loop train-bundle: process {rank} of {processes} {how}, and so the others were ended; "
        "the same command resumes from the last checkpoint",
        file=sys.stderr,
    )
    return code if code > 0 else _FAILED
