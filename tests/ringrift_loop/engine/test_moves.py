from __future__ import annotations

from ringrift_loop.engine import moves


def test_a_packed_move_gives_back_its_numbers() -> None:
    move = moves.pack(moves.LO, 468, 1, 1023, 7)
    fields = (moves.field_a(move), moves.field_b(move), moves.field_c(move), moves.field_d(move))
    assert (moves.kind_of(move), *fields) == (moves.LO, 468, 1, 1023, 7)


def test_every_kind_has_its_own_name_and_its_name_as_constant() -> None:
    assert len(set(moves.KIND_NAMES)) == moves.NUM_KINDS
    assert [getattr(moves, name) for name in moves.KIND_NAMES] == list(range(moves.NUM_KINDS))
