"""The part of `ringrift-loop host` that is about detached jobs and the folders that travel with them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ringrift_loop.cluster.agent.job_record import JobStatus
    from ringrift_loop.layout import HostDirectory

_Action: TypeAlias = "Callable[[HostDirectory, argparse.Namespace], None]"
_Add: TypeAlias = "Callable[[str, _Action, str, str], argparse.ArgumentParser]"


def add_actions(add: _Add, stdin: Callable[[int], bytes]) -> None:
    """Add the actions; `add` makes one with the host's root folder, `stdin` reads a bounded request."""

    def start(host_dir: HostDirectory, args: argparse.Namespace) -> None:
        from ringrift_loop.cluster.agent.host_jobs import start_job
        from ringrift_loop.cluster.agent.job_record import MAX_SPEC_BYTES, spec_from_bytes

        _answer(start_job(host_dir, args.id, spec_from_bytes(stdin(MAX_SPEC_BYTES))))

    def receive(host_dir: HostDirectory, args: argparse.Namespace) -> None:
        from ringrift_loop.cluster.agent import job_folder

        folder = job_folder.below(host_dir, args.folder)
        wanted = job_folder.listing_from_bytes(stdin(job_folder.MAX_LISTING_BYTES))
        job_folder.remove_others(folder, wanted)
        sys.stdout.write(job_folder.missing_to_bytes(job_folder.missing_in(folder, wanted)).decode())

    add("gpus", gpus, "the GPUs and their free memory", "As nvidia-smi reports them; none without that program.")
    started = add("start-job", start, "start a job, or attach to it", "Detached; its spec comes on stdin as JSON.")
    asked = add("job-status", status, "how a job stands", "A running one may go on for another while.")
    asked.add_argument("--log-offset", type=int, help="send the log from this byte on")
    stopped = add("stop-job", stop, "end a job with all its processes", "Waits until it has ended.")
    finished = add("finish-job", finish, "let go of a job's result", "The same id starts anew afterwards.")
    ran = add("run-job", run, "supervise a job: what start-job starts", "Ends when the job has ended.")
    ran.add_argument("--lock", type=int, help="an open lock file, closed once the job's process is on record")
    for one in (started, asked, stopped, finished, ran):
        one.add_argument("--id", required=True, help="the job's id")
    listed = add("list-folder", list_files, "the files of a job's folder", "With their sizes and digests.")
    wanted = add("expect-folder", receive, "which files of a list are missing", "Removes others; the list is on stdin.")
    for one in (listed, wanted):
        one.add_argument("--folder", required=True, help="such as jobs/ID/input")


def gpus(_host_dir: HostDirectory, _args: argparse.Namespace) -> None:
    """Asked before a placement."""
    from ringrift_loop.cluster.agent.host_jobs import gpus_of_host
    from ringrift_loop.cluster.agent.job_record import gpus_to_bytes

    sys.stdout.write(gpus_to_bytes(gpus_of_host()).decode())


def status(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """Asked every few seconds."""
    from ringrift_loop.cluster.agent.host_jobs import job_status

    _answer(job_status(host_dir, args.id, args.log_offset))


def stop(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """The cancellation."""
    from ringrift_loop.cluster.agent.host_jobs import stop_job

    _answer(stop_job(host_dir, args.id))


def finish(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """The last step of a job."""
    from ringrift_loop.cluster.agent.host_jobs import finish_job

    _answer(finish_job(host_dir, args.id))


def run(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """The supervisor itself."""
    from ringrift_loop.cluster.agent.job_supervisor import supervise_job

    supervise_job(host_dir, args.id, args.lock)
    print(json.dumps({"ended": args.id}))


def list_files(host_dir: HostDirectory, args: argparse.Namespace) -> None:
    """Before a pull."""
    from ringrift_loop.cluster.agent import job_folder
    from ringrift_loop.errors import DataError

    try:
        answer = job_folder.listing_to_bytes(job_folder.list_folder(job_folder.below(host_dir, args.folder)))
    except DataError as error:
        answer = job_folder.problem_to_bytes(error)
    sys.stdout.write(answer.decode())


def _answer(found: JobStatus) -> None:
    from ringrift_loop.cluster.agent.job_record import status_to_bytes

    sys.stdout.write(status_to_bytes(found).decode())
