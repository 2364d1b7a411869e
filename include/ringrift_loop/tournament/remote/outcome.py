"""What a host leaves of the blocks that it has played, and what the coordinator makes of it.

    <block id>.json      `PlayedBlock`: moves and result of each of the block's games

Nothing in it is believed. A block counts when it is one of those that were asked for, and each of its games goes
through the rules engine from the opening that was drawn here to the end that the host says it had. Seats, places and
ids are not read from the host at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from ringrift_loop.checked_json import Document, File, line, parse
from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import make_work, places
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.state import PLY, RESULT, WINNER
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.machine.files import read_plain, write_whole
from ringrift_loop.selfplay.records import MAX_BYTES, MAX_PLIES, check_end, play_through
from ringrift_loop.text import clean
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.openings import Opening

MAX_BLOCK_BYTES = 4 * MAX_BYTES
_SUFFIX = ".json"


class PlayedGame(Document, frozen=True):
    """One game as the host says that it went."""

    moves: Annotated[str, Meta(max_length=MAX_BYTES, pattern=r"^[\x20-\x7e]+\Z")]
    """Texts of all plies, the opening's too, joined by one space."""
    winner: Annotated[int, Meta(ge=1, le=4)] | None
    """Seat from 1; None when the game was cut off."""
    result: str


class PlayedBlock(File, frozen=True):
    """One block; its games in the plan's order."""

    block: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    games: Annotated[tuple[PlayedGame, ...], Meta(min_length=1, max_length=4)]


@dataclass(frozen=True)
class Asked:
    """A block that a host was asked for."""

    plan: BlockPlan
    opening: Opening


@dataclass(frozen=True)
class Refusal:
    """A file of a host that does not count."""

    file: str
    reason: str


def block_file(output: Path, block: str) -> Path:
    """Where a block's games lie in an output folder."""
    return output / f"{block}{_SUFFIX}"


def write_block(output: Path, plan: BlockPlan, rows: Sequence[MatchRow]) -> None:
    """Write the games of a block that has ended."""
    by_id = {row.id: row for row in rows}
    ordered = [by_id[plan.match_id(game)] for game in range(len(plan.seatings))]
    games = tuple(PlayedGame(row.moves, row.winner, row.result) for row in ordered)
    write_whole(block_file(output, plan.id), line(PlayedBlock(plan.id, games)))


def read_blocks(
    output: Path, asked: Mapping[str, Asked], *, host: str, at: float
) -> tuple[list[list[MatchRow]], list[Refusal]]:
    """The games of the blocks in a folder that came from a host, and what there is refused.

    Args:
        output: plain files; a folder that is not there is empty.
        asked: what the host was asked for, by the block's id.
        host: who has played them.
        at: UTC seconds, for the match log.
    """
    blocks, refusals = [], []
    for path in sorted(output.rglob("*")) if output.exists() else []:
        if path.is_dir() or path.name.startswith("."):
            continue
        try:
            is_block = path == block_file(output, path.stem)
            blocks.append(_read(path, asked.get(path.stem) if is_block else None, host, at))
        except (DataError, IllegalMoveError, OSError) as error:
            if not path.exists():  # another process that followed the job has taken everything in
                continue
            refusals.append(Refusal(path.name, clean(str(error))))
    return blocks, refusals


def _read(path: Path, asked: Asked | None, host: str, at: float) -> list[MatchRow]:
    if asked is None:
        raise DataError("no block of that name was asked for")
    return rows_of(parse(read_plain(path, MAX_BLOCK_BYTES), PlayedBlock, "a played block"), asked, host=host, at=at)


def rows_of(played: PlayedBlock, asked: Asked, *, host: str, at: float) -> list[MatchRow]:
    """The games of a block as they enter the match log, each replayed; sorted by id.

    Raises:
        DataError, IllegalMoveError: it is another block, or a game did not go as the host says.
    """
    plan = asked.plan
    if played.block != plan.id:
        raise DataError(f"it holds block {played.block}, its name says {plan.id}")
    if len(played.games) != len(plan.seatings):
        raise DataError(f"block {plan.id} has {len(plan.seatings)} games, got {len(played.games)}")
    rules = rules_for(plan.variant)
    work = make_work(rules)
    rows = [_row(rules, work, asked, number, game, host, at) for number, game in enumerate(played.games)]
    return sorted(rows, key=lambda row: row.id)


def _row(rules: Rules, work: Any, asked: Asked, number: int, game: PlayedGame, host: str, at: float) -> MatchRow:
    plan, opening = asked.plan, asked.opening
    name = f"game {number} of block {plan.id}"
    texts = game.moves.split(" ")
    if len(texts) > MAX_PLIES:
        raise DataError(f"{name} has {len(texts)} plies, at most {MAX_PLIES} are possible")
    moves, states, choices = play_through(rules, texts, work, name)
    begun = tuple(moves[: len(opening.moves)].tolist())
    if begun != opening.moves:
        raise DataError(f"{name} does not begin with the opening that it was given, {opening.text!r}")
    late = np.flatnonzero((choices > 1) & (states[:-1, PLY] >= rules.ply_budget))
    if len(late):
        raise DataError(f"{name} goes on at ply {late[0]}, the ply budget is {rules.ply_budget}")
    check_end(rules, states, game.winner, game.result, name)
    end = states[-1]
    standing = np.ones(rules.players, np.int64)
    if game.winner is not None:  # a game cut off is a tie of all seats
        places(rules, end, standing)
    return MatchRow(
        id=plan.match_id(number),
        block=plan.id,
        variant=plan.variant,
        purpose=plan.purpose,
        seats=list(plan.seatings[number]),
        opening=opening.text,
        moves=" ".join(move_text(rules, states[ply], int(move), work) for ply, move in enumerate(moves)),
        winner=int(end[WINNER]) + 1 if end[WINNER] >= 0 else None,
        places=standing.tolist(),
        result=RESULT_NAMES[end[RESULT]],
        plies=len(moves),
        host=host,
        engine_version=ENGINE_VERSION,
        played_at=at,
    )
