"""What a host says of its games against what the rules engine makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from msgspec import json, structs

from ringrift_loop.config.schema import Evaluation
from ringrift_loop.config.setting import rule_of
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.tournament.blocks import BlockPlan, paired_block
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import RandomPlayer
from ringrift_loop.tournament.remote.bundle import MatchBundle, read_bundle, write_bundle
from ringrift_loop.tournament.remote.outcome import Asked, PlayedBlock, PlayedGame, block_file, read_blocks, rows_of
from ringrift_loop.tournament.remote.outcome import write_block as write
from ringrift_loop.tournament.remote.run_bundle import run_bundle

FOUR = paired_block("hex8_4p", "manual", "random", "mcts-64", 4, 7)
TWO = paired_block("square8_2p", "manual", "random", "mcts-64", 2, 3)


def played(plan: BlockPlan, seed: int = 1) -> list[MatchRow]:
    """A block between players who draw their moves."""
    players = {name: RandomPlayer(seed + n) for n, name in enumerate(plan.participants)}
    (rows,) = play_blocks([plan], players, MatchSettings(3, host="h"), clock=lambda: 5.0)
    return rows


def asked(plan: BlockPlan) -> Asked:
    return Asked(plan, MatchBundle.of([plan], opening_plies=3, taken=()).openings()[plan.id])


def delivered(plan: BlockPlan, rows: list[MatchRow], folder: Path) -> PlayedBlock:
    write(folder, plan, rows)
    return json.decode(block_file(folder, plan.id).read_bytes(), type=PlayedBlock)


@pytest.mark.parametrize("plan", [FOUR, TWO], ids=["four seats", "two seats"])
def test_an_honest_block_becomes_the_rows_that_it_was(plan: BlockPlan, tmp_path: Path) -> None:
    rows = played(plan)
    assert rows_of(delivered(plan, rows, tmp_path), asked(plan), host="h", at=5.0) == rows
    assert read_blocks(tmp_path, {plan.id: asked(plan)}, host="h", at=5.0) == ([rows], [])


def _changed(block: PlayedBlock, number: int, **changes: object) -> PlayedBlock:
    games = list(block.games)
    games[number] = structs.replace(games[number], **changes)
    return structs.replace(block, games=tuple(games))


def _moves(block: PlayedBlock) -> list[str]:
    return block.games[0].moves.split(" ")


LIES: dict[str, tuple[Callable[[PlayedBlock], PlayedBlock], str]] = {
    "a forged win": (
        lambda block: _changed(block, 0, winner=3 - (block.games[0].winner or 1)),
        "replayed, it is",
    ),
    "another end": (lambda block: _changed(block, 0, result="no_such_end"), "replayed, it is"),
    "an end too early": (lambda block: _changed(block, 0, moves=" ".join(_moves(block)[:-1])), "before its end"),
    "moves after the end": (lambda block: _changed(block, 0, moves=" ".join(_moves(block) * 2)), "ply"),
    "no moves": (lambda block: _changed(block, 0, moves="resign"), "ply 0"),
    "a game less": (lambda block: structs.replace(block, games=block.games[:1]), "has 2 games, got 1"),
    "another block": (lambda block: structs.replace(block, block="0" * 32), "it holds block 0000"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_what_is_wrong(lie: str, tmp_path: Path) -> None:
    tell, complaint = LIES[lie]
    block = tell(delivered(TWO, played(TWO), tmp_path))
    with pytest.raises((DataError, IllegalMoveError), match=complaint):
        rows_of(block, asked(TWO), host="h", at=5.0)
    block_file(tmp_path, TWO.id).write_bytes(json.encode(block))
    blocks, (refusal,) = read_blocks(tmp_path, {TWO.id: asked(TWO)}, host="h", at=5.0)
    assert blocks == [] and refusal.file == f"{TWO.id}.json"


def test_a_game_from_another_opening_is_refused(tmp_path: Path) -> None:
    """It is a whole and legal game; only its first moves are not those that were drawn."""
    other = replace(TWO, seed=4)
    rows = [replace(row, id=TWO.match_id(n)) for n, row in enumerate(_in_order(other, played(other)))]
    with pytest.raises(DataError, match="does not begin with the opening"):
        rows_of(delivered(TWO, rows, tmp_path), asked(TWO), host="h", at=5.0)


def _in_order(plan: BlockPlan, rows: list[MatchRow]) -> list[MatchRow]:
    by_id = {row.id: row for row in rows}
    return [by_id[plan.match_id(n)] for n in range(len(rows))]


def test_what_nobody_asked_for_or_cannot_be_read_is_refused_and_the_rest_counts(tmp_path: Path) -> None:
    rows = played(TWO)
    write(tmp_path, TWO, rows)
    write(tmp_path, FOUR, played(FOUR))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{TWO.id}.json").write_text("{}")
    (tmp_path / f"{TWO.id}.txt").write_text("x")
    (tmp_path / ".part").write_text("x")
    blocks, refusals = read_blocks(tmp_path, {TWO.id: asked(TWO)}, host="h", at=5.0)
    assert blocks == [rows]
    assert {refusal.file for refusal in refusals} == {f"{TWO.id}.json", f"{TWO.id}.txt", f"{FOUR.id}.json"}
    assert {refusal.reason for refusal in refusals} == {"no block of that name was asked for"}


def test_a_bundle_that_is_run_again_plays_what_is_missing_from_the_same_openings(tmp_path: Path) -> None:
    plans = [paired_block("square8_2p", "manual", "random", "mcts-2@2", 2, seed) for seed in range(4)]
    bundle = MatchBundle.of(plans, opening_plies=2, taken=["an opening"])
    write_bundle(tmp_path / "in", bundle)
    assert read_bundle(tmp_path / "in") == bundle
    assert bundle.plans == plans and bundle.models == []

    class NoModels:
        def model(self, digest: str) -> Path:
            raise AssertionError(digest)

    assert run_bundle(tmp_path / "in", tmp_path / "out", NoModels()) == 4
    everything = {plan.id: Asked(plan, bundle.openings()[plan.id]) for plan in plans}
    first, refused = read_blocks(tmp_path / "out", everything, host="h", at=5.0)
    assert (len(first), refused) == (4, [])
    for plan in plans[:2]:
        block_file(tmp_path / "out", plan.id).unlink()
    assert run_bundle(tmp_path / "in", tmp_path / "out", NoModels()) == 2
    again, refused = read_blocks(tmp_path / "out", everything, host="h", at=5.0)
    assert (len(again), refused) == (4, [])
    assert {rows[0].block: rows[0].opening for rows in again} == {rows[0].block: rows[0].opening for rows in first}
    assert run_bundle(tmp_path / "in", tmp_path / "out", NoModels()) == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"engine_version": "0"}, "install the coordinator's version"),
        ({"variant": "chess"}, "no variant named 'chess'"),
        ({"variant": "hex8_4p"}, "seats 4 players"),
        ({"blocks": ()}, "blocks"),
        ({"purpose": "../x"}, "purpose"),
    ],
)
def test_a_bundle_that_is_not_for_this_program_is_refused(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    write_bundle(tmp_path, structs.replace(MatchBundle.of([TWO], opening_plies=3, taken=()), **change))
    with pytest.raises(DataError, match=complaint):
        read_bundle(tmp_path)


def test_the_longest_opening_of_the_configuration_travels(tmp_path: Path) -> None:
    (longest,) = (rule_of(field).at_most for field in fields(Evaluation) if field.name == "opening_random_plies")
    assert longest is not None
    longest = int(longest)
    write_bundle(tmp_path, MatchBundle.of([TWO], opening_plies=longest, taken=()))
    assert read_bundle(tmp_path).opening_plies == longest


def test_a_game_that_goes_on_past_its_ply_budget_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ringrift_loop.tournament.remote import outcome

    block = delivered(TWO, played(TWO), tmp_path)
    rules = outcome.rules_for(TWO.variant)
    monkeypatch.setattr(outcome, "rules_for", lambda name: rules._replace(ply_budget=10))
    with pytest.raises(DataError, match="goes on at ply"):
        rows_of(block, asked(TWO), host="h", at=5.0)


def test_the_documents_have_no_room_for_more(tmp_path: Path) -> None:
    game = PlayedGame("x", 1, "territory")
    with pytest.raises(DataError, match="games"):
        block_file(tmp_path, TWO.id).write_bytes(json.encode(PlayedBlock(TWO.id, (game,) * 5)))
        _, (refusal,) = read_blocks(tmp_path, {TWO.id: asked(TWO)}, host="h", at=5.0)
        raise DataError(refusal.reason)
