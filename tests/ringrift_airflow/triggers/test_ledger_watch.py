from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from sqlalchemy.exc import OperationalError

from new_ledger import new_ledger
from ringrift_airflow.triggers.ledger_watch import LedgerWatchTrigger, Look
from ringrift_airflow.triggers.new_games import NewGamesTrigger
from ringrift_airflow.triggers.reload import ReloadTrigger
from ringrift_loop.loop import Loop


class CountingTrigger(LedgerWatchTrigger):
    """Has an answer at the third look; the second one meets a locked ledger."""

    looks = 0

    def look(self, loop: Loop) -> Look:
        self.looks += 1
        if self.looks == 2:
            raise OperationalError("select", {}, Exception("database is locked"))
        return Look(f"look {self.looks}", {"looks": self.looks} if self.looks == 3 else None)


async def first_event(trigger: LedgerWatchTrigger) -> TriggerEvent:
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger ended without an event")


@pytest.fixture
def ledger(run_home: Path) -> None:
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")


@pytest.mark.parametrize(
    "trigger",
    [
        NewGamesTrigger(poll_s=15.0, variant=None, games=None, asker="scheduled__1"),
        NewGamesTrigger(poll_s=15.0, variant="hex8_2p", games=300, asker=None),
        ReloadTrigger(digest="ab" * 32, poll_s=10.0),
    ],
    ids=["due", "games", "reload"],
)
def test_airflows_database_gives_back_the_same_trigger(trigger: LedgerWatchTrigger) -> None:
    from airflow.sdk.module_loading import import_string
    from airflow.sdk.serde import deserialize, serialize

    path, arguments = trigger.serialize()
    stored: Any = deserialize(serialize(arguments))
    again = import_string(path)(**stored)
    assert type(again) is type(trigger)
    assert again.serialize() == trigger.serialize()


@pytest.mark.usefixtures("ledger")
def test_a_locked_ledger_is_looked_at_again() -> None:
    event = asyncio.run(first_event(CountingTrigger(poll_s=0.01)))
    assert event.payload == {"looks": 3}


@pytest.mark.usefixtures("ledger")
def test_progress_is_told_when_it_changes_and_not_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Look("1 of 3"), Look("1 of 3"), Look("2 of 3"), Look("3 of 3", {})]
    told: list[str] = []

    class Scripted(LedgerWatchTrigger):
        def look(self, loop: Loop) -> Look:
            return answers.pop(0)

    trigger = Scripted(poll_s=0.001)
    monkeypatch.setattr(
        type(trigger), "log", property(lambda self: type("Log", (), {"info": staticmethod(told.append)}))
    )
    asyncio.run(first_event(trigger))
    assert told == ["1 of 3", "2 of 3", "3 of 3"]


@pytest.mark.usefixtures("ledger")
def test_other_waiting_tasks_go_on_while_the_ledger_is_read() -> None:
    import threading

    begun, answered = threading.Event(), threading.Event()

    class Slow(LedgerWatchTrigger):
        def look(self, loop: Loop) -> Look:
            begun.set()
            # The event loop below answers while this waits; if the look blocked it, nobody would.
            return Look("", {"others went on": answered.wait(10)})

    async def both() -> TriggerEvent:
        waiting = asyncio.create_task(first_event(Slow(poll_s=1.0)))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        answered.set()
        return await waiting

    assert asyncio.run(both()).payload == {"others went on": True}


@pytest.mark.usefixtures("ledger")
def test_a_mistake_of_ours_in_a_query_ends_the_waiting() -> None:
    class Wrong(LedgerWatchTrigger):
        def look(self, loop: Loop) -> Look:
            with loop.ledger.read() as conn:
                conn.exec_driver_sql("SELECT * FROM gone")
            return Look("", {})

    with pytest.raises(OperationalError, match="no such table: gone"):
        asyncio.run(first_event(Wrong(poll_s=0.01)))


def test_a_ledger_without_its_schema_ends_the_waiting_with_the_remedy(run_home: Path) -> None:
    from ringrift_loop.errors import LedgerError

    with pytest.raises(LedgerError, match="ringrift-loop ledger migrate"):
        asyncio.run(first_event(CountingTrigger(poll_s=0.01)))
