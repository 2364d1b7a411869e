"""The operator and its trigger against real hosts: begin, defer, follow, collect, cancel, find again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TriggerEvent

from new_ledger import new_ledger
from ringrift_airflow.links import job_id
from ringrift_airflow.operators.gpu_job import GpuJobOperator
from ringrift_airflow.triggers.gpu_job import GpuJobTrigger
from ringrift_loop.cluster.agent.host_jobs import job_status, stop_job
from ringrift_loop.errors import ConfigError, JobFaulty, JobOutOfSight
from ringrift_loop.layout import HostDirectory

INSTANCE = {"dag_id": "d", "run_id": "manual__1", "task_id": "t", "map_index": -1}
TRIGGER = {"poll_s": 0.1, "until": 4e9, **INSTANCE}


class TaskInstance(SimpleNamespace):
    """Keeps what is pushed, as the task's own does."""

    def __init__(self, **ids: Any) -> None:
        super().__init__(**(INSTANCE | ids), pushed={})

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def server(
    ssh_server: Any, ssh_entry: Callable[..., str], run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A loop with one host, which the operator finds by the environment."""
    server = ssh_server("a")
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n" + ssh_entry("a", server, "role: training"))
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    return server


@pytest.fixture
def host(server: Any, tmp_path: Path) -> Iterator[HostDirectory]:
    made = HostDirectory(tmp_path / "hosts" / "a")
    yield made
    for job in made.jobs.glob("[!.]*"):
        stop_job(made, job.name)


one_kind = pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)


def operator(command: Any, **options: Any) -> GpuJobOperator:
    return GpuJobOperator(task_id="t", command=command, role="training", **({"limit_s": 60, "poll_s": 0.1} | options))


def events_of(trigger: GpuJobTrigger) -> list[Any]:
    async def collect() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect())


def deferred(made: GpuJobOperator, instance: TaskInstance) -> GpuJobTrigger:
    """Execute until it defers; the trigger as Airflow's database gives it back."""
    from airflow.sdk.module_loading import import_string
    from airflow.sdk.serde import deserialize, serialize

    with pytest.raises(TaskDeferred) as raised:
        made.execute({"ti": instance})  # type: ignore[typeddict-item]
    path, arguments = raised.value.trigger.serialize()
    stored: Any = deserialize(serialize(arguments))
    trigger = import_string(path)(**stored)
    assert trigger.serialize() == (path, arguments)
    assert raised.value.method_name == "finish"
    assert isinstance(trigger, GpuJobTrigger)
    return trigger


def test_a_job_is_begun_followed_by_the_trigger_and_collected(
    host: HostDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = TaskInstance()
    line = "sleep 0.3; echo 100% >&2; echo x > {output}/x; echo '{\"rows\": 7}'"
    made = operator(line, outputs=str(tmp_path / "out"))
    trigger = deferred(made, instance)
    assert instance.pushed == {"host": "a", "job_id": job_id(instance)}

    (event,) = events_of(trigger)

    assert event == {"job_id": job_id(instance), "state": "succeeded"}
    assert "100%" in capsys.readouterr().out
    record = operator(line, outputs=str(tmp_path / "out")).finish({"ti": instance}, event)  # type: ignore[typeddict-item]
    assert (record["host"], record["attempt"], record["result"]) == ("a", 1, {"rows": 7})
    assert (tmp_path / "out" / "x").read_text() == "x\n"


@one_kind
def test_a_task_that_an_earlier_version_deferred_is_followed_on(host: HostDirectory) -> None:
    _, arguments = deferred(operator("true"), TaskInstance()).serialize()
    del arguments["until"]  # that version set no limit here
    (event,) = events_of(GpuJobTrigger(**arguments))
    assert event["state"] == "succeeded"


@one_kind
def test_a_retry_and_a_restarted_triggerer_find_the_running_job(host: HostDirectory, tmp_path: Path) -> None:
    line = f"echo run >> {tmp_path}/runs; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    first = deferred(operator(line), TaskInstance())

    async def stopped_triggerer() -> None:
        following = asyncio.create_task(anext(aiter(first.run())))  # type: ignore[arg-type]
        await asyncio.sleep(0.5)
        following.cancel()  # as a triggerer that stops does
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(stopped_triggerer())
    assert job_status(host, first.job_id).state == "running"
    again = deferred(operator(line), TaskInstance())
    (tmp_path / "go").touch()
    assert events_of(again)[0]["state"] == "succeeded"
    assert (tmp_path / "runs").read_text() == "run\n"


@one_kind
@pytest.mark.parametrize(
    ("states", "outcome"),
    [
        ({"manual__1": {"t": "failed"}}, "cancelled"),
        ({"manual__1": {"t": "success"}}, "cancelled"),
        ({}, "cancelled"),  # the run was deleted
        ({"manual__1": {"t": None}}, "running"),  # cleared: the next try attaches
        ({"manual__1": {"t": "deferred"}}, "running"),  # another triggerer has it
    ],
)
def test_marking_a_task_failed_ends_its_job_and_clearing_it_does_not(
    host: HostDirectory, monkeypatch: pytest.MonkeyPatch, states: dict[str, Any], outcome: str
) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    trigger = deferred(operator("sleep 600 & sleep 600"), TaskInstance())
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(lambda **_: states))
    asyncio.run(trigger.on_kill())
    assert job_status(host, trigger.job_id).state == outcome


@one_kind
def test_a_mapped_task_asks_for_its_own_state(host: HostDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    trigger = deferred(operator("sleep 600"), TaskInstance(map_index=3))
    asked: list[Any] = []

    def states(**given: Any) -> Any:
        asked.append(given)
        return {"manual__1": {"t_3": "failed", "t_2": None}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(states))
    asyncio.run(trigger.on_kill())
    assert asked == [{"dag_id": "d", "task_ids": ["t"], "run_ids": ["manual__1"], "map_index": 3}]
    assert job_status(host, trigger.job_id).state == "cancelled"


def test_without_a_triggerer_it_waits_itself_and_a_stop_ends_the_job(host: HostDirectory) -> None:
    made = operator("sleep 600 & sleep 600", deferrable=False)
    instance = TaskInstance()
    job = job_id(instance)

    def stop() -> None:
        while not (host.job(job).process.exists() and "job_id" in instance.pushed):
            time.sleep(0.05)
        made.on_kill()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(JobFaulty, match=f"job {job} on a: it was cancelled"):
        made.execute({"ti": instance})  # type: ignore[typeddict-item]
    stopping.join()
    assert job_status(host, job).state == "cancelled"


def test_a_stop_before_anything_was_begun_does_nothing() -> None:
    operator("true").on_kill()


@one_kind
def test_a_host_that_vanishes_is_an_event_and_an_error_that_is_retried(
    host: HostDirectory, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringrift_loop.cluster.jobs import lifecycle as jobs

    follow = jobs.follow
    monkeypatch.setattr(jobs, "follow", lambda *words, **options: follow(*words, **options, patience_s=2.5))
    trigger = deferred(operator("sleep 600"), TaskInstance())
    server.stop()
    (event,) = events_of(trigger)
    assert event["state"] == "unreachable"
    with pytest.raises(JobOutOfSight, match="may still run on a"):
        operator("sleep 600").finish({"ti": TaskInstance()}, event)  # type: ignore[typeddict-item]


@one_kind
def test_a_trigger_blocks_nobody_else_while_it_waits(host: HostDirectory) -> None:
    trigger = deferred(operator("sleep 1"), TaskInstance())

    async def longest_pause() -> float:
        following = asyncio.create_task(_first(trigger))
        pauses = [0.0]
        while not following.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - before)
        return max(pauses)

    # Airflow warns at 0.2 s; the machine may be busy, and the imports of the first call count.
    assert asyncio.run(longest_pause()) < 1.0


async def _first(trigger: GpuJobTrigger) -> TriggerEvent:
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger ended without an event")


def test_ids_differ_between_tasks_and_not_between_tries() -> None:
    ids = [job_id(TaskInstance(**change)) for change in ({}, {"map_index": 0}, {"task_id": "u"}, {"run_id": "r"})]
    assert len(set(ids)) == 4
    assert job_id(TaskInstance(try_number=2)) == ids[0]


def test_templates_are_rendered() -> None:
    made = operator("echo {{ run_id }}", gpus="{{ params.gpus }}", outputs="/data/{{ run_id }}")
    made.render_template_fields({"run_id": "r", "params": {"gpus": 2}})
    assert (made.command, made.gpus, made.outputs) == ("echo r", "2", "/data/r")


@one_kind
def test_a_number_that_is_none_is_refused_when_it_runs(host: HostDirectory) -> None:
    with pytest.raises(ConfigError, match="gpus must be a number, got 'many'"):
        operator("true", gpus="many").execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]


def test_the_example_can_be_parsed() -> None:
    from ringrift_airflow.dag_pages import load_dags

    folder = Path(__file__).parents[3] / "plugins" / "ringrift_airflow" / "example_dags"
    tasks = load_dags(folder)["example_gpu_job"].tasks
    assert [type(task) for task in tasks] == [GpuJobOperator]
