"""Waits, deferred, until a variant has enough new games; for the loop itself it also starts the training."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, BaseOperator, Context

from ringrift_airflow.assets import TRAINING_DUE
from ringrift_airflow.links import TrainingLink
from ringrift_airflow.numbers import number
from ringrift_airflow.settings import loop_config, open_loop
from ringrift_loop.errors import ConfigError


class NewGamesSensor(BaseOperator):
    """Waits until a variant has a number of games in the ledger that no training has used yet.

    The waiting is the triggerer's and takes no worker slot; the log shows how far it is, as "square8_2p: 212 of 300
    games". It uses up no game: run again, it finds the same ones.

    XCom `return_value` (each key also under its own name): `variant` and `pending_games`.

    Args:
        variant: such as `square8_2p`; by default the first of the configuration's that has enough.
        games: how many; by default `training.trigger_threshold_games`, or as few as hold `trigger_threshold_rows`.
        for_training: what `ringrift_training_wait` does. It also waits for `training.min_interval_seconds` and for an
            open run of the variant, notes in the ledger that a run was asked for, and wakes `ringrift_training` by its
            asset.
        poll_s: seconds between two looks at the ledger.
        timeout: how long it waits at most; by default forever.

    Raises:
        ConfigError: the configuration has no such variant, or `games` is no number from 1.
        TaskDeferralTimeout: there were too few games at the end of `timeout`.
    """

    template_fields: Sequence[str] = ("variant", "games", "poll_s")
    ui_color = "#e6f1f2"
    operator_extra_links = (TrainingLink(),)

    def __init__(
        self,
        *,
        variant: str | None = None,
        games: int | str | None = None,
        for_training: bool = False,
        poll_s: float | str = 15.0,
        timeout: timedelta | None = None,
        outlets: Collection[Asset] = (),
        **options: Any,
    ) -> None:
        asset = [TRAINING_DUE] if for_training else []
        super().__init__(**{"multiple_outputs": True, **options, "outlets": [*outlets, *asset]})
        self.variant = variant
        self.games = games
        self.for_training = for_training
        self.poll_s = poll_s
        self.timeout = timeout

    def execute(self, context: Context) -> None:
        """Hand the waiting over to the triggerer."""
        from ringrift_airflow.triggers.new_games import NewGamesTrigger

        known = loop_config().variants
        if self.variant and self.variant not in known:
            raise ConfigError(f"variant must be one of {', '.join(known)}, got {self.variant!r}")
        games = None if self.games in (None, "", "None") else number("games", self.games)
        if games is not None and (games < 1 or games != int(games)):
            raise ConfigError(f"games must be a whole number from 1, got {self.games!r}")
        trigger = NewGamesTrigger(
            poll_s=number("poll_s", self.poll_s),
            variant=self.variant or None,
            games=None if games is None else int(games),
            asker=str(context["run_id"]) if self.for_training else None,
        )
        self.defer(trigger=trigger, method_name="arrived", timeout=self.timeout)

    def arrived(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Give the variant; for training, note the request in the ledger first, so that it is not made twice.

        Killed between the two, the task is tried again and makes its own request once more.
        """
        if self.for_training:
            from ringrift_loop.training.due import request

            request(open_loop(), event["variant"], asker=str(context["run_id"]))
            context["outlet_events"][TRAINING_DUE].extra = event
        return event
