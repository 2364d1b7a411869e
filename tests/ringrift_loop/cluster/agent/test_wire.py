"""What travels between coordinator and host: the same on both sides, and nothing from a host is trusted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringrift_loop import __version__
from ringrift_loop.cluster.agent import wire
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, SealedFile, WorkerReport
from ringrift_loop.errors import DataError
from ringrift_loop.selfplay.plan import Plan
from ringrift_loop.selfplay.segments import SegmentName

TOKEN = "0123456789abcdef" * 2
NAME = str(SegmentName("e" * 16, 1, 5, "0" * 16))
OTHER = str(SegmentName("e" * 16, 2, 5, "0" * 16))
REQUEST = ReportRequest(frozenset({NAME, OTHER}), frozenset({OTHER}), list_all=True)
WORKERS = (
    WorkerReport(0, True, "hex8_2p", 10.0, None, '{"v": 1}', 2.5),
    WorkerReport(1, False, None, None, None, None, None, "no record"),
)
REPORT = HostReport(
    sealed=(SealedFile(NAME, 1234, 5.5),),
    gone=frozenset({OTHER}),
    refused=("pass?wd",),
    workers=WORKERS,
    pointers={"hex8_2p": "a" * 64},
    models=frozenset({"a" * 64}),
    version="0.0.9",
    plan=Plan({"hex8_2p": 1.0}),
)
ANSWER = wire.answer_text(REPORT, TOKEN)


def read(output: str | bytes) -> HostReport:
    return wire.read_answer(output.encode() if isinstance(output, str) else output, TOKEN, HostReport)


def test_requests_and_reports_arrive_as_they_were_sent() -> None:
    assert wire.read_request(wire.request_line(REQUEST, TOKEN), ReportRequest) == (REQUEST, TOKEN)
    assert wire.request_line(REQUEST, TOKEN).count(b"\n") == 1
    assert read(ANSWER) == REPORT
    REPORT.check_against(REQUEST)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Welcome to a!\n", ""),
        ("no newline", ""),
        ('{"v": 2}\n<feedfeedfeedfeedfeedfeedfeedfeed>', "</feedfeedfeedfeedfeedfeedfeedfeed>"),
        ("\x1b[31m", "logout\n"),
        ("", "Goodbye"),
    ],
)
def test_whatever_a_login_prints_around_the_answer_it_is_read(before: str, after: str) -> None:
    assert read(before + ANSWER + after) == REPORT


@pytest.mark.parametrize("output", ["\x1b[2JWelcome\n", f"Welcome\n{ANSWER[: len(ANSWER) // 2]}"])
def test_an_answer_that_is_not_whole_is_told_with_the_words_that_were_met(output: str) -> None:
    with pytest.raises(DataError, match=r"this login prints text of its own, .*Welcome") as caught:
        read(output)
    assert str(caught.value).isprintable()


def test_an_answer_of_the_version_before_marks_is_told_as_such() -> None:
    with pytest.raises(DataError, match="an earlier ringrift-loop") as caught:
        read('Welcome\n{"v": 1, "version": "0.1.0", "python": "3.11.2"}\n')
    assert not isinstance(caught.value, wire.TalkingLoginError)


def test_no_words_at_all_are_not_called_a_talking_login() -> None:
    with pytest.raises(DataError, match="answered nothing"):
        read("\n")


def changed(**changes: Any) -> str:
    begin, end = wire.marks(TOKEN)
    document = json.loads(ANSWER.strip()[len(begin) : -len(end)])
    return f"{begin}{json.dumps(document | {'answer': document['answer'] | changes})}{end}"


WORKER = {"slot": 0, "alive": True, "variant": "hex8_2p", "age_s": 10.0, "stop_requested_s": None}
WORKER |= {"heartbeat": None, "heartbeat_age_s": None, "problem": None}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": None}, "an answer: version: Expected `str`, got `null`"),
        ({"version": "9\n"}, "version: Expected `str` matching"),
        ({"mood": "good"}, "unknown field `mood`"),
        ({"sealed": [["../../etc/passwd", 1, 1]]}, "a segment is named"),
        ({"sealed": [[NAME + "\n", 1, 1]]}, "a segment is named"),
        ({"sealed": [[NAME, -1, 1]]}, r"sealed\[0\]\[1\]: Expected `int` >= 0, got -1"),
        ({"sealed": [[NAME, True, 1]]}, "Expected `int`, got `bool`: True"),
        ({"sealed": [[NAME, 10**400, 1]]}, r"sealed\[0\]\[1\]"),
        ({"sealed": [[NAME, 1, 10**400]]}, "Number out of range"),
        ({"sealed": [[NAME, 1, 1, 1]]}, "at most length 3"),
        ({"sealed": [[NAME, 1, 1]] * 2001}, "length <= 2000"),
        ({"sealed": [[NAME, 1, 1]] * 2}, "a segment is listed twice"),
        ({"refused": [1]}, r"refused\[0\]: Expected `str`, got `int`: 1"),
        ({"workers": [WORKER, WORKER]}, "a slot is listed twice"),
        ({"workers": [WORKER | {"slot": 256}]}, r"workers\[0\]\.slot: Expected `int` <= 255, got 256"),
        ({"workers": [WORKER | {"alive": 1}]}, "Expected `bool`, got `int`: 1"),
        ({"workers": [WORKER | {"variant": "a/b"}]}, "variant: Expected `str` matching .* got 'a/b'"),
        ({"workers": [WORKER | {"heartbeat": 5}]}, "heartbeat: Expected `str | null`, got `int`: 5"),
        ({"workers": [WORKER | {"age_s": -1}]}, "age_s: Expected `float` >= 0.0, got -1"),
        ({"workers": [WORKER | {"age_s": 10**400}]}, "age_s: Number out of range"),
        ({"pointers": {"hex8_2p": "../x"}}, "pointers"),
        ({"pointers": {"../x": "a" * 64}}, "pointers"),
        ({"models": ["x" * 64]}, r"models\[0\]: Expected `str` matching"),
        ({"models": json.loads("[" * 900 + "]" * 900)}, "Expected `str`, got `array`"),
    ],
)
def test_a_wrong_report_is_refused_by_field_fault_and_value(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        read(changed(**changes))
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    "junk", ["", "[]", "[" * 100_000, '{"v": 2, "version": "1", "answer": ' + "[" * 100_000, "\ud800"]
)
def test_junk_is_refused(junk: str) -> None:
    begin, end = wire.marks(TOKEN)
    with pytest.raises(DataError, match="an answer"):
        read((begin + junk + end).encode("utf-8", "surrogatepass"))


def test_another_version_of_the_wire_is_told_with_the_programs_of_both_sides() -> None:
    begin, end = wire.marks(TOKEN)
    with pytest.raises(DataError, match=f"got v=7 by ringrift-loop '9.9', this is {__version__}; install the same"):
        read(f'{begin}{{"v": 7, "version": "9.9", "whatever": 1}}{end}')


def test_a_host_may_only_call_gone_what_was_asked_about() -> None:
    with pytest.raises(DataError, match="nobody asked about"):
        REPORT.check_against(ReportRequest())


def test_text_for_people_is_cut_and_holds_nothing_that_a_terminal_would_obey() -> None:
    report = read(changed(refused=["\x1b[31m\x00" + "x" * 1000]))
    assert report.refused[0].startswith("?[31m?x")
    assert len(report.refused[0]) == 500


@pytest.mark.parametrize(
    "document",
    [
        {"known": ["/etc/passwd"], "delete": [], "list_all": False},
        {"known": [], "delete": [NAME], "list_all": False},
        {"known": [], "delete": [], "list_all": 1},
        {"known": [], "wipe": True},
    ],
)
def test_a_host_refuses_a_wrong_request(document: dict[str, Any]) -> None:
    call = {"v": 2, "version": __version__, "token": TOKEN, "request": document}
    with pytest.raises(DataError):
        wire.read_request(json.dumps(call).encode(), ReportRequest)


@pytest.mark.parametrize("token", ["", "short", TOKEN + "\n", TOKEN.upper(), 5])
def test_a_host_writes_no_mark_that_is_not_a_token(token: Any) -> None:
    call = {"v": 2, "version": __version__, "token": token, "request": {}}
    with pytest.raises(DataError, match="token"):
        wire.read_request(json.dumps(call).encode(), ReportRequest)
