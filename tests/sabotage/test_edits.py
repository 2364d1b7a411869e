"""The list of sabotages stays in step with the tree; `make sabotage` runs it."""

from __future__ import annotations

import ast

import pytest

from sabotage.edits import PROJECT, Edit, load_edits

EDITS = load_edits()


def test_edits_have_names_of_their_own() -> None:
    assert len({edit.name for edit in EDITS}) == len(EDITS) >= 40


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_each_edit_applies_and_its_tests_exist(edit: Edit) -> None:
    edited = edit.applied_to((PROJECT / edit.file).read_text(encoding="utf-8"))
    if edit.file.endswith(".py"):
        ast.parse(edited)
    assert edit.tests
    for test in edit.tests:
        path, *_, name = test.split("::")
        nodes = ast.walk(ast.parse((PROJECT / path).read_text(encoding="utf-8")))
        assert name in {node.name for node in nodes if isinstance(node, ast.FunctionDef)}, test
