"""A host whose program lies: through the real transport every lie is an error that names the host, never a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop.cluster.agent.actions import (
    EXPECT_FOLDER,
    GPUS,
    JOB_STATUS,
    LIST_FOLDER,
    MODEL_STATUS,
    PROBE,
    REPORT,
    STOP_WORKER,
    Action,
)
from ringrift_loop.cluster.agent.job_folder import FolderFiles
from ringrift_loop.cluster.agent.report import ReportRequest
from ringrift_loop.cluster.agent.requests import (
    ExpectFolder,
    FolderQuery,
    ModelQuery,
    Nothing,
    StatusQuery,
    StopWorker,
)
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.cluster.transport.remote import SSHTransport
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.inventory import Host

# Marks its answer as the request asks; what it answers to an action lies in a file beside it.
PROGRAM = """#!{python} -S
import json, pathlib, sys
token = json.loads(sys.stdin.readline())["token"]
answer = pathlib.Path(__file__).with_name(sys.argv[2]).read_text()
print(f'<{{token}}>{{{{"v": 2, "version": "0.1.0", "answer": {{answer}}}}}}</{{token}}>')
"""
HUGE = 10**400
DEEP = "[" * 200_000
NAME = "e" * 16 + "-00000001-5-" + "0" * 16 + ".jsonl.zst"
WORKER: dict[str, Any] = dict.fromkeys(("variant", "age_s", "stop_requested_s", "heartbeat", "heartbeat_age_s"))
WORKER |= {"slot": 0, "alive": True}
REPORTED: dict[str, Any] = {"sealed": [], "gone": [], "refused": [], "workers": [], "pointers": {}, "models": []}
FACTS: dict[str, Any] = dict.fromkeys(("version", "python", "clock", "disk_free_bytes", "disk_free_inodes", "load"))
FACTS |= dict.fromkeys(("memory_total_bytes", "memory_available_bytes", "cpus", "gpus", "gpu_problem", "rsync"))
FACTS |= {"write_problem": None}
JOB: dict[str, Any] = {"state": "running"}
REQUESTS: dict[Action[Any, Any], Any] = {
    REPORT: ReportRequest(),
    PROBE: Nothing(),
    MODEL_STATUS: ModelQuery("a" * 64),
    STOP_WORKER: StopWorker(0),
    GPUS: Nothing(),
    JOB_STATUS: StatusQuery("ab"),
    LIST_FOLDER: FolderQuery("jobs/ab/output"),
    EXPECT_FOLDER: ExpectFolder("jobs/ab/input", FolderFiles({})),
}
LIES: list[tuple[Action[Any, Any], Any]] = [
    (REPORT, REPORTED | {"workers": [WORKER | {"age_s": HUGE}]}),
    (REPORT, REPORTED | {"workers": [WORKER | {"slot": HUGE}]}),
    (REPORT, REPORTED | {"workers": [WORKER, WORKER]}),
    (REPORT, REPORTED | {"workers": [WORKER | {"variant": "a\x00"}]}),
    (REPORT, REPORTED | {"plan": {"v": 1, "weights": {"hex8_2p": HUGE}}}),
    (REPORT, REPORTED | {"plan": {"v": 1, "weights": {"go_2p": 1.0}}}),
    (REPORT, REPORTED | {"sealed": [[NAME, 5, 1.0], [NAME, 5, 1.0]]}),
    (REPORT, REPORTED | {"sealed": [["../../x", 5, 1.0]]}),
    (REPORT, REPORTED | {"sealed": [[NAME, HUGE, 1.0]]}),
    (REPORT, REPORTED | {"gone": [NAME]}),
    (REPORT, REPORTED | {"pointers": {"hex8_2p": "a" * 65}}),
    (REPORT, REPORTED | {"models": "a" * 64}),
    (REPORT, REPORTED | {"mood": "good"}),
    (PROBE, FACTS | {"clock": HUGE}),
    (PROBE, FACTS | {"cpus": -1}),
    (PROBE, FACTS | {"gpus": [{"index": 0, "total_mib": 1, "free_mib": HUGE}]}),
    (MODEL_STATUS, {"present": False, "staged": {"../x": 1}}),
    (MODEL_STATUS, {"present": False, "staged": {"model.onnx": HUGE}}),
    (STOP_WORKER, {"alive": "yes"}),
    (GPUS, {"gpus": [{"index": 64, "total_mib": 1, "free_mib": 1}]}),
    (JOB_STATUS, JOB | {"log_next": HUGE}),
    (JOB_STATUS, JOB | {"state": "running\n"}),
    (JOB_STATUS, JOB | {"result": "x" * (2 << 20)}),
    (LIST_FOLDER, {"files": {"../../.ssh/authorized_keys": [1, "a" * 64]}}),
    (LIST_FOLDER, {"files": {"x": [HUGE, "a" * 64]}}),
    (LIST_FOLDER, {"files": {f"{number}": [1, "a" * 64] for number in range(10_001)}}),
    (EXPECT_FOLDER, {"missing": ["/etc/passwd"]}),
]


@pytest.fixture
def host(tmp_path: Path, ssh_server: Callable[..., Any], ssh_host: Callable[..., Host]) -> Host:
    program = tmp_path / "liar" / "venv" / "bin" / "ringrift-loop"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return ssh_host("a", ssh_server("a"), f"remote_path: {tmp_path}/liar")


def test_every_lie_is_refused_with_the_hosts_name_and_in_one_short_line(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "liar" / "venv" / "bin"
    lies = [(action, json.dumps(answer)) for action, answer in LIES]
    lies += [(action, text) for action in REQUESTS for text in (DEEP, '{"a": ' + DEEP, "", "null", "\\ud800")]

    async def ask_all() -> list[Exception | None]:
        async with aclosing(SSHTransport(SSHHost(host))) as transport:
            caught: list[Exception | None] = []
            for action, text in lies:
                (folder / action.name).write_text(text)
                caught.append(
                    (await asyncio.gather(transport.call(action, REQUESTS[action]), return_exceptions=True))[0]
                )
            return caught

    for (action, text), error in zip(lies, asyncio.run(ask_all()), strict=True):
        assert isinstance(error, DataError), (action.name, text[:200], error)
        assert str(error).startswith("a: "), error
        assert str(error).isprintable()
        assert len(str(error)) < 600


def test_the_liars_program_is_believed_where_it_tells_the_truth(host: Host, tmp_path: Path) -> None:
    truths = {
        REPORT: REPORTED | {"workers": [WORKER], "sealed": [[NAME, 5, 1.0]]},
        PROBE: FACTS,
        MODEL_STATUS: {"present": False, "staged": {"model.onnx": 5}},
        STOP_WORKER: {"alive": True},
        GPUS: {"gpus": [{"index": 0, "total_mib": 2, "free_mib": 1}]},
        JOB_STATUS: JOB,
        LIST_FOLDER: {"files": {"x": [1, "a" * 64]}},
        EXPECT_FOLDER: {"missing": []},
    }

    async def ask_all() -> None:
        async with aclosing(SSHTransport(SSHHost(host))) as transport:
            for action, answer in truths.items():
                (tmp_path / "liar" / "venv" / "bin" / action.name).write_text(json.dumps(answer))
                assert isinstance(await transport.call(action, REQUESTS[action]), action.answer)

    assert truths.keys() == REQUESTS.keys()
    asyncio.run(ask_all())
