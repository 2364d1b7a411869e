"""Alembic's entry: runs the steps on the connection that `ringrift_loop.ledger.migrate` passes in."""

from __future__ import annotations

from alembic import context

from ringrift_loop.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    compare_type=True,
)
context.run_migrations()
