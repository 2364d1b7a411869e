from __future__ import annotations

import pytest

from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.nearest import nearest_variants


def test_the_nearest_number_of_players_comes_first_then_the_same_board() -> None:
    assert nearest_variants("square8_4p", {}) == (
        "square19_4p",
        "square8_3p",
        "square19_3p",
        "square8_2p",
        "square19_2p",
    )
    assert nearest_variants("hexagonal_2p", {}) == ("hex8_2p", "hexagonal_3p", "hex8_3p", "hexagonal_4p", "hex8_4p")
    assert nearest_variants("hex8_3p", {})[:3] == ("hexagonal_3p", "hex8_2p", "hex8_4p")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_borrows_from_all_others_whose_weights_fit_and_from_no_other(name: str) -> None:
    own = architecture_for(name, blocks=2, channels=16)
    fitting = {other for other in VARIANTS if architecture_for(other, blocks=2, channels=16) == own}
    assert {name, *nearest_variants(name, {})} == fitting


def test_a_row_of_the_configuration_replaces_the_variants_order_and_no_other() -> None:
    lenders = {"square8_3p": ("square19_3p",), "square19_3p": ()}
    assert nearest_variants("square8_3p", lenders) == ("square19_3p",)
    assert nearest_variants("square19_3p", lenders) == ()
    assert nearest_variants("square8_4p", lenders) == nearest_variants("square8_4p", {})
