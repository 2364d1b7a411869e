"""docs/7-extending.md works: a copy of the project follows its recipes, and the tests that it names run there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sabotage.edits import Edit

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "7-extending.md").read_text(encoding="utf-8")
RECIPES = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}


def _blocks(text: str, *languages: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block, in order."""
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language in languages:
            yield language, block


def _apply(block: str, copy: Path) -> None:
    """Make the changes of a diff block."""
    changes = re.findall(r"^(---|\+\+\+) (\S+)\n(.*?)(?=^--- |^\+\+\+ |\Z)", block, re.MULTILINE | re.DOTALL)
    for mark, name, change in changes:
        path = copy / name
        assert path.exists() == (mark == "---"), name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for lines in change.split("@@\n"):
            text = _changed(text, lines.splitlines(keepends=True), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _changed(text: str, lines: list[str], name: str) -> str:
    """The text with one change in it: what it replaces must stand there exactly once."""
    new = "".join(line[1:] for line in lines if line[0] != "-")
    old = "".join(line[1:] for line in lines if line[0] != "+")
    if not old:
        return text + new
    assert f"\n{text}".count(f"\n{old}") == 1, f"{name} has not exactly once:\n{old}"
    return f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]


def _tests(text: str, sign: str) -> set[str]:
    """The tests that a recipe names behind a sign."""
    return {
        name
        for paragraph in re.findall(rf"^{sign}: (.*?)(?=^[A-Z]|\Z)", text, re.MULTILINE | re.DOTALL)
        for name in re.findall(r"`(tests/[^`]+)`", paragraph)
    }


def _run(copy: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command on the copy."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RINGRIFT"))
    } | {
        "PYTHONPATH": str(_overlay(copy)),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=280, check=False)


def _overlay(copy: Path) -> Path:
    """The folder that Python finds first."""
    return copy.with_name("overlay")


def _failing(copy: Path, tests: set[str]) -> set[str]:
    """Run these tests on the copy; those that failed."""
    done = _run(copy, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sorted(tests)])
    assert done.returncode in (0, 1), done.stdout + done.stderr
    failed = set(re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE))
    assert failed <= tests, done.stdout
    return failed


# Python runs it first. Modules that a recipe changes come from the copy, all others from the tree: kernels are compiled
# for the folder that they lie in, which would take minutes in the copy.
OVERLAY = """
import sys
from importlib.abc import MetaPathFinder
from importlib.util import spec_from_file_location
from pathlib import Path


class Changed(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        for folder in ("include", "plugins") if name.startswith("ringrift_") else ():
            file = Path({tree!r}, folder, *name.split(".")).with_suffix(".py")
            changed = Path({copy!r}, folder, *name.split(".")).with_suffix(".py")
            if changed.is_file() and not (file.is_file() and file.read_bytes() == changed.read_bytes()):
                return spec_from_file_location(name, changed)


sys.meta_path.insert(0, Changed())
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    folder = tmp_path_factory.mktemp("project") / "ringrift"
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    overlay = _overlay(folder)
    overlay.mkdir()
    (overlay / "sitecustomize.py").write_text(OVERLAY.format(tree=str(ROOT), copy=str(folder)))
    return folder


@pytest.fixture(scope="module")
def half_done(copy: Path) -> set[str]:
    """Follow every recipe to its first block of code; the tests named as missing the rest that fail."""
    for recipe in RECIPES.values():
        _apply(next(_blocks(recipe, "diff"))[1], copy)
    return _failing(copy, _tests(PAGE, "Until it is done"))


@pytest.fixture(scope="module")
def done(copy: Path, half_done: set[str]) -> set[str]:
    """Follow the rest; every test of the page that fails."""
    for recipe in RECIPES.values():
        for number, (language, block) in enumerate(_blocks(recipe, "diff", "bash")):
            if language == "bash":
                run = _run(copy, ["bash", "-ec", block])
                assert run.returncode == 0, run.stderr
            elif number:
                _apply(block, copy)
    return _failing(copy, _tests(PAGE, "Until it is done") | _tests(PAGE, "Then"))


def test_a_recipe_that_is_half_followed_fails_the_tests_it_names(half_done: set[str]) -> None:
    assert half_done == _tests(PAGE, "Until it is done")


def test_each_recipe_works(done: set[str]) -> None:
    assert all(_tests(recipe, "Then") for recipe in RECIPES.values())
    assert done == set()


def test_the_linters_have_nothing_to_say_about_the_recipes(copy: Path, done: set[str]) -> None:
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        found = _run(copy, command)
        assert found.returncode == 0, found.stdout


def test_the_sabotage_of_the_page_is_noticed(copy: Path, done: set[str]) -> None:
    (entry,) = (
        tomllib.loads("".join(line[1:] for line in block.splitlines(keepends=True)[1:]))["edit"]
        for _, block in _blocks(RECIPES["A sabotage"], "diff")
    )
    edit = Edit(**entry[0])
    path = copy / edit.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(edit.applied_to(whole), encoding="utf-8")
    assert not done & set(edit.tests)
    assert _failing(copy, set(edit.tests)) == set(edit.tests)
    path.write_text(whole, encoding="utf-8")
