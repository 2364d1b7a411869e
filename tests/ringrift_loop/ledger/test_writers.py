"""Who writes which table, read from the sources: one module each, so that its rules hold."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import ringrift_airflow
import ringrift_loop
from ringrift_loop.ledger import schema

LIBRARY = Path(ringrift_loop.__file__).parent
WRITING = {"insert", "update", "delete"}
_IN_SQL = re.compile(r"(?i)\b(?:insert\s+into|update|delete\s+from)\s+(\w+)\s+(?:set|values|\(|where)")
MIGRATIONS = LIBRARY / "ledger" / "migrations"


def tables_written(source: str) -> Iterator[str]:
    """The tables in `insert(games)`, `insert(schema.games)`, `games.insert()` and `INSERT INTO games`."""
    tables = set(schema.metadata.tables)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _IN_SQL.findall(node.value)
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in WRITING and node.args:
            target = node.args[0]
        elif isinstance(node.func, ast.Attribute) and node.func.attr in WRITING:
            target = node.func.value
        else:
            continue
        name = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
        if name.removesuffix("_table") in tables:
            yield name.removesuffix("_table")


def test_one_module_writes_one_table() -> None:
    writers: dict[str, set[str]] = defaultdict(set)
    for root in (LIBRARY, Path(ringrift_airflow.__file__).parent):
        for path in root.rglob("*.py"):
            if MIGRATIONS not in path.parents:
                for table in tables_written(path.read_text()):
                    writers[table].add(str(path.relative_to(root)))
    assert {table: len(modules) for table, modules in writers.items()} == dict.fromkeys(schema.metadata.tables, 1)
    assert {str(Path(module).parent) for modules in writers.values() for module in modules} == {"ledger"}


def test_every_way_to_write_is_noticed() -> None:
    source = "insert(games)\nupdate(schema.hosts)\nevents.delete()\ntext('DELETE FROM models WHERE 1')\nseen.update(a)"
    assert sorted(tables_written(source)) == ["events", "games", "hosts", "models"]
