"""The wheel and the sdist: both packages, their data files, the entry points, and nothing from this machine."""

from __future__ import annotations

import ast
import configparser
import functools
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = {"ringrift_loop": PROJECT / "include", "ringrift_airflow": PROJECT / "plugins"}
PAGES = PROJECT / "plugins" / "ringrift_airflow" / "ui"
MADE_BY_TOOLS = (".pyc", ".nbi", ".nbc")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this source tree."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    return folder


def _wheel_names(dist: Path) -> list[str]:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_source_and_data_file_of_both_packages(dist: Path) -> None:
    expected = {
        str(path.relative_to(root))
        for name, root in PACKAGES.items()
        for path in (root / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.is_relative_to(PAGES)
    } | {str(path.relative_to(PROJECT / "plugins")) for path in (PAGES / "bundle").iterdir()}
    names = [name for name in _wheel_names(dist) if ".dist-info/" not in name]

    assert set(names) == expected
    assert {Path(name).name for name in names if not name.endswith(".py")} == {
        "py.typed",
        "heuristic_weights.yaml",
        "card.json",
        "model.safetensors",
        "script.py.mako",
        "ringrift.js",
        "icon.svg",
    }
    assert not [name for name in names if name.endswith(MADE_BY_TOOLS)]


def test_the_entry_points_of_the_wheel_can_be_loaded(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")
    [name] = [name for name in _wheel_names(dist) if name.endswith("entry_points.txt")]
    parser = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        parser.read_string(archive.read(name).decode())

    assert set(parser.sections()) == {
        "console_scripts",
        "airflow.plugins",
        "airflow.policy",
        "apache_airflow_provider",
    }
    for section in parser.sections():
        for target in parser[section].values():
            module, _, attribute = target.partition(":")
            loaded = import_module(module)
            assert not attribute or callable(getattr(loaded, attribute)), target


def test_a_wheel_can_be_built_from_the_sdist_alone(dist: Path, tmp_path: Path) -> None:
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = tmp_path.iterdir()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "again")]
    subprocess.run(build, cwd=tree, check=True, capture_output=True)

    assert sorted(_wheel_names(tmp_path / "again")) == sorted(_wheel_names(dist))


def test_the_constraints_pin_everything_that_the_project_and_its_build_draw_in() -> None:
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    document = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    lists = [document["build-system"]["requires"], project["dependencies"], *project["optional-dependencies"].values()]
    needed = _with_their_own([line for lines in lists for line in lines], frozenset(), set())

    assert {"torch", "apache-airflow-core", "hatchling", "trove-classifiers"} <= needed
    assert needed - pinned == set()


def test_every_package_is_declared_where_it_is_imported() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    hosts = _names(project["dependencies"])
    library, plugin = _imported(PROJECT / "include"), _imported(PROJECT / "plugins")

    coordinator_only = {"rich"}  # of the commands for people, which say so or do without where it is missing
    assert library - hosts - _names(extras["train"]) == {"llvmlite", *coordinator_only}  # llvmlite: a part of numba
    assert coordinator_only <= _names(extras["airflow"])
    assert plugin - hosts - _names(extras["airflow"]) == set()
    assert hosts & (plugin - library) == set()


def _names(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def _imported(root: Path) -> set[str]:
    """The distributions that the files below import, wherever the import stands."""
    modules: set[str] = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                modules.add(node.module)
    ours = sys.stdlib_module_names | set(PACKAGES)
    return {name for module in modules if module.partition(".")[0] not in ours for name in _providers(module)}


def _providers(module: str) -> set[str]:
    top, provider = module.partition(".")[0], re.match(r"airflow\.providers\.(\w+)", module)
    if provider is not None:
        return {f"apache-airflow-providers-{provider[1]}"}
    return set() if top == "airflow" else set(map(canonicalize_name, _distributions()[top]))


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _with_their_own(lines: list[str], extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Names of the distributions that these requirements ask for on this machine, and of all that those ask for."""
    found: set[str] = set()
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        name, wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
        found.add(name)
        if (name, wanted) not in seen:
            seen.add((name, wanted))
            with suppress(PackageNotFoundError):  # of `production`, which `make test` does without, the names alone
                found |= _with_their_own(requires(name) or [], wanted, seen)
    return found
