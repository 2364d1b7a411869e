from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringrift_airflow.dag_pages import load_dags

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def dags() -> dict[str, Any]:
    """Every DAG of the project; loading them fails on any import error."""
    return load_dags(PROJECT / "dags")
