"""`ringrift-loop train`: a candidate model from the replay window."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.errors import ConfigError

if TYPE_CHECKING:
    from ringrift_loop.cli.progress import Standing
    from ringrift_loop.json_value import JsonValue
    from ringrift_loop.loop import Loop
    from ringrift_loop.training.start import Start


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "train",
        help="train a candidate for a variant",
        description="Trains a candidate on the replay window and registers it in the ledger, without promoting it. A "
        "killed run resumes from its last checkpoint. Prints the report as JSON. To do the heavy part elsewhere, "
        "prepare the run (--prepare-only), train it there (train-bundle) and adopt the result (--adopt).",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="ID", help="a training run that is already claimed")
    what.add_argument("--variant", help="claim the variant's new games for a new run, or resume its interrupted one")
    add_config_file(parser)
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="wait this long for another process that trains the variant, and take its result if it is this run's",
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--prepare-only",
        action="store_true",
        help="write the run's bundle, for train-bundle on another machine; prints its path and where to put the output "
        "of that training",
    )
    part.add_argument(
        "--adopt", type=Path, metavar="DIR", help="check and register what train-bundle left in its output folder"
    )
    parser.add_argument(
        "--start-from",
        metavar="MODEL",
        help="start from these weights, of whichever variant, if they fit: a model's digest or the first digits of it, "
        "champion:VARIANT, or a model's folder (default: the last candidate, the champion, or the nearest variant's "
        "champion)",
    )
    parser.add_argument("--json", action="store_true", help="print the report on one line")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Train; prints the report."""
    # Before torch starts its threads: threads that spin while they wait halve the speed next to self-play
    # (docs/log.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    require_torch()
    from ringrift_loop.cli.progress import followed
    from ringrift_loop.loop import Loop
    from ringrift_loop.training.train import adopt_run, train

    if args.variant and args.adopt:
        raise ConfigError("--adopt needs the run that was prepared: give --run ID, not --variant")
    if args.start_from and args.adopt:
        raise ConfigError("--adopt takes what has been trained; give --start-from when the run is prepared")
    loop = Loop.open(config_path=args.config_file)
    start = (
        None
        if args.start_from is None
        else _start_from(loop, args.start_from, args.variant or _variant(loop, args.run))
    )
    run_id = args.run or _claim(loop, args.variant)
    if args.prepare_only:
        document = _prepare(loop, run_id, args.wait, start)
    elif args.adopt:
        document = adopt_run(loop, run_id, args.adopt, wait_s=args.wait).as_json()
    else:
        with followed(lambda: _standing(loop, run_id)):
            document = train(loop, run_id, wait_s=args.wait, start=start).as_json()
    print(json.dumps(document) if args.json else json.dumps(document, indent=2))
    return 0


def require_torch() -> None:
    """Raise ConfigError when the packages of the extra `train` are not installed."""
    missing = [name for name in ("torch", "onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {', '.join(missing)} on this machine, even to adopt what another one has trained: the "
            "ONNX file is made here; pip install -c constraints.txt 'ringrift-loop[train]'"
        )


def _start_from(loop: Loop, text: str, variant: str) -> Start:
    """The start that a person named, before anything is claimed."""
    from ringrift_loop.config.schema import VARIANT_NAMES
    from ringrift_loop.training.start import named_start
    from ringrift_loop.ugi.named import named_player

    if variant not in VARIANT_NAMES:
        raise ConfigError(f"no variant named {variant!r}; the variants are {', '.join(VARIANT_NAMES)}")
    named = named_player(text, variant, loop.directory)
    if named.variant is None:
        raise ConfigError(f"--start-from needs a model, a baseline has no weights, got {text!r}")
    folder = Path(named.spec) if Path(named.spec).is_dir() else loop.directory.model(named.spec)
    with loop.ledger.read() as conn:
        return named_start(conn, variant, folder, loop.directory, loop.config.training)


def _standing(loop: Loop, run_id: str) -> Standing | None:
    """What the training writes down of itself every few seconds."""
    from ringrift_loop.cli.progress import Standing
    from ringrift_loop.training.progress import read_progress

    found = read_progress(loop.directory.training_output(run_id))
    return None if found is None else Standing("Training, steps", found.step, found.steps)


def _variant(loop: Loop, run_id: str) -> str:
    from ringrift_loop.ledger import training

    with loop.ledger.read() as conn:
        return training.require(conn, run_id).variant


def _prepare(loop: Loop, run_id: str, wait_s: float, start: Start | None) -> dict[str, JsonValue]:
    """Prepare a run; returns what a training elsewhere needs to know."""
    from ringrift_loop.training.remote.outcome import finished_outcome
    from ringrift_loop.training.train import prepare_run

    bundle = prepare_run(loop, run_id, wait_s=wait_s, start=start)
    output = loop.directory.training_output(run_id)
    return {
        "run_id": bundle.run_id,
        "variant": bundle.variant,
        "bundle": str(loop.directory.training_bundle(run_id)),
        "output": str(output),
        "trained": finished_outcome(output, bundle) is not None,
        "bytes": bundle.num_bytes,
        "rows": bundle.window.rows,
        "steps": bundle.schedule.steps,
    }


def _claim(loop: Loop, variant: str) -> str:
    """The variant's interrupted run, or a new one with its unconsumed games."""
    from ringrift_loop.ledger import training
    from ringrift_loop.training.claim import claim_for_run

    with loop.ledger.read() as conn:
        interrupted = training.active(conn, variant)
    if interrupted is not None:
        return interrupted.id
    return claim_for_run(loop, [variant], key=f"command line {os.getpid()} {time.time()}").run_id
