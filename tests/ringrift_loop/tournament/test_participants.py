from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.config import LoopConfig
from ringrift_loop.errors import ConfigError
from ringrift_loop.search import heuristic
from ringrift_loop.search.features import NUM_FEATURES
from ringrift_loop.search.heuristic import weights_digest
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.tournament.participants import (
    baseline_id,
    baseline_ids,
    baseline_participant,
    evaluation_search,
    model_participant,
    participant_of,
)

DIGEST = "ab" * 32


def test_an_id_leads_back_to_its_participant() -> None:
    model = model_participant(DIGEST, "hex8_3p", SearchSettings(kind="puct", simulations=48, c_puct=2.5))
    assert participant_of(model.id, "hex8_3p") == model
    assert participant_of("mcts-64", "hex8_3p") == baseline_participant("mcts-64", "hex8_3p")


def test_the_same_weights_with_another_search_are_another_participant() -> None:
    ids = {model_participant(DIGEST, "hex8_3p", SearchSettings(simulations=n)).id for n in (32, 800)}
    assert len(ids) == 2


def test_a_heuristic_with_other_weights_is_another_participant(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: baseline_id(name, "hex8_2p") for name in ("heuristic", "heuristic-search", "random")}
    weights_digest.cache_clear()
    monkeypatch.setattr(heuristic, "shipped_weights", lambda key: np.ones(NUM_FEATURES))
    after = {name: baseline_id(name, "hex8_2p") for name in before}
    weights_digest.cache_clear()
    assert after["random"] == before["random"]
    for name in ("heuristic", "heuristic-search"):
        assert after[name] != before[name]
        assert after[name].startswith(f"{name}@")


def test_variants_of_one_set_of_weights_have_one_heuristic() -> None:
    assert baseline_ids("square8_2p") == baseline_ids("square19_2p") != baseline_ids("square8_3p")


def test_a_baseline_with_a_search_of_its_own_is_no_model() -> None:
    assert participant_of("heuristic-search|gumbel32", "hex8_3p").kind == "baseline"


def test_random_is_the_anchor_at_zero_and_no_model_ever_is() -> None:
    assert baseline_participant("random", "hex8_2p").anchor_elo == 0.0
    assert baseline_participant("heuristic", "hex8_2p").anchor_elo is None
    assert model_participant(DIGEST, "hex8_2p", evaluation_search(LoopConfig())).anchor_elo is None


def test_a_malformed_search_is_refused() -> None:
    with pytest.raises(ConfigError, match="a search is named"):
        participant_of(f"{DIGEST}|fast", "hex8_2p")
