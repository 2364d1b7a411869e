"""What every test starts from: an Airflow of its own, a fixed seed, no access to a real run directory.

The environment is set at import, before any test module can import Airflow: it reads its settings once.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tests"))  # for the modules of SSH servers and network namespaces
pytest_plugins = ["ssh_fixtures"]
_HOME = Path(tempfile.mkdtemp(prefix="ringrift-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "RINGRIFT_"))]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME / "airflow"),
    "AIRFLOW_CONFIG": str(PROJECT / "config" / "airflow.cfg"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow' / 'airflow.db'}",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "airflow" / "logs"),
    "AIRFLOW__METRICS__STATSD_ON": "False",
    "RINGRIFT_HOME": str(_HOME / "run"),
    # Nobody listens on the discard port: what a test sends there is lost, as it should be.
    "RINGRIFT__STATSD_PORT": "9",
}
(_HOME / "airflow").mkdir()


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors; the exceptions are other people's and say whose."""
    config.addinivalue_line("filterwarnings", "error")
    # Airflow 3.3.2 warns about its own use of older names while it is imported, and uses an old name of pathspec.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:airflow")
    config.addinivalue_line("filterwarnings", "ignore:GitWildMatchPattern:DeprecationWarning")


# Each keeps a process busy for a minute or two: at the end the other processes would wait for it.
_LONG = (
    "test_up.py",
    "test_extending_page.py",
    "test_train_bundle_command.py",
    "test_cluster_faults.py",
    "test_dags_run.py",
    "test_deploy.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, all else in its order."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.fixture(scope="session", autouse=True)
def _networks_are_traced_once() -> Iterator[None]:
    """See traced_once.py; where no test module needs torch, none is loaded for it."""
    with contextlib.ExitStack() as stack:
        if "torch" in sys.modules:
            from traced_once import traced_once

            stack.enter_context(traced_once())
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The standard library's generator starts the same in every test; NumPy's are passed in by their users."""
    random.seed(20260101)


@pytest.fixture
def run_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory of the test's own, which everything that asks the environment finds."""
    home = tmp_path / "run"
    monkeypatch.setenv("RINGRIFT_HOME", str(home))
    return home
