"""`ringrift-loop statsd-bridge`: StatsD packets in over UDP, `/metrics` for Prometheus out."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from dataclasses import asdict
from pathlib import Path


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "statsd-bridge",
        help="StatsD packets in, a page for Prometheus out",
        description="Takes StatsD packets over UDP and serves /metrics and /health, as statsd_exporter does, until "
        "SIGTERM or Ctrl-C. Prints its addresses as one JSON line once both sockets are open.",
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
    bridge = Bridge(address, read_rules(args.mapping), fleet=fleet)
    print(json.dumps(asdict(bridge.address)), flush=True)
    bridge.wait(stop)
    return 0
