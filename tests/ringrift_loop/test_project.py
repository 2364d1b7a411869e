from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop import project
from ringrift_loop.errors import ConfigError
from ringrift_loop.project import Project


def test_a_folder_outside_the_project_falls_back_to_the_checkout(tmp_path: Path) -> None:
    assert Project.find(tmp_path) == Project(Path(__file__).parents[2])


def test_a_missing_project_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "__file__", str(tmp_path / "a" / "b" / "project.py"))
    with pytest.raises(ConfigError, match="start it in the project's folder"):
        Project.find(tmp_path)
