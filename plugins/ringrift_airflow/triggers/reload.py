"""Fires when every worker that plays a variant has loaded its new champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringrift_airflow.triggers.ledger_watch import LedgerWatchTrigger, Look

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop


class ReloadTrigger(LedgerWatchTrigger):
    """Payload: the library's reload status.

    Args:
        digest: the model that the workers should report.
        poll_s: seconds between two looks; heartbeats come in with each sync.
    """

    def __init__(self, *, digest: str, poll_s: float) -> None:
        super().__init__(poll_s=poll_s)
        self.digest = digest

    def arguments(self) -> dict[str, Any]:
        """What `poll_s` does not say."""
        return {"digest": self.digest}

    def look(self, loop: Loop) -> Look:
        """How many workers have it, from their last heartbeats."""
        from ringrift_loop.cluster.sync.distribute import reload_status

        status = reload_status(loop, self.digest)
        if not status.done:
            return Look(progress=status.describe())
        return Look(progress=status.describe(), payload=status.as_json())
