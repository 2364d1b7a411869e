"""The assets through which DAGs wake each other."""

from __future__ import annotations

from airflow.sdk import Asset

TRAINING_DUE = Asset(
    name="ringrift_training_due",
    uri="ringrift://ledger/training_due",
    group="ringrift",
    extra={"event": "carries the variant that has enough new games"},
)
