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
    "text", ["", "gumbel", "gumbel0", "alphabeta4", "puct8,depth=3", "puct8,fpu=low", "puct9999999"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        SearchSettings.from_identity(text)


def test_a_search_without_simulations_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search.simulations must be in 1\.\."):
        SearchSettings("puct", 0)
