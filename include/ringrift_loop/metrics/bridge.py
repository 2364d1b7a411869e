"""A small StatsD bridge: packets in over UDP, `/metrics` out over HTTP.

It stands in for prometheus/statsd_exporter where that is not installed, with the same mapping file and the same names
for its own counters; `docker-compose.yaml` uses the exporter itself. `/health` is the deployment guide's: it needs no
login, so what it says of the loop is handed in, and is words and ages only.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from ringrift_loop.errors import ConfigError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.metrics.mapping import Rule
from ringrift_loop.metrics.series import SeriesStore
from ringrift_loop.metrics.statsd_lines import Event, parse_line

_log = logging.getLogger(__name__)
_MAX_PACKET = 65535
# Room for a burst while the receiving thread does not run; the system may grant less.
_RECEIVE_BUFFER = 4 * 1024**2
_POLL_S = 0.25


@dataclass(frozen=True)
class BridgeAddress:
    """Where the bridge listens; port 0 takes any free one."""

    udp_host: str
    udp_port: int
    http_host: str
    http_port: int


class Bridge:
    """The running bridge: both sockets are open once it is made.

    Args:
        address: where to listen.
        rules: the mapping, from `read_rules`.
        fleet: the loop whose metrics it takes (`SeriesStore`).
        clock: seconds that only rise, for the time to live.
        loop_health: the HTTP status and the fields that `/health` has about the loop; None where none is known of.

    Raises:
        ConfigError: a port is taken or the address is none of this machine.
    """

    def __init__(
        self,
        address: BridgeAddress,
        rules: Mapping[str, Rule],
        *,
        fleet: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        loop_health: Callable[[], tuple[int, Mapping[str, JsonValue]]] | None = None,
    ) -> None:
        self.store = SeriesStore(rules, clock, fleet)
        self._loop_health = loop_health
        self._clock = clock
        self._registry = CollectorRegistry()
        self._registry.register(self.store)
        self._stop = threading.Event()
        self._udp = _udp_socket(address)
        try:
            self._http = _http_server(address, self)
        except ConfigError:
            self._udp.close()
            raise
        self._threads = [
            threading.Thread(target=self._receive, name="statsd-udp", daemon=True),
            threading.Thread(target=self._http.serve_forever, args=(_POLL_S,), name="statsd-http", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def address(self) -> BridgeAddress:
        """The addresses in use, with the real ports."""
        udp_host, udp_port = self._udp.getsockname()[:2]
        http_host, http_port = self._http.server_address[:2]
        return BridgeAddress(str(udp_host), udp_port, str(http_host), http_port)

    def wait(self, stop: threading.Event) -> None:
        """Serve until `stop` is set."""
        stop.wait()
        self.close()

    def close(self) -> None:
        """Stop both threads and close the sockets."""
        self._stop.set()
        self._http.shutdown()
        for thread in self._threads:
            thread.join()
        self._http.server_close()
        self._udp.close()

    def metrics_page(self, accept: str) -> tuple[bytes, str]:
        """The page for Prometheus and its content type, in the format that the scraper asks for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    def health(self) -> tuple[int, dict[str, JsonValue]]:
        """What `/health` answers: the HTTP status, and how the loop and the bridge itself are."""
        last = self.store.last_packet_at
        status, loop = (200, {"status": "no loop is known here"}) if self._loop_health is None else self._loop_health()
        return status, {
            **loop,
            "packets": self.store.packets,
            "series": self.store.size,
            "seconds_since_packet": None if last is None else round(self._clock() - last, 3),
        }

    def _receive(self) -> None:
        while not self._stop.is_set():
            try:
                packet = self._udp.recv(_MAX_PACKET)
            except TimeoutError:
                continue
            except OSError as error:
                # Linux hands the error of an earlier datagram to the next call; the socket itself is fine.
                _log.warning("UDP receive failed: %s", error)
                continue
            self.store.received(*read_packet(packet))


def read_packet(packet: bytes) -> tuple[int, list[Event], Counter[str]]:
    """Lines, events and errors by reason of one UDP packet; nothing in it can raise."""
    errors: Counter[str] = Counter()

    def count_error(reason: str) -> None:
        errors[reason] += 1

    events: list[Event] = []
    lines = 0
    for raw in packet.split(b"\n"):
        if not raw:
            continue
        lines += 1
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            count_error("malformed_line")
            continue
        events += parse_line(line, count_error)
    return lines, events, errors


def _udp_socket(address: BridgeAddress) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        udp.settimeout(_POLL_S)
        udp.bind((address.udp_host, address.udp_port))
    except OSError as error:
        udp.close()
        raise ConfigError(
            f"StatsD cannot listen on UDP {address.udp_host}:{address.udp_port}: {error.strerror or error}; "
            "set statsd_port to a free one"
        ) from error
    return udp


def _http_server(address: BridgeAddress, bridge: Bridge) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                body, content_type = bridge.metrics_page(self.headers.get("Accept", ""))
                self._answer(200, body, content_type)
            elif path == "/health":
                status, document = bridge.health()
                self._answer(status, json.dumps(document).encode(), "application/json")
            else:
                self._answer(404, b"there are /metrics and /health\n", "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            _log.debug(format, *args)

    try:
        server = ThreadingHTTPServer((address.http_host, address.http_port), Handler)
    except OSError as error:
        raise ConfigError(
            f"/metrics cannot listen on {address.http_host}:{address.http_port}: {error.strerror or error}; "
            "set metrics_port to a free one"
        ) from error
    server.daemon_threads = True
    return server
