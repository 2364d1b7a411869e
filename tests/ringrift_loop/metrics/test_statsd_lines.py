"""The cases follow the behaviour of prometheus/statsd_exporter 0.30 (pkg/line and its documentation)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.metrics.bridge import read_packet
from ringrift_loop.metrics.statsd_lines import Event, escaped, parse_line


def _parsed(line: str) -> tuple[list[Event], list[str]]:
    errors: list[str] = []
    return parse_line(line, errors.append), errors


def test_a_counter_with_influx_tags() -> None:
    events, errors = _parsed("games,host=a,config=hex8_2p:5|c")

    assert events == [Event("games", (("config", "hex8_2p"), ("host", "a")), "counter", 5.0)]
    assert errors == []


def test_a_timer_becomes_seconds_and_a_histogram_stays_as_sent() -> None:
    assert _parsed("t:1500|ms")[0] == [Event("t", (), "observer", 1.5)]
    assert _parsed("t:1500|h")[0] == [Event("t", (), "observer", 1500.0)]
    assert _parsed("t:1500|d")[0] == [Event("t", (), "observer", 1500.0)]


def test_a_signed_gauge_is_relative() -> None:
    assert _parsed("g:3|g")[0] == [Event("g", (), "gauge", 3.0)]
    assert _parsed("g:+3|g")[0] == [Event("g", (), "gauge", 3.0, relative=True)]
    assert _parsed("g:-3|g")[0] == [Event("g", (), "gauge", -3.0, relative=True)]


def test_sampling_scales_counters_and_repeats_observations() -> None:
    assert _parsed("c:1|c|@0.1")[0] == [Event("c", (), "counter", 10.0)]
    assert _parsed("t:1000|ms|@0.25")[0] == [Event("t", (), "observer", 1.0, times=4)]


def test_one_line_may_hold_several_samples() -> None:
    events, _ = _parsed("foo:200|ms:300|ms:5|c")

    assert [(event.kind, event.value) for event in events] == [("observer", 0.2), ("observer", 0.3), ("counter", 5.0)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "malformed_line"),
        (":5|c", "malformed_line"),
        (",a=b:5|c", "malformed_line"),
        ("a:5", "not_enough_parts_after_colon"),
        ("a:x|c", "malformed_value"),
        ("a:1_000|c", "malformed_value"),
        ("a:nan|g", "malformed_value"),
        ("a:5|s", "illegal_event"),
        ("a:5|c|", "malformed_component"),
        ("a:5|c|@x", "invalid_sample_factor"),
        ("a:5|c|@0", "invalid_sample_factor"),
        ("a,x=1:5|c|#y:2", "mixed_tagging_styles"),
    ],
)
def test_what_cannot_be_read_is_counted_by_reason_and_left_out(line: str, reason: str) -> None:
    assert _parsed(line) == ([], [reason])


def test_a_broken_tag_is_dropped_and_the_sample_stays() -> None:
    events, errors = _parsed("a,x=1,y,z=:5|c")

    assert events == [Event("a", (("x", "1"),), "counter", 5.0)]
    assert errors == ["malformed_tag", "malformed_tag"]


def test_an_empty_line_is_nothing() -> None:
    assert _parsed("") == ([], [])


def test_names_are_made_fit_for_prometheus() -> None:
    assert escaped("airflow.ti-finish") == "airflow_ti_finish"
    assert escaped("9lives") == "_9lives"


@given(st.binary(max_size=200))
def test_no_packet_can_raise(packet: bytes) -> None:
    lines, events, errors = read_packet(packet)

    assert lines >= 0
    assert isinstance(errors, Counter)
    assert all(event.times >= 1 for event in events)


@pytest.mark.parametrize("label", ["le", "quantile", "__name__", "__x", "-_x"])
def test_labels_that_prometheus_keeps_for_itself_are_refused(label: str) -> None:
    assert _parsed(f"t,{label}=5,host=a:1|ms") == ([Event("t", (("host", "a"),), "observer", 0.001)], ["reserved_tag"])


def test_a_line_cannot_make_a_series_of_any_size() -> None:
    assert _parsed("n,host=" + "ä" * 510 + ":1|c") == ([], ["too_long_name_or_tags"])
    assert _parsed("n" * 1025 + ":1|c") == ([], ["too_long_name_or_tags"])
    assert len(_parsed("n,host=" + "a" * 1000 + ":1|c")[0]) == 1
