"""A model's way to the hosts, through the operators and sensors of the example, on real SSH servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from new_ledger import new_ledger
from ringrift_airflow.operators.distribute_model import DistributeModelOperator
from ringrift_airflow.operators.promote_model import PromoteModelOperator
from ringrift_airflow.sensors.new_games import NewGamesSensor
from ringrift_airflow.sensors.reload import ReloadSensor
from ringrift_airflow.settings import open_loop
from ringrift_loop import __version__
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import HostError, LedgerError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import gates, hosts, models, workers
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import verify
from ringrift_loop.selfplay.heartbeat import Heartbeat, VariantPlay
from ringrift_loop.selfplay.pointer import read_pointer
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentWriter
from samples import byte_model, random_game

VARIANT = "square8_2p"


@pytest.fixture
def servers(
    ssh_server: Any, ssh_entry: Callable[..., str], run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Hosts a and b, which the operators find by the environment."""
    started = {name: ssh_server(name) for name in "ab"}
    text = "standard_hosts:\n" + "".join(ssh_entry(name, server) for name, server in started.items())
    (tmp_path / "hosts.yaml").write_text(text)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    return started


@pytest.fixture
def loop(servers: dict[str, Any]) -> Iterator[Loop]:
    opened = open_loop()
    yield opened
    opened.ledger.close()


@pytest.fixture
def folders(servers: dict[str, Any], tmp_path: Path) -> dict[str, HostDirectory]:
    return {name: HostDirectory(tmp_path / "hosts" / name) for name in servers}


@pytest.fixture
def champion(loop: Loop) -> str:
    """A registered model that the operator has promoted."""
    digest = byte_model(loop.directory.root / "models", b"weights")
    with loop.ledger.begin() as conn:
        models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        gates.add(conn, VARIANT, digest, gates.REGRESSION, passed=True, report={"tests": []}, at=1.0)
        report: Any = {"champion_digest": None, "gain": None, "games": 0, "reasons": ["the variant has no champion"]}
        gates.add(conn, VARIANT, digest, gates.CHAMPION, passed=True, report=report, at=1.0)
    promoted = run(PromoteModelOperator(task_id="promote", model="{{ params.model }}"), model=digest)
    assert (promoted["status"], promoted["model_digest"]) == ("promoted", digest)
    return digest


def run(operator: Any, **params: Any) -> Any:
    """Render the templates and execute, as a task does."""
    context = {"params": params, "run_id": "manual__1"}
    operator.render_template_fields(context)
    return operator.execute(context)


def look(sensor: Any, loop: Loop, **params: Any) -> Any:
    """What the sensor's trigger finds now; None: it waits on."""
    with pytest.raises(TaskDeferred) as raised:
        run(sensor, **params)
    return raised.value.trigger.look(loop).payload  # type: ignore[attr-defined]


def distribute(digest: str) -> Any:
    return run(DistributeModelOperator(task_id="distribute", model="{{ params.model }}"), model=digest)


def test_the_champion_reaches_every_host_whole_and_once(
    champion: str, servers: dict[str, Any], folders: dict[str, HostDirectory]
) -> None:
    servers["b"].stop()
    record = distribute(champion)
    assert (record["variant"], record["digest"], record["reached"]) == (VARIANT, champion, ["a"])
    assert list(record["failed"]) == ["b"]
    assert servers["b"].address in record["failed"]["b"]

    verify(folders["a"].model(champion), champion)
    pointer = read_pointer(folders["a"], VARIANT)
    assert pointer is not None
    assert (pointer.digest, pointer.generation) == (champion, 1)
    assert not folders["b"].model(champion).exists()

    written = [path.stat().st_mtime_ns for path in sorted(folders["a"].model(champion).iterdir())]
    servers["b"].start()
    assert distribute(champion)["reached"] == ["a", "b"]
    assert written == [path.stat().st_mtime_ns for path in sorted(folders["a"].model(champion).iterdir())]
    verify(folders["b"].model(champion), champion)


def test_the_task_fails_when_no_host_takes_it_and_for_what_is_no_champion(
    champion: str, servers: dict[str, Any]
) -> None:
    with pytest.raises(LedgerError, match="00000000"):
        distribute("0" * 64)
    for server in servers.values():
        server.stop()
    with pytest.raises(HostError, match=r"a.*b"):
        distribute(champion)


def test_what_comes_from_the_hosts_ends_the_waiting_of_the_sensors(
    champion: str, loop: Loop, folders: dict[str, HostDirectory]
) -> None:
    def games() -> Any:
        return look(NewGamesSensor(task_id="wait", variant=VARIANT, games="{{ params.games }}"), loop, games=10)

    def reload() -> Any:
        return look(
            ReloadSensor(task_id="reload", digest="{{ params.model }}", poll_s=1.0, timeout=timedelta(minutes=5)),
            loop,
            model=champion,
        )

    distribute(champion)
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        workers.assign(conn, "a", 0, at=1.0)
    beat(folders["a"], None)
    put_games(folders["a"], seeds=range(5))
    assert sync_once(loop).games_new == 5
    assert (games(), reload()) == (None, None)

    beat(folders["a"], champion)
    put_games(folders["b"], seeds=range(5, 10))
    assert sync_once(loop).games_new == 5
    assert games() == {"variant": VARIANT, "pending_games": 10}
    assert reload()["loaded"] == ["a/0"]


def put_games(folder: HostDirectory, seeds: Iterable[int]) -> None:
    """Seal a segment of random games on a host."""
    writer = SegmentWriter(folder, 0, max_games=1000, max_age_s=15)
    for seed in seeds:
        game = random_game(seed, VARIANT)
        record = GameRecord(
            id=f"{seed:032x}",
            variant=VARIANT,
            pie_rule=False,
            seed=seed,
            moves=" ".join(game.moves),
            plies=len(game.moves),
            winner=game.winner,
            result=game.result,
            player="random",
            search={},
            engine=ENGINE_VERSION,
            started_at=time.time(),
            finished_at=time.time(),
            host=folder.root.name,
            worker="0-1",
            targets="",
        )
        writer.append(record.to_json())
    writer.seal()
    writer.close()


def beat(folder: HostDirectory, model: str | None) -> None:
    """A worker's heartbeat, as a worker in slot 0 writes it."""
    said = Heartbeat(
        pid=4_000_000,
        start_time=1.0,
        host="a",
        slot=0,
        variant=VARIANT,
        state="playing",
        model=model,
        generation=0 if model is None else 1,
        games=5,
        games_per_hour=100.0,
        evals_per_s=5.0,
        net_share=0.5,
        last_error=None,
        at=time.time(),
        version=__version__,
        variants={VARIANT: VariantPlay(model=model, generation=0 if model is None else 1)},
    )
    said.write(folder)
