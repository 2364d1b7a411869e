"""StatsD lines to events, as prometheus/statsd_exporter 0.30 reads them (its `pkg/line`), for influx-style tags.

`name,tag=value:5|c`, `name:12.5|ms`, `name:+3|g`, several samples `name:1|c:2|c`, sampling `|@0.1`. Tags of other
styles are not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_MAX_REPEAT = 1000
# Name and tags of a line; a series holds them as long as it lives.
MAX_HEAD = 1024
# Prometheus keeps these for itself: a page with one of them twice in a sample is refused as a whole.
_RESERVED = frozenset({"le", "quantile"})
_INVALID = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True)
class Event:
    """One sample."""

    name: str
    labels: tuple[tuple[str, str], ...]
    """Sorted by label."""
    kind: str
    """`counter`, `gauge` or `observer`."""
    value: float
    """Timers in seconds, everything else as sent."""
    relative: bool = False
    """A gauge that was sent with a sign: added to the old value."""
    times: int = 1
    """A sampled observation stands for so many."""


def parse_line(line: str, count_error: Callable[[str], None]) -> list[Event]:
    """The events of one line; what cannot be read is reported with the exporter's word for it and left out."""
    if not line:
        return []
    head, colon, rest = line.partition(":")
    if not colon or not head:
        count_error("malformed_line")
        return []
    if len(head.encode()) > MAX_HEAD:
        count_error("too_long_name_or_tags")
        return []
    name, _, tags = head.partition(",")
    labels = _labels(tags, count_error) if tags else ()
    if not name:
        count_error("malformed_line")
        return []
    if "|" not in rest:
        count_error("not_enough_parts_after_colon")
        return []
    if "|#" in rest:
        count_error("mixed_tagging_styles" if labels else "unsupported_tagging_style")
        return []
    found = (_event(name, labels, sample, count_error) for sample in rest.split(":"))
    return [event for event in found if event is not None]


def escaped(name: str) -> str:
    """The name with every character that Prometheus does not take replaced by `_`."""
    return ("_" if name[:1].isdigit() else "") + _INVALID.sub("_", name)


def _labels(tags: str, count_error: Callable[[str], None]) -> tuple[tuple[str, str], ...]:
    labels: dict[str, str] = {}
    for tag in tags.split(","):
        name, _, value = tag.partition("=")
        label = escaped(name)
        if not name or not value:
            count_error("malformed_tag")
        elif label in _RESERVED or label.startswith("__"):
            count_error("reserved_tag")
        else:
            labels[label] = value
    return tuple(sorted(labels.items()))


def _event(
    name: str, labels: tuple[tuple[str, str], ...], sample: str, count_error: Callable[[str], None]
) -> Event | None:
    text, *parts = sample.split("|")
    if not 1 <= len(parts) <= 5 or "" in parts:
        count_error("malformed_component")
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text or text != text.strip():
        count_error("malformed_value")
        return None
    rate = _sampling(parts[1:])
    if rate is None:
        count_error("invalid_sample_factor")
        return None
    kind = parts[0]
    if kind == "c":
        return Event(name, labels, "counter", value / rate)
    if kind == "g":
        return Event(name, labels, "gauge", value, relative=text[0] in "+-")
    if kind in ("ms", "h", "d"):
        scaled = value / 1000.0 if kind == "ms" else value
        return Event(name, labels, "observer", scaled, times=max(1, min(_MAX_REPEAT, int(1 / rate))))
    count_error("illegal_event")
    return None


def _sampling(parts: list[str]) -> float | None:
    """The sampling factor among the parts after the type; 1 when there is none, None when it is no share."""
    for part in parts:
        if part.startswith("@"):
            try:
                rate = float(part[1:])
            except ValueError:
                return None
            return rate if 0.0 < rate <= 1.0 else None
    return 1.0
