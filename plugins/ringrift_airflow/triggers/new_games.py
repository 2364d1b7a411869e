"""Fires with the first variant that has enough new games."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringrift_airflow.triggers.ledger_watch import LedgerWatchTrigger, Look

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop


class NewGamesTrigger(LedgerWatchTrigger):
    """Payload: `{"variant": ..., "pending_games": ...}`.

    Args:
        poll_s: seconds between two looks.
        variant: the only one that counts; None: any.
        games: how many are enough; None: the configuration's threshold.
        asker: the run that waits to start a training: the variant must be due for one (pause over, no other run), and
            the run's own earlier request does not count as answered. None: the games alone count.
    """

    def __init__(self, *, poll_s: float, variant: str | None, games: int | None, asker: str | None) -> None:
        super().__init__(poll_s=poll_s)
        self.variant = variant
        self.games = games
        self.asker = asker

    def arguments(self) -> dict[str, Any]:
        """What `poll_s` does not say."""
        return {"variant": self.variant, "games": self.games, "asker": self.asker}

    def look(self, loop: Loop) -> Look:
        """Every variant's count against what is wanted, and the first that has it."""
        from ringrift_loop.training.due import survey

        waits = [
            wait
            for wait in survey(loop, asker=self.asker, threshold=self.games)
            if self.variant in (None, wait.variant)
        ]
        if self.asker is None:
            text = "; ".join(wait.count for wait in waits)
            found = next((wait for wait in waits if wait.has_games), None)
        else:
            text = "; ".join(wait.describe() for wait in waits)
            found = next((wait for wait in waits if wait.is_due), None)
        if found is None:
            return Look(progress=text)
        return Look(progress=text, payload={"variant": found.variant, "pending_games": found.pending_games})
