"""Fires with the first variant that has enough new games for a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringrift_airflow.triggers.ledger_watch import LedgerWatchTrigger, Look

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop


class TrainingDueTrigger(LedgerWatchTrigger):
    """Payload: `{"variant": ..., "pending_games": ...}`.

    Args:
        poll_s: seconds between two looks.
        asker: the run that waits; its own earlier request does not count as answered.
    """

    def __init__(self, *, poll_s: float, asker: str) -> None:
        super().__init__(poll_s=poll_s)
        self.asker = asker

    def arguments(self) -> dict[str, Any]:
        """What `poll_s` does not say."""
        return {"asker": self.asker}

    def look(self, loop: Loop) -> Look:
        """Every variant's count against the threshold, and the one that is due."""
        from ringrift_loop.training.due import survey

        progress = survey(loop, asker=self.asker)
        text = "; ".join(each.describe() for each in progress)
        due = next((each for each in progress if each.is_due), None)
        if due is None:
            return Look(progress=text)
        return Look(progress=text, payload={"variant": due.variant, "pending_games": due.pending_games})
