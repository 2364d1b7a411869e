"""Sending metrics: StatsD packets with influx-style tags, checked against the registry, never in a stage's way.

A collector that is away, a name that does not resolve, a full socket: nothing of that reaches the caller. A metric that
`names.py` does not list is a mistake of ours: an error in strict mode (tests), a line in the log otherwise.
"""

from __future__ import annotations

import logging
import math
import re
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import statsd

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.errors import LoopError
from ringrift_loop.metrics.names import FLEET, REGISTRY, Kind, label_sets

_log = logging.getLogger(__name__)
_RETRY_S = 60.0
# Separators of the StatsD line and of its tags, blanks, and everything that is not plain ASCII.
_UNSAFE = re.compile(r"[^A-Za-z0-9_./+-]")
_MAX_LABEL = 128


class UnknownMetricError(LoopError, KeyError):
    """A metric or its labels are not in the registry, `metrics/names.py`."""

    def __str__(self) -> str:
        return str(self.args[0])


class StatsdClient(Protocol):
    """What is used of `statsd.StatsClient`."""

    def incr(self, stat: str, count: float = 1) -> None: ...  # noqa: D102
    def gauge(self, stat: str, value: float) -> None: ...  # noqa: D102
    def timing(self, stat: str, delta: float) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Metrics:
    """Emits the loop's metrics to one StatsD address.

    Args:
        host: name or address of the collector; looked up at the first packet, and again a minute after a failure.
        port: its UDP port.
        fleet: names the loop in a tag of its own, so that a collector can tell two apart; none when empty.
        strict: raise `UnknownMetricError` for a metric that the registry does not list.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        fleet: str = "",
        strict: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client: StatsdClient | None = None
        self._close: weakref.finalize[[], Metrics] | None = None
        self._host, self._port = host, port
        self._own = {FLEET: fleet} if fleet else {}
        self._strict = strict
        self._clock = clock
        self._try_again_at = 0.0
        self._reported: set[str] = set()

    @classmethod
    def open(cls, config: LoopConfig, fleet: str) -> Metrics:
        """The emitter of a loop for the configured collector."""
        return cls(config.statsd_host, config.statsd_port, fleet=fleet)

    def close(self) -> None:
        """Give the socket back; the next metric opens another."""
        self._client = None
        if self._close is not None:
            self._close()

    def incr(self, name: str, n: float = 1, **labels: object) -> None:
        """Add `n` to a counter."""
        self._send(name, Kind.COUNTER, n, labels, lambda client, stat: client.incr(stat, n))

    def gauge(self, name: str, value: float, **labels: object) -> None:
        """Set a gauge."""
        self._send(name, Kind.GAUGE, value, labels, lambda client, stat: client.gauge(stat, value))

    def observe(self, name: str, value: float, **labels: object) -> None:
        """Add a value, in the metric's own unit, to a histogram."""
        # The collector divides a StatsD timer by 1000, whatever its unit.
        self._send(name, Kind.HISTOGRAM, value, labels, lambda client, stat: client.timing(stat, 1000.0 * value))

    def zero_counters(self, known: Mapping[str, Sequence[str]]) -> int:
        """Send 0 for every counter whose label values are known, so that the first event is seen as an increase.

        Adding 0 changes nothing where the counter exists, so this may be repeated: it also brings the counters back
        after the collector was restarted.

        Args:
            known: values of the labels `config`, `host`, ... of this set-up.

        Returns:
            The number of series sent.
        """
        sent = 0
        for metric in REGISTRY.values():
            if metric.kind is Kind.COUNTER:
                for labels in label_sets(metric, known):
                    self.incr(metric.name, 0, **labels)
                    sent += 1
        return sent

    def _send(
        self,
        name: str,
        kind: Kind,
        value: float,
        labels: Mapping[str, object],
        send: Callable[[StatsdClient, str], None],
    ) -> None:
        complaint = _complaint(name, kind, value, labels)
        if complaint is not None:
            if self._strict:
                raise UnknownMetricError(complaint)
            if complaint not in self._reported:
                self._reported.add(complaint)
                _log.error("metric not sent: %s", complaint)
            return
        client = self._connected()
        if client is not None:
            send(client, _stat(name, {**labels, **self._own}))

    def _connected(self) -> StatsdClient | None:
        if self._client is None and self._clock() >= self._try_again_at:
            try:
                self._client = statsd.StatsClient(self._host, self._port)
                # Stages come and go with their `Loop`; none of them has to remember the socket. Not `__del__`: of a
                # loop in a circle of references the collector may take the socket first.
                self._close = weakref.finalize(self, self._client.close)
            except OSError as error:
                self._try_again_at = self._clock() + _RETRY_S
                _log.warning("no metrics for the next %.0f s: %s:%d: %s", _RETRY_S, self._host, self._port, error)
        return self._client


def _complaint(name: str, kind: Kind, value: float, labels: Mapping[str, object]) -> str | None:
    metric = REGISTRY.get(name)
    if metric is None:
        return f"{name} is not in metrics/names.py"
    if metric.kind is not kind:
        return f"{name} is a {metric.kind.value}, it was used as a {kind.value}"
    if set(labels) != set(metric.labels):
        return f"{name} has the labels {sorted(metric.labels)}, got {sorted(labels)}"
    if not math.isfinite(value) or (kind is Kind.COUNTER and value < 0):
        return f"{name} must be a finite number, and not negative when it is a counter, got {value}"
    return None


def _stat(name: str, labels: Mapping[str, object]) -> str:
    return ",".join([name, *(f"{label}={safe_label(value)}" for label, value in labels.items())])


def safe_label(value: object) -> str:
    """A label's value as it may stand in a StatsD line: unsafe characters become `_`, an empty one `none`."""
    return _UNSAFE.sub("_", str(value))[:_MAX_LABEL] or "none"
