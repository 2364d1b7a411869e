"""What a host can be asked to do: every action with its request, its answer and the function that runs there.

The command line on hosts (`ringrift-loop host ACTION`) and both transports know no more of an action than what stands
here, so a new one is declared here and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from ringrift_loop.cluster.agent import host_jobs, job_folder
from ringrift_loop.cluster.agent.gpus import gpus_of_host
from ringrift_loop.cluster.agent.job_folder import FolderFiles
from ringrift_loop.cluster.agent.job_record import JobStatus
from ringrift_loop.cluster.agent.probe import HostFacts, host_facts
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest, host_report
from ringrift_loop.cluster.agent.requests import (
    ExpectFolder,
    FolderQuery,
    Gpus,
    JobQuery,
    Missing,
    ModelQuery,
    ModelStatus,
    ModelStream,
    Nothing,
    Point,
    StartJob,
    StartWorker,
    StatusQuery,
    Stopped,
    StopWorker,
)
from ringrift_loop.cluster.agent.workers import WorkerSpec, start_worker, stop_worker
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import write_json
from ringrift_loop.selfplay.host_settings import HostSettings, write_settings
from ringrift_loop.selfplay.pace import Allowance, write_allowance
from ringrift_loop.selfplay.plan import Plan, write_plan
from ringrift_loop.selfplay.pointer import write_pointer

Asked = TypeVar("Asked", bound=msgspec.Struct)
Told = TypeVar("Told", bound=msgspec.Struct)

COMMAND_LIMIT_S = 30.0
TRANSFER_LIMIT_S = 120.0
JOB_LIMIT_S = 45.0  # starting or ending a job, which waits for its process


@dataclass(frozen=True)
class Action(Generic[Asked, Told]):
    """One thing that a host can be asked."""

    name: str
    help: str
    request: type[Asked]
    answer: type[Told]
    run: Callable[[HostDirectory, Asked], Told]  # on the host
    limit_s: float = COMMAND_LIMIT_S
    check: Callable[[Told, Asked], None] = lambda _answer, _request: None  # raises DataError: no answer to this request


def _model_status(host_dir: HostDirectory, request: ModelQuery) -> ModelStatus:
    # Imported here and below: the network's package brings numba, which the other actions do not need.
    from ringrift_loop.cluster.agent.receive_model import model_status

    return model_status(host_dir, request.digest)


def _receive_model(host_dir: HostDirectory, request: ModelStream) -> Nothing:
    from ringrift_loop.cluster.agent.receive_model import receive_model

    receive_model(host_dir, request, sys.stdin.buffer)  # what comes after the request's line
    return Nothing()


def _point(host_dir: HostDirectory, request: Point) -> Nothing:
    write_pointer(host_dir, request.variant, request.pointer)
    return Nothing()


def _start_worker(host_dir: HostDirectory, request: StartWorker) -> Nothing:
    write_json(host_dir.worker_settings, {"selfplay": request.selfplay})
    start_worker(host_dir, WorkerSpec(request.host, request.slot, host_dir.worker_settings, request.nice))
    return Nothing()


def _stop_worker(host_dir: HostDirectory, request: StopWorker) -> Stopped:
    return Stopped(stop_worker(host_dir, request.slot, kill=request.kill))


def _pace(host_dir: HostDirectory, request: Allowance) -> Nothing:
    write_allowance(host_dir, request)
    return Nothing()


def _keep_plan(host_dir: HostDirectory, request: Plan) -> Nothing:
    write_plan(host_dir, request)
    return Nothing()


def _keep_settings(host_dir: HostDirectory, request: HostSettings) -> Nothing:
    write_settings(host_dir, request)
    return Nothing()


def _list_folder(host_dir: HostDirectory, request: FolderQuery) -> FolderFiles:
    try:
        return FolderFiles(job_folder.list_folder(job_folder.below(host_dir, request.folder)))
    except DataError as error:
        return FolderFiles({}, str(error))


def _expect_folder(host_dir: HostDirectory, request: ExpectFolder) -> Missing:
    folder, wanted = job_folder.below(host_dir, request.folder), request.content.files
    job_folder.remove_others(folder, wanted)
    return Missing(tuple(job_folder.missing_in(folder, wanted)))


REPORT = Action(
    "report", "new segments, workers and models", ReportRequest, HostReport, host_report, check=HostReport.check_against
)
PROBE = Action("probe", "what this machine is", Nothing, HostFacts, lambda host_dir, _: host_facts(host_dir.root))
MODEL_STATUS = Action("model-status", "what is here of a model", ModelQuery, ModelStatus, _model_status)
RECEIVE_MODEL = Action(
    "receive-model", "take a model from stdin", ModelStream, Nothing, _receive_model, limit_s=TRANSFER_LIMIT_S
)
POINT = Action("point", "name the model that a variant plays with", Point, Nothing, _point)
START_WORKER = Action("start-worker", "start a slot's worker, detached", StartWorker, Nothing, _start_worker)
STOP_WORKER = Action("stop-worker", "end a slot's worker", StopWorker, Stopped, _stop_worker)
PACE = Action("pace", "what the workers may use of the machine", Allowance, Nothing, _pace)
PLAN = Action("plan", "which variants the workers play, and by what weights", Plan, Nothing, _keep_plan)
SETTINGS = Action("settings", "what workers started later do differently", HostSettings, Nothing, _keep_settings)
GPUS = Action("gpus", "the GPUs and their free memory", Nothing, Gpus, lambda _, __: Gpus(gpus_of_host()))
START_JOB = Action(
    "start-job",
    "start a job, or attach to it",
    StartJob,
    JobStatus,
    lambda host_dir, asked: host_jobs.start_job(host_dir, asked.id, asked.spec),
    limit_s=JOB_LIMIT_S,
)
JOB_STATUS = Action(
    "job-status",
    "how a job stands",
    StatusQuery,
    JobStatus,
    lambda host_dir, asked: host_jobs.job_status(host_dir, asked.id, asked.log_offset),
)
STOP_JOB = Action(
    "stop-job",
    "end a job with all its processes",
    JobQuery,
    JobStatus,
    lambda host_dir, asked: host_jobs.stop_job(host_dir, asked.id),
    limit_s=JOB_LIMIT_S,
)
FINISH_JOB = Action(
    "finish-job",
    "let go of a job's result",
    JobQuery,
    JobStatus,
    lambda host_dir, asked: host_jobs.finish_job(host_dir, asked.id),
)
LIST_FOLDER = Action(
    "list-folder", "the files of a job's folder", FolderQuery, FolderFiles, _list_folder, limit_s=TRANSFER_LIMIT_S
)
EXPECT_FOLDER = Action(
    "expect-folder",
    "which files of a list are missing",
    ExpectFolder,
    Missing,
    _expect_folder,
    limit_s=TRANSFER_LIMIT_S,
    check=Missing.check_against,
)

ACTIONS: dict[str, Action[Any, Any]] = {
    action.name: action
    for action in (
        REPORT,
        PROBE,
        MODEL_STATUS,
        RECEIVE_MODEL,
        POINT,
        START_WORKER,
        STOP_WORKER,
        PACE,
        PLAN,
        SETTINGS,
        GPUS,
        START_JOB,
        JOB_STATUS,
        STOP_JOB,
        FINISH_JOB,
        LIST_FOLDER,
        EXPECT_FOLDER,
    )
}
