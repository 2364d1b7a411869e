"""What a browser loads is what the sources build, typed by what the endpoints say, and small."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from ringrift_airflow.endpoints.contract import contract

UI = Path(__file__).parents[2] / "plugins" / "ringrift_airflow" / "ui"
BUNDLE = UI / "bundle"
MOST_BYTES = 400_000


def run(*command: str) -> None:
    """Run a tool of the pages' own packages."""
    tool = UI / "node_modules" / ".bin" / command[0]
    if shutil.which("node") is None:
        pytest.skip("no node on this machine: apt-get install nodejs npm")
    if not tool.exists():
        pytest.skip("the pages' packages are not installed: make node-packages")
    done = subprocess.run([tool, *command[1:]], cwd=UI, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.filterwarnings("ignore:Using .httpx. with")  # Airflow's own import
def test_the_contract_is_what_the_endpoints_say() -> None:
    committed = (UI / "src" / "api" / "openapi.json").read_text(encoding="utf-8")
    assert committed == contract(), "run: make pages"


@pytest.mark.system
def test_the_types_are_the_contracts(tmp_path: Path) -> None:
    made = tmp_path / "schema.d.ts"
    run("openapi-typescript", "src/api/openapi.json", "--output", str(made))
    assert made.read_bytes() == (UI / "src" / "api" / "schema.d.ts").read_bytes(), "run: make pages"


@pytest.mark.system
def test_the_bundle_is_what_the_sources_build(tmp_path: Path) -> None:
    run("vite", "build", "--logLevel", "error", "--outDir", str(tmp_path))
    made, committed = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (tmp_path, BUNDLE))
    assert made == committed, "run: make pages"


@pytest.mark.system
def test_the_sources_are_well_typed() -> None:
    run("tsc", "--noEmit")


@pytest.mark.system
def test_the_components_do_as_their_tests_say() -> None:
    run("vitest", "run")


def test_the_bundle_is_small_and_holds_no_second_react() -> None:
    text = (BUNDLE / "ringrift.js").read_bytes()
    assert len(gzip.compress(text)) < MOST_BYTES
    assert b"react.element" not in text
    assert b"react.transitional.element" not in text
