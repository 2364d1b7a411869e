"""Alembic migrations of the ledger; `ringrift_loop.ledger.migrate` runs them."""
