"""The champion pointer moves with its history, and only to models of its variant."""

from __future__ import annotations

import pytest

from ledger_rows import rows
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.promotions import Promotion

A, B, OTHER = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def with_models(ledger: Ledger) -> Ledger:
    with ledger.begin() as conn:
        for digest, variant in ((A, "square8_2p"), (B, "square8_2p"), (OTHER, "hex8_2p")):
            models.add(conn, digest, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
    return ledger


def test_the_pointer_and_its_history_move_together(with_models: Ledger) -> None:
    with with_models.begin() as conn:
        promotions.promote(conn, "square8_2p", A, reason="first", elo_gain=None, games=0, at=10.0)
        promotions.reject(conn, "square8_2p", B, reason="too weak", elo_gain=-5.0, games=100, at=15.0)
        second = promotions.promote(conn, "square8_2p", B, reason="stronger", elo_gain=31.0, games=200, at=20.0)
        assert second.generation == 2
        assert promotions.champion(conn, "square8_2p") == second
        told = [(row.status, row.model_digest, row.previous_digest) for row in rows(conn, Promotion)]
    assert told == [("promoted", A, None), ("rejected", B, A), ("promoted", B, A)]


def test_a_transaction_that_breaks_off_leaves_the_old_champion(with_models: Ledger) -> None:
    with with_models.begin() as conn:
        promotions.promote(conn, "square8_2p", A, reason="first", elo_gain=None, games=0, at=10.0)
    with pytest.raises(RuntimeError), with_models.begin() as conn:
        promotions.promote(conn, "square8_2p", B, reason="second", elo_gain=None, games=0, at=20.0)
        raise RuntimeError
    with with_models.read() as conn:
        champion = promotions.champion(conn, "square8_2p")
        assert champion is not None
        assert champion.model_digest == A
        assert promotions.count(conn, variant="square8_2p") == 1


@pytest.mark.parametrize("digest", [OTHER, "d" * 64])
def test_a_model_of_another_variant_or_of_none_is_refused(with_models: Ledger, digest: str) -> None:
    with pytest.raises(LedgerError, match="not a registered model of square8_2p"), with_models.begin() as conn:
        promotions.promote(conn, "square8_2p", digest, reason="", elo_gain=None, games=0, at=10.0)


def test_a_generator_stands_beside_the_champion_that_it_was_chosen_for(with_models: Ledger) -> None:
    with with_models.begin() as conn:
        with pytest.raises(LedgerError, match="no champion yet"):
            promotions.choose_generator(conn, "square8_2p", B, at=5.0)
        first = promotions.promote(conn, "square8_2p", A, reason="first", elo_gain=None, games=0, at=10.0)
        assert promotions.generators(conn) == {"square8_2p": first}
        with pytest.raises(LedgerError, match="not a registered model of square8_2p"):
            promotions.choose_generator(conn, "square8_2p", OTHER, at=11.0)
        promotions.choose_generator(conn, "square8_2p", B, at=11.0)
        assert promotions.generators(conn)["square8_2p"].model_digest == B
        assert promotions.champion(conn, "square8_2p") == first
        promotions.choose_generator(conn, "square8_2p", None, at=12.0)
        assert promotions.generators(conn) == {"square8_2p": first}
        promotions.choose_generator(conn, "square8_2p", B, at=13.0)
        promotions.promote(conn, "square8_2p", B, reason="second", elo_gain=None, games=0, at=14.0)
        back = promotions.promote(
            conn, "square8_2p", A, reason="back", elo_gain=None, games=0, at=15.0, status=promotions.ROLLED_BACK
        )
        # B was chosen beside A: that A is back does not make it the generator again.
        assert promotions.generators(conn) == {"square8_2p": back}


def test_the_champion_is_not_promoted_again(with_models: Ledger) -> None:
    with with_models.begin() as conn:
        promotions.promote(conn, "square8_2p", A, reason="first", elo_gain=None, games=0, at=10.0)
        with pytest.raises(LedgerError, match="already the champion"):
            promotions.promote(conn, "square8_2p", A, reason="again", elo_gain=None, games=0, at=11.0)


def test_generations_count_per_variant_and_a_digest_is_registered_once(with_models: Ledger) -> None:
    with with_models.begin() as conn:
        again = models.add(conn, B, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=9.0)
        assert (again.generation, again.created_at) == (2, 1.0)
        assert models.latest(conn, "hex8_2p") == models.get(conn, OTHER)
        with pytest.raises(LedgerError, match="registered for square8_2p, not for hex8_2p"):
            models.add(conn, B, "hex8_2p", parent_digest=None, training_run=None, manifest={}, at=9.0)
