from __future__ import annotations

import numba
import pytest

from ringrift_loop.engine.rules import VARIANTS, rules_for, variant

# Rings per seat, line length, elimination and territory target of docs/3-rules.md, section 2.
TABLE = {
    "square8_2p": (18, 4, 18, 33),
    "square8_3p": (18, 3, 24, 22),
    "square8_4p": (18, 3, 30, 17),
    "square19_2p": (72, 4, 72, 181),
    "square19_3p": (72, 4, 96, 121),
    "square19_4p": (72, 4, 120, 91),
    "hex8_2p": (18, 4, 18, 31),
    "hex8_3p": (18, 3, 24, 21),
    "hex8_4p": (18, 3, 30, 16),
    "hexagonal_2p": (96, 4, 96, 235),
    "hexagonal_3p": (96, 4, 128, 157),
    "hexagonal_4p": (96, 4, 160, 118),
}


def test_the_variants_have_the_numbers_of_the_rules() -> None:
    numbers = {
        v.name: (v.rings_per_seat, v.line_length, v.elimination_target, v.territory_target) for v in VARIANTS.values()
    }
    assert numbers == TABLE


def test_an_unknown_variant_is_refused_with_all_twelve_names() -> None:
    with pytest.raises(ValueError, match="square8_5p") as caught:
        variant("square8_5p")
    assert all(name in str(caught.value) for name in TABLE)


def test_all_variants_share_one_numba_type_so_kernels_compile_once() -> None:
    assert len({numba.typeof(rules_for(name)) for name in VARIANTS}) == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_the_fields_of_a_row_follow_each_other_without_gap(name: str) -> None:
    rules = rules_for(name)
    starts = [rules.kind, rules.owner, rules.height, rules.cap, rules.top, rules.bottom, rules.region, rules.below]
    cells = rules.board.num_cells
    assert starts == [rules.kind + cells * place for place in range(8)]
    assert rules.width == rules.below + rules.num_rings


@pytest.mark.parametrize("name", VARIANTS)
def test_the_record_for_kernels_says_the_same_as_the_rules(name: str) -> None:
    rules = rules_for(name, pie_rule=True)
    board, core = rules.board, rules.core
    for field in ("players", "line_length", "elimination_target", "territory_target", "pie_rule", "owner", "below"):
        assert core[field] == getattr(rules, field)
    assert (core["step"][:, : board.num_cells] == board.step).all()
    assert (core["cell_at"][board.grid] == range(board.num_cells)).all()
    assert core["seat_of"][rules.num_rings - 1] == rules.players - 1


def test_the_pie_rule_is_for_two_players_only() -> None:
    assert [rules_for(f"square8_{n}p", pie_rule=True).pie_rule for n in (2, 3, 4)] == [1, 0, 0]
