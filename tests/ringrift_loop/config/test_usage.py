"""Every setting does something: code outside of the configuration reads it from its own section, and uses the value."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ringrift_loop.config.leaves import leaves, sections

PROJECT = Path(__file__).parents[3]
# Read by the loader itself.
READ_OTHERWISE = {"preset"}
SECTION_OF_CLASS = {section.kind.__name__: name for name, section in sections().items()} | {"LoopConfig": ""}
SECTION_OF_WORD = {name.rpartition(".")[2]: name for name in sections()} | {"config": ""}
Words = Mapping[str, set[str]]


def _sources() -> Iterator[ast.Module]:
    for folder in ("include", "plugins", "dags"):
        for file in (PROJECT / folder).rglob("*.py"):
            if file.parent.name != "config":
                yield ast.parse(file.read_text(encoding="utf-8"))


def _word(node: ast.AST | None) -> str:
    """The last word of `a.b.word`, `word` and `word(...)`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _annotated(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Arguments, fields and variables that are said to be a section: their names, and its name."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and (kind := _word(node.annotation)) in SECTION_OF_CLASS:
            yield (node.arg if isinstance(node, ast.arg) else _word(node.target)), SECTION_OF_CLASS[kind]


def _assigned(tree: ast.AST, known: Words) -> Iterator[tuple[str, str]]:
    """Variables that a section, or something known to be one, is assigned to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target, value in _pairs(node.targets[0], node.value):
                for section in known[_word(value)]:
                    yield _word(target), section


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=False)
    else:
        yield target, value


def _words(tree: ast.AST, fields: Words) -> Words:
    """What each word of a file may stand for."""
    known: dict[str, set[str]] = defaultdict(set, {word: set(found) for word, found in fields.items()})
    for word, section in SECTION_OF_WORD.items():
        known[word].add(section)
    known["loop_config"].add("")
    for word, section in _annotated(tree):
        known[word].add(section)
    for word, section in list(_assigned(tree, known)):
        known[word].add(section)
    return known


def _read(tree: ast.AST, known: Words) -> Iterator[str]:
    """The settings whose values are used: a line that only names one does not count."""
    dropped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in dropped:
            for section in known[_word(node.value)]:
                yield f"{section}.{node.attr}".removeprefix(".")


def idle_settings(trees: list[ast.Module]) -> list[str]:
    """The settings that none of the files obeys."""
    fields: dict[str, set[str]] = defaultdict(set)
    for tree in trees:
        for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            for word, section in _annotated(ast.Module(body=[*owner.body], type_ignores=[])):
                fields[word].add(section)
    read = {name for tree in trees for name in _read(tree, _words(tree, fields))}
    return [name for name in leaves() if name not in READ_OTHERWISE and name not in read]


def test_every_setting_is_obeyed_by_a_stage() -> None:
    assert idle_settings(list(_sources())) == []


def test_a_setting_of_another_section_or_a_value_that_is_dropped_does_not_count() -> None:
    idle = set(idle_settings([]))

    def noticed(source: str) -> set[str]:
        return idle - set(idle_settings([ast.parse(source)]))

    assert noticed("def f(settings: Promotion) -> int: return settings.min_games") == {"promotion.min_games"}
    assert noticed("games = loop.config.regression.games") == {"regression.games"}
    assert noticed("part = loop.config.evaluation\nx = part.simulations + 1") == {"evaluation.simulations"}
    assert noticed("class A:\n    settings: Training\ndef f(a):\n    return a.settings.loss.policy") == {
        "training.loss.policy"
    }
    assert noticed("row.games + report.simulations + outcome.policy") == set()
    assert noticed("def f(settings: Promotion) -> None: settings.min_games") == set()
