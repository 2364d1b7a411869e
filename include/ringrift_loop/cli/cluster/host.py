"""`ringrift-loop host`: what the coordinator runs on a host by SSH, and nothing that a person needs."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ringrift_loop.cli.cluster import host_jobs

if TYPE_CHECKING:
    from ringrift_loop.layout import HostDirectory

_Action: TypeAlias = "Callable[[HostDirectory, argparse.Namespace], None]"


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "host",
        help="what the coordinator runs on a host by SSH",
        description="The host's side of the SSH transport. Requests come on stdin, answers are one line of JSON.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add(actions, "report", report, "new segments, workers and models", "Answers a request read from stdin.")
    _add(actions, "probe", probe, "what this machine is", "Python, disk, memory, GPUs, clock; changes nothing.")
    status = _add(actions, "model-status", status_of_model, "what is here of a model", "Checks the model's files.")
    receive = _add(actions, "receive-model", take_model, "take a model from stdin", "Checked, then renamed into place.")
    for one in (status, receive):
        one.add_argument("--digest", required=True, help="sha256 of the weights, 64 hex characters")
    pointed = _add(actions, "point", point, "name the model that a variant plays with", "Replaces the pointer file.")
    started = _add(actions, "start-worker", start, "start a slot's worker", "Detached; settings come on stdin as JSON.")
    started.add_argument("--name", required=True, help="the host's name in the inventory, for the records")
    started.add_argument("--nice", type=int, default=0, help="lower its priority by this much, 0..19 (default 0)")
    for one in (pointed, started):
        one.add_argument("--variant", required=True, help="such as square8_2p")
    kept = _add(
        actions, "settings", keep_settings, "what the workers here do differently", "For workers started later."
    )
    kept.add_argument("--hot-reload", choices=("on", "off"), required=True, help="off: workers keep their first model")
    stop = _add(actions, "stop-worker", stop_slot, "end a slot's worker", "It seals its games and exits.")
    stop.add_argument("--kill", action="store_true", help="end it and its children at once")
    for one in (started, stop):
        one.add_argument("--slot", type=int, required=True, help="number of the worker on this host")
    host_jobs.add_actions(lambda *words: _add(actions, *words), _stdin)


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, func: _Action, line: str, text: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=line, description=text)
    action.add_argument("--root", type=Path, required=True, help="the host's root folder")
    action.set_defaults(func=lambda args: _run(func, args))
    return action


def _run(func: _Action, args: argparse.Namespace) -> int:
    from ringrift_loop.layout import HostDirectory

    func(HostDirectory(args.root.resolve()), args)
    return 0


def report(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """One round trip of a sync cycle."""
    from ringrift_loop.cluster.agent import wire
    from ringrift_loop.cluster.agent.report import host_report

    request = wire.request_from_bytes(_stdin(wire.MAX_REQUEST_BYTES))
    sys.stdout.write(wire.report_to_bytes(host_report(host_dir, request)).decode())


def probe(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """What `ringrift-loop doctor` asks."""
    from ringrift_loop.cluster.agent.probe import facts_to_bytes, host_facts

    sys.stdout.write(facts_to_bytes(host_facts(host_dir.root)).decode())


def status_of_model(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """Asked before a push."""
    from ringrift_loop.cluster.agent.receive_model import model_status

    status = model_status(host_dir, args.digest)
    print(json.dumps({"present": status.present, "staged": dict(status.staged)}))


def take_model(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """The push."""
    from ringrift_loop.cluster.agent.receive_model import receive_model

    receive_model(host_dir, args.digest, sys.stdin.buffer)
    print(json.dumps({"present": True}))


def point(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """The last step of a push."""
    from ringrift_loop.cluster.agent.report import MAX_POINTER_BYTES
    from ringrift_loop.cluster.transport.local import LocalTransport

    asyncio.run(LocalTransport(host_dir).point(args.variant, _stdin(MAX_POINTER_BYTES)))
    print(json.dumps({"pointed": args.variant}))


def start(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """Start a worker; the settings last as long as the file that they are kept in."""
    from ringrift_loop.cluster.agent.workers import WorkerSpec, start_worker

    settings = _stdin(1 << 20)
    json.loads(settings)
    path = host_dir.worker_settings
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(settings)
    temporary.rename(path)
    record = start_worker(host_dir, WorkerSpec(args.name, args.slot, args.variant, path, args.nice))
    print(json.dumps({"pid": record.pid, "variant": record.variant}))


def keep_settings(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """A deployment's choice."""
    from ringrift_loop.selfplay.host_settings import HostSettings, write_settings

    write_settings(host_dir, HostSettings(hot_reload=args.hot_reload == "on"))
    print(json.dumps({"hot_reload": args.hot_reload == "on"}))


def stop_slot(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """End a worker by its recorded pid and start."""
    from ringrift_loop.cluster.agent.workers import stop_worker

    print(json.dumps({"alive": stop_worker(host_dir, args.slot, kill=args.kill)}))


def _stdin(limit: int) -> bytes:
    from ringrift_loop.errors import DataError

    raw = sys.stdin.buffer.read(limit + 1)
    if len(raw) > limit:
        raise DataError(f"the request on stdin has more than {limit} bytes")
    return raw
