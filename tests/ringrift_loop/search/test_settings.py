from __future__ import annotations

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.search.settings import SearchSettings


def test_defaults_are_named_by_kind_and_simulations_alone() -> None:
    assert SearchSettings("gumbel", 32).identity() == "gumbel32"
    assert SearchSettings("puct", 8).identity() == "puct8"
    assert SearchSettings("none", 0).identity() == "none"


def test_every_constant_that_differs_is_part_of_the_name() -> None:
    settings = SearchSettings("gumbel", 16, considered=8, c_scale=0.1, noise=1.0)
    assert settings.identity() == "gumbel16,considered=8,c_scale=0.1,noise=1"
    assert SearchSettings.from_identity(settings.identity()) == settings


@pytest.mark.parametrize(
    "settings",
    [
        SearchSettings("puct", 8, c_puct=1.1000001),
        SearchSettings("puct", 8, c_puct=999999.9999, fpu=1e-9),
        SearchSettings("gumbel", 8, considered=99_999, c_visit=123456.0, noise=1 / 3),
    ],
)
def test_a_name_tells_every_digit_of_a_search(settings: SearchSettings) -> None:
    assert SearchSettings.from_identity(settings.identity()) == settings


@pytest.mark.parametrize("considered", [0, 100_001, 99999999999999999999])
def test_a_number_of_considered_moves_that_no_search_has_room_for_is_refused(considered: int) -> None:
    with pytest.raises(ConfigError, match=rf"search\.considered must be in 1\.\.100000, got {considered}"):
        SearchSettings.from_identity(f"gumbel8,considered={considered}")


@pytest.mark.parametrize(
    "name", ["gumbel16,considered=4", "gumbel8,considered=4,c_scale=0.1,noise=1", "puct8,c_puct=2.5,fpu=1e-05"]
)
def test_the_names_of_searches_on_file_stay_as_they_are(name: str) -> None:
    assert SearchSettings.from_identity(name).identity() == name


@pytest.mark.parametrize(
    "text", ["", "gumbel", "gumbel0", "alphabeta4", "puct8,depth=3", "puct8,fpu=low", "puct9999999"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        SearchSettings.from_identity(text)


def test_a_search_without_simulations_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search.simulations must be in 1\.\."):
        SearchSettings("puct", 0)
