"""What travels between coordinator and host: the same on both sides, and nothing from a host is trusted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, SealedFile, WorkerReport
from ringrift_loop.cluster.agent.wire import report_from_bytes, report_to_bytes, request_from_bytes, request_to_bytes
from ringrift_loop.errors import DataError
from ringrift_loop.selfplay.segments import SegmentName

NAME = SegmentName("e" * 16, 1, 5, "0" * 16)
OTHER = str(SegmentName("e" * 16, 2, 5, "0" * 16))
REQUEST = ReportRequest(frozenset({str(NAME), OTHER}), frozenset({OTHER}), list_all=True)
REPORT = HostReport(
    sealed=(SealedFile(NAME, 1234, 5.5),),
    gone=frozenset({OTHER}),
    refused=("pass?wd",),
    workers=(
        WorkerReport(0, True, "hex8_2p", 10.0, None, b'{"v": 1}', 2.5),
        WorkerReport(1, False, None, None, None, None, None, "no record"),
    ),
    pointers={"hex8_2p": "a" * 64},
    models=frozenset({"a" * 64}),
    version="0.0.9",
)


def test_requests_and_reports_arrive_as_they_were_sent() -> None:
    assert request_from_bytes(request_to_bytes(REQUEST)) == REQUEST
    raw = report_to_bytes(REPORT)
    assert raw.count(b"\n") == 1
    assert report_from_bytes(raw, REQUEST) == REPORT


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(report_to_bytes(REPORT)) | changes).encode()


WORKER = json.loads(report_to_bytes(REPORT))["workers"][0]


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "a report is JSON"),
        (b"[" * 100_000, "a report is JSON"),
        (b"[]", "a report is a JSON object"),
        (changed(version=None), "version must be text"),
        (changed(version="9\n9"), "version must be text"),
        (changed(v=2, version="9.9"), "by ringrift-loop '9.9', this is .*; install the same version"),
        (changed(sealed=[["../../etc/passwd", 1, 1]]), "a segment is named"),
        (changed(sealed=[[str(NAME), -1, 1]]), "sizes in bytes"),
        (changed(sealed=[[str(NAME), True, 1]]), "sizes in bytes"),
        (changed(sealed=[[str(NAME), 1, float("nan")]]), "seconds from 0"),
        (changed(sealed=[[str(NAME), 1, 1]] * 2001), "at most 2000"),
        (changed(gone=["something else"]), "nobody asked for"),
        (changed(refused=[1]), "list of texts"),
        (changed(workers=[WORKER | {"slot": 256}]), "below 256"),
        (changed(workers=[WORKER | {"alive": 1}]), "true or false"),
        (changed(workers=[WORKER | {"variant": "a/b"}]), "variant must be text like"),
        (changed(workers=[WORKER | {"heartbeat": 5}]), "heartbeat must be text"),
        (changed(workers=[WORKER | {"age_s": -1}]), "seconds from 0"),
        (changed(pointers={"hex8_2p": "../x"}), "pointers must be text like"),
        (changed(models=["x" * 64]), "models must be text like"),
    ],
)
def test_a_wrong_report_is_refused(raw: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        report_from_bytes(raw, REQUEST)


def test_text_for_people_is_cut_and_holds_nothing_that_a_terminal_would_obey() -> None:
    report = report_from_bytes(changed(refused=["\x1b[31m\ud800" + "x" * 1000]), REQUEST)
    assert report.refused[0].startswith("?[31m?x")
    assert len(report.refused[0]) == 500


@pytest.mark.parametrize(
    "document",
    [
        {"v": 1, "known": ["/etc/passwd"], "delete": [], "list_all": False},
        {"v": 1, "known": [], "delete": [str(NAME)], "list_all": False},
        {"v": 1, "known": [], "delete": [], "list_all": 1},
        {"v": 7},
    ],
)
def test_a_host_refuses_a_wrong_request(document: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        request_from_bytes(json.dumps(document).encode())
