"""From the ledger's list of games to the replay window: read the segments, replay each game, keep what it teaches.

Every game was replayed once already, when it was taken in. A game that cannot be read any more is left out, counted and
named in the report; a window that lost more than a few is an error.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger.training import WindowGameRow
from ringrift_loop.selfplay.records import BOOTSTRAP, GameRecord, replay
from ringrift_loop.selfplay.segments import read_segment, segment_path
from ringrift_loop.training.window import Window, WindowWriter, open_window

_log = logging.getLogger(__name__)

MAX_LOST_SHARE = 0.05
"""A window that loses more of its games than this is not trained on."""


@dataclass(frozen=True)
class Gathered:
    """A window and what became of the games that were to make it."""

    window: Window
    digest: str
    """sha256 over the ids of the planned games and the validation share."""
    fresh: frozenset[int]
    """Numbers of the games that this run consumed first."""
    lost: tuple[str, ...]
    """A line for each game that could not be read."""


@dataclass(frozen=True)
class WindowPlan:
    """Which games make a window; decides everything that is in it."""

    variant: str
    games: Sequence[WindowGameRow]
    validation_fraction: float

    @property
    def digest(self) -> str:
        """sha256 of the plan, in hex."""
        lines = [f"{self.variant} {self.validation_fraction!r}", *sorted(game.id for game in self.games)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def in_reading_order(self) -> list[WindowGameRow]:
        """The games, those of one segment together."""
        return sorted(self.games, key=lambda game: (game.host, game.segment, game.position))


def gather(plan: WindowPlan, directory: RunDirectory, folder: Path) -> Gathered:
    """Make the window in a folder, or open the one that the same plan made there before.

    Raises:
        DataError: no game is left, or more than MAX_LOST_SHARE of them cannot be read.
    """
    ordered = plan.in_reading_order()
    if not ordered:
        raise DataError(
            f"no game of {plan.variant} is left to train on: all were played with another engine version than "
            f"{ENGINE_VERSION}, by hosts under suspicion, or their files are gone"
        )
    lost_file = folder / "lost.txt"
    window = open_window(folder, plan.digest)
    if window is None:
        writer = WindowWriter(folder, rules_for(plan.variant), rows=sum(g.rows for g in ordered), games=len(ordered))
        lost = _fill(writer, plan, ordered, directory)
        lost_file.write_text("".join(f"{line}\n" for line in lost))
        if len(lost) == len(ordered) or len(lost) > MAX_LOST_SHARE * len(ordered):
            raise DataError(
                f"{len(lost)} of the {len(ordered)} games of the window cannot be read, "
                f"the first: {lost[0]}; see {lost_file}"
            )
        window = writer.finish(plan.digest)
    lines = tuple(lost_file.read_text().splitlines())
    missing = {line.split(":", 1)[0] for line in lines}
    kept = [game for game in ordered if game.id not in missing]
    fresh = frozenset(number for number, game in enumerate(kept) if game.fresh)
    return Gathered(window, plan.digest, fresh, lines)


def is_validation(game_id: str, fraction: float) -> bool:
    """Whether a game is kept for validation: by a hash of its id, so that it is in every window or in none."""
    number = int.from_bytes(hashlib.sha256(f"validation {game_id}".encode()).digest()[:8], "big")
    return number < fraction * 2.0**64


def _fill(writer: WindowWriter, plan: WindowPlan, ordered: list[WindowGameRow], directory: RunDirectory) -> list[str]:
    """Write every readable game; return a line `<id>: <reason>` for each of the others."""
    rules: dict[bool, Rules] = {}
    hosts = {host: number for number, host in enumerate(sorted({game.host for game in ordered}))}
    work: Any = make_work(rules_for(plan.variant))
    lost: list[str] = []
    for game, payload in _payloads(ordered, directory):
        try:
            if isinstance(payload, DataError):
                raise payload
            record = GameRecord.from_json(payload)
            if (record.id, record.variant) != (game.id, plan.variant):
                raise DataError(f"the record there is game {record.id} of {record.variant}")
            if record.pie_rule not in rules:
                rules[record.pie_rule] = rules_for(plan.variant, pie_rule=record.pie_rule)
            replayed = replay(record, rules[record.pie_rule], work)
            writer.add(
                replayed,
                validation=is_validation(game.id, plan.validation_fraction),
                bootstrap=record.player == BOOTSTRAP,
                host=hosts[game.host],
            )
        except (DataError, IllegalMoveError) as error:
            _log.warning("game %s is left out of the window: %s", game.id, error)
            lost.append(f"{game.id}: {str(error).splitlines()[0]}")
    return lost


def _payloads(
    ordered: list[WindowGameRow], directory: RunDirectory
) -> Iterator[tuple[WindowGameRow, bytes | DataError]]:
    for (host, name), group in groupby(ordered, key=lambda game: (game.host, game.segment)):
        try:
            records: list[bytes] | DataError = read_segment(segment_path(directory, host, name))
        except (OSError, DataError) as error:
            records = DataError(f"segment {name} of {host} cannot be read: {error}")
        for game in group:
            if isinstance(records, DataError):
                yield game, records
            elif game.position >= len(records):
                yield game, DataError(f"segment {name} of {host} has only {len(records)} records")
            else:
                yield game, records[game.position]
