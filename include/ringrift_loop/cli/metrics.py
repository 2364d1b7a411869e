"""`ringrift-loop statsd-bridge`: StatsD packets in over UDP, `/metrics` for Prometheus out."""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from ringrift_loop.json_value import JsonValue

# Anybody who reaches the port may ask: the ledger is read once in so many seconds at most.
_HEALTH_KEPT_S = 2.0


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "statsd-bridge",
        help="StatsD packets in, a page for Prometheus out",
        description="Takes StatsD packets over UDP and serves /metrics, as statsd_exporter does, until SIGTERM or "
        "Ctrl-C; /health says how the loop is, with status 503 when it is unhealthy. Prints its addresses as one JSON "
        "line once both sockets are open.",
    )
    parser.add_argument(
        "--udp-host", default=None, metavar="ADDRESS", help="address for StatsD packets (default: statsd_host)"
    )
    parser.add_argument(
        "--udp-port", type=int, default=None, metavar="PORT", help="UDP port, 0 for any (default: statsd_port)"
    )
    parser.add_argument(
        "--http-host", default="127.0.0.1", metavar="ADDRESS", help="address for /metrics (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--http-port", type=int, default=None, metavar="PORT", help="TCP port, 0 for any (default: metrics_port)"
    )
    parser.add_argument(
        "--mapping", type=Path, default=None, metavar="FILE", help="mapping file (default: the metric registry's own)"
    )
    parser.add_argument(
        "--own-loop",
        action="store_true",
        help="take only the metrics of the loop in this run directory ($RINGRIFT_HOME)",
    )
    parser.add_argument("--print-mapping", action="store_true", help="print the mapping file of the registry and stop")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    from ringrift_loop.config import load_config
    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.metrics.bridge import Bridge, BridgeAddress
    from ringrift_loop.metrics.mapping import mapping_text, read_rules

    if args.print_mapping:
        print(mapping_text(), end="")
        return 0
    config = load_config()
    address = BridgeAddress(
        udp_host=args.udp_host or config.statsd_host,
        udp_port=config.statsd_port if args.udp_port is None else args.udp_port,
        http_host=args.http_host,
        http_port=config.metrics_port if args.http_port is None else args.http_port,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    fleet = RunDirectory.from_environment().fleet if args.own_loop else None
    bridge = Bridge(address, read_rules(args.mapping), fleet=fleet, loop_health=_loop_health())
    print(json.dumps(asdict(bridge.address)), flush=True)
    bridge.wait(stop)
    return 0


def _loop_health() -> Callable[[], tuple[int, Mapping[str, JsonValue]]]:
    """What `/health` says of the loop that the environment names; an unreadable ledger is unhealthy too."""
    lock = threading.Lock()
    kept: tuple[float, tuple[int, Mapping[str, JsonValue]]] | None = None

    def ask() -> tuple[int, Mapping[str, JsonValue]]:
        nonlocal kept
        with lock:
            if kept is None or time.monotonic() - kept[0] > _HEALTH_KEPT_S:
                kept = (time.monotonic(), _read_health())
            return kept[1]

    return ask


def _read_health() -> tuple[int, Mapping[str, JsonValue]]:
    from sqlalchemy.exc import SQLAlchemyError

    from ringrift_loop.errors import LoopError
    from ringrift_loop.launcher.leftovers import has_ended
    from ringrift_loop.loop import Loop
    from ringrift_loop.status.health import UNHEALTHY, public, read_health

    try:
        loop = Loop.open()
        try:
            with loop.ledger.read() as conn:
                health = read_health(conn, loop.config, now=loop.clock(), stopped=has_ended(loop.directory))
        finally:
            loop.ledger.close()
    except (LoopError, SQLAlchemyError):  # its message may hold paths and addresses
        return 503, {"status": UNHEALTHY, "reason": "the ledger cannot be read; `ringrift-loop doctor` says why"}
    return 503 if health.status == UNHEALTHY else 200, public(health)
