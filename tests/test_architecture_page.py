"""docs/2-architecture.md gives every module a line, and no line to a module that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "2-architecture.md"


@pytest.mark.parametrize("package", ["include/ringrift_loop", "plugins/ringrift_airflow"])
def test_every_module_has_a_line(package: str) -> None:
    folder = ROOT / package
    modules = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if path.name != "__init__.py" and "versions" not in path.parts
    }
    section = PAGE.read_text(encoding="utf-8").split(f"### {folder.name}\n")[1].split("\n### ")[0]
    assert modules == set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize("package", ["include/ringrift_loop", "plugins/ringrift_airflow"])
def test_no_room_is_overfull(package: str) -> None:
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    sizes = {folder: len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) for folder in folders}
    assert {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > 22} == {}
