from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.moves import SW
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.text import notation
from ringrift_loop.engine.text.cells import cell_text
from ringrift_loop.engine.text.notation import move_named
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.selfplay.entries import policy_entries
from ringrift_loop.selfplay.play_games import _ROOM_FOR_FORCED_PLIES
from ringrift_loop.selfplay.records import (
    MAX_BYTES,
    MAX_PLIES,
    GameRecord,
    ReplayedGame,
    move_hash,
    replay,
    value_figures,
    with_targets,
)
from ringrift_loop.selfplay.targets import SearchTarget, least_bytes, pack_targets, unpack_targets

RULES = rules_for("square8_2p")
WORK = make_work(RULES)


def changed(record: GameRecord, **fields: Any) -> bytes:
    """The record's JSON with other values, as a broken or hostile host might send it."""
    return json.dumps(json.loads(record.to_json()) | fields).encode()


def test_a_record_survives_json(records: list[GameRecord]) -> None:
    assert [GameRecord.from_json(record.to_json()) for record in records] == records
    assert b"\n" not in records[0].to_json()


def test_replaying_gives_the_game_of_the_rules_engine(records: list[GameRecord]) -> None:
    record = records[0]
    game = Game(record.variant)
    for text in record.moves.split(" "):
        game.play(text)
    replayed = replay(record, RULES, WORK)
    assert replayed.states[-1].tolist() == game.row.tolist()
    assert (replayed.winner, replayed.result) == (game.winner, game.result)
    assert len(replayed.moves) == record.plies == len(replayed.choices)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("id", "../../etc/passwd"),
        ("variant", "chess_2p"),
        ("seed", -1),
        ("seed", 1 << 64),
        ("plies", 0),
        ("plies", True),
        ("winner", 5),
        ("result", "none"),
        ("player", "a b"),
        ("search", []),
        ("search", {"x": "y" * 5000}),
        ("started_at", "now"),
        ("finished_at", float("nan")),
        ("host", ""),
        ("targets", 7),
        ("moves", "é"),
        ("extra", 1),
    ],
)
def test_fields_out_of_range_are_refused(records: list[GameRecord], field: str, value: object) -> None:
    with pytest.raises(DataError):
        GameRecord.from_json(changed(records[0], **{field: value}))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 100_000, b"x" * (MAX_BYTES + 1)])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        GameRecord.from_json(data)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_longest_game_of_every_variant_has_room_for_some_moves_of_each_policy(variant: str) -> None:
    chosen = VARIANTS[variant]
    plies = chosen.ply_budget + _ROOM_FOR_FORCED_PLIES
    assert plies <= MAX_PLIES
    room = (MAX_BYTES - 8192 - plies * (notation._LONGEST + 1)) // 4 * 3
    assert room > least_bytes(chosen.ply_budget, chosen.players)
    moves = (room // chosen.ply_budget - least_bytes(1, chosen.players)) // 4 + 1
    assert moves >= 26  # as `with_targets` says


@pytest.mark.parametrize(("variant", "choices"), [("hexagonal_4p", 1407), ("square19_4p", 1083)])
def test_a_record_of_the_longest_texts_and_the_flattest_policies_has_at_most_a_mebibyte(
    records: list[GameRecord], variant: str, choices: int
) -> None:
    rules = rules_for(variant)
    assert len(Game(variant).legal()) == choices  # the most that occur: rings of three sizes on every cell
    plies = rules.ply_budget + _ROOM_FOR_FORCED_PLIES
    entries = policy_entries(np.full(choices, 1 / choices, np.float32), 0.0)
    shares = np.full(rules.players, 1 / rules.players, np.float16)
    targets = [SearchTarget(ply, True, *entries, shares) for ply in range(rules.ply_budget)]
    longest = structs.replace(
        records[0],
        variant=variant,
        moves=" ".join(["x" * notation._LONGEST] * plies),
        plies=plies,
        search={"x": "y" * 4000},
        **dict.fromkeys(("host", "worker"), "h" * 64),
    )
    packed = pack_targets(targets)
    assert len(structs.replace(longest, targets=base64.b64encode(packed).decode()).to_json()) > 20 * MAX_BYTES
    written = with_targets(longest, packed).to_json()
    assert len(written) <= MAX_BYTES
    read = unpack_targets(base64.b64decode(GameRecord.from_json(written).targets), rules.players, plies)
    assert len(read) == len(targets)
    assert min(len(target.index) for target in read) >= 27  # as `with_targets` says
    assert len(written) > MAX_BYTES - 4 * len(targets) * 4 / 3 - 4


def test_no_move_has_a_longer_text_than_the_bound_of_a_record_says() -> None:
    for variant in ("hexagonal_4p", "square19_4p"):
        rules = rules_for(variant)
        cells = max(len(cell_text(rules, cell)) for cell in range(rules.board.num_cells))
        assert len("LO:..#..") + 4 * cells <= notation._LONGEST
        assert len("TR://") + cells + 3 + 8 <= notation._LONGEST


def test_a_hexagonal_game_of_flat_policies_is_a_record_that_replays(
    play_flat: Callable[[str], GameRecord],
) -> None:
    record = play_flat("hexagonal_4p")
    rules = rules_for("hexagonal_4p")
    written = record.to_json()
    assert len(written) <= MAX_BYTES
    game = replay(GameRecord.from_json(written), rules, make_work(rules))
    assert len(game.targets) == int((game.choices > 1).sum())
    assert all(target.full for target in game.targets)
    # With every move of its policies it would take up nearly all that a record may.
    assert 4 * 4 / 3 * sum(int(game.choices[target.ply]) for target in game.targets) > 0.8 * MAX_BYTES
    assert len(written) < 0.5 * MAX_BYTES


def test_records_of_programs_that_named_every_move_are_read(records: list[GameRecord]) -> None:
    game = replay(records[0], RULES, WORK)
    some = next(target for target in game.targets if target.full and game.choices[target.ply] > 20)
    policy = np.full(int(game.choices[some.ply]), 5e-4, np.float32)
    policy[3] = 1 - policy.sum() + 5e-4
    index, weight = policy_entries(policy, 0.0)
    whole = replace(some, index=index, weight=weight)
    old = structs.replace(records[0], targets=base64.b64encode(pack_targets([whole])).decode())
    (read,) = replay(GameRecord.from_json(old.to_json()), RULES, WORK).targets
    assert len(read.index) == len(policy)
    np.testing.assert_array_equal(read.weight, whole.weight)


def test_a_missing_field_is_named(records: list[GameRecord]) -> None:
    document = json.loads(records[0].to_json())
    del document["moves"]
    with pytest.raises(DataError, match="moves"):
        GameRecord.from_json(json.dumps(document).encode())


def test_an_illegal_move_names_its_ply(records: list[GameRecord]) -> None:
    texts = records[0].moves.split(" ")
    texts[6] = "FE:0,0"
    with pytest.raises(IllegalMoveError, match="ply 6"):
        replay(structs.replace(records[0], moves=" ".join(texts)), RULES, WORK)


def test_a_text_that_is_no_move_names_its_ply(records: list[GameRecord]) -> None:
    texts = records[0].moves.split(" ")
    texts[3] = "hello"
    with pytest.raises(DataError, match="ply 3"):
        replay(structs.replace(records[0], moves=" ".join(texts)), RULES, WORK)


def test_a_game_that_stops_before_its_end_is_refused(records: list[GameRecord]) -> None:
    texts = records[0].moves.split(" ")[:-1]
    with pytest.raises(DataError, match="before its end"):
        replay(structs.replace(records[0], moves=" ".join(texts), plies=len(texts)), RULES, WORK)


def test_another_winner_or_result_is_refused(records: list[GameRecord]) -> None:
    record = records[0]
    with pytest.raises(DataError, match="replayed, it is"):
        replay(structs.replace(record, winner=3 - (record.winner or 1)), RULES, WORK)
    with pytest.raises(DataError, match="replayed, it is"):
        replay(structs.replace(record, result="stalemate"), RULES, WORK)


def test_a_wrong_number_of_plies_is_refused(records: list[GameRecord]) -> None:
    with pytest.raises(DataError, match="says"):
        replay(structs.replace(records[0], plies=records[0].plies + 1), RULES, WORK)


def test_another_engine_version_is_refused(records: list[GameRecord]) -> None:
    with pytest.raises(DataError, match="engine '0'"):
        replay(structs.replace(records[0], engine="0"), RULES, WORK)


def test_targets_that_do_not_fit_the_moves_are_refused(records: list[GameRecord]) -> None:
    game = replay(records[0], RULES, WORK)
    forced = int((game.choices == 1).argmax())
    some = next(target for target in game.targets if target.full)
    misplaced = base64.b64encode(pack_targets([replace(some, ply=forced)])).decode()
    with pytest.raises(DataError, match=f"ply {forced} does not fit its 1 legal moves"):
        replay(structs.replace(records[0], targets=misplaced), RULES, WORK)
    beyond = replace(some, index=some.index + np.uint16(game.choices[some.ply]))
    with pytest.raises(DataError, match=f"ply {some.ply} does not fit"):
        replay(structs.replace(records[0], targets=base64.b64encode(pack_targets([beyond])).decode()), RULES, WORK)
    with pytest.raises(DataError, match="not base64"):
        replay(structs.replace(records[0], targets="?"), RULES, WORK)


def test_the_hash_depends_on_variant_and_moves_only(records: list[GameRecord]) -> None:
    record = records[0]
    assert move_hash(structs.replace(record, id="0" * 32, host="other", targets="")) == move_hash(record)
    assert move_hash(structs.replace(record, variant="square8_3p")) != move_hash(record)


def test_the_hash_is_that_of_earlier_versions_for_the_games_that_these_wrote(records: list[GameRecord]) -> None:
    for record in records:
        before = hashlib.sha256(f"{record.variant} 0 {record.moves}".encode()).hexdigest()
        assert move_hash(record) == before


def test_a_game_has_one_hash_however_its_moves_are_written(records: list[GameRecord]) -> None:
    whole, other = "LP:0,3..3,3", "LO:0,3..3,3#0,3..3,3"
    assert move_hash(structs.replace(records[0], moves=f"PL:0,0x1 {other}")) == move_hash(
        structs.replace(records[0], moves=f"PL:0,0x1 {whole}")
    )


def test_the_pie_rule_is_part_of_a_game_only_where_sides_were_swapped(records: list[GameRecord]) -> None:
    record, swapped = records[0], structs.replace(records[0], moves="PL:0,0x1 SW", pie_rule=True)
    assert move_hash(structs.replace(record, pie_rule=True)) == move_hash(record)
    assert move_hash(swapped) == hashlib.sha256(b"square8_2p 1 PL:0,0x1 SW").hexdigest()


def test_a_text_of_a_megabyte_is_no_move_and_stays_in_no_cache() -> None:
    before = notation._named.cache_info().currsize
    assert move_named(RULES, "x" * (1 << 20)) == -1
    assert notation._named.cache_info().currsize == before


def _told(winner: int | None, values: list[tuple[float, ...]], *, swap_at: int | None = None) -> ReplayedGame:
    """A game of as many plies as values, whose searches found these."""
    moves = np.zeros(len(values), np.int64)
    if swap_at is not None:
        moves[swap_at] = SW
    none = np.empty(0, np.uint16)
    targets = [SearchTarget(ply, False, none, none, np.array(v, np.float16)) for ply, v in enumerate(values)]
    empty = np.empty((0, 0), np.int16)
    return ReplayedGame(moves, empty, np.empty(0, np.int32), winner, "elimination", targets)


def test_the_figures_of_a_games_values_are_their_distances_from_the_outcome_and_from_an_even_share() -> None:
    found = value_figures(_told(2, [(0.5, 0.5), (0.25, 0.75)]), 2)
    assert found is not None
    assert found.error == pytest.approx((0.5 + 0.125) / 2)
    assert found.spread == pytest.approx(0.125 / 2)
    assert value_figures(_told(None, [(0.25, 0.75)]), 2) == pytest.approx((0.125, 0.125))
    assert value_figures(_told(3, [(0.0, 0.0, 1.0)]), 3) == pytest.approx((0.0, 2 / 3))
    assert value_figures(_told(1, []), 2) is None


def test_values_before_a_swap_of_sides_are_about_the_people_who_end_up_elsewhere() -> None:
    values = [(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]  # of the later winner, who sits in seat 2 until the swap
    found = value_figures(_told(1, values, swap_at=1), 2)
    assert found == pytest.approx((0.0, 0.5))
