"""Every setting does something: some code outside of the configuration reads it."""

from __future__ import annotations

import ast
from pathlib import Path

from ringrift_loop.config.leaves import leaves

PROJECT = Path(__file__).parents[3]
# Read by name from a table, or by the loader itself.
READ_OTHERWISE = {"preset"}


def test_every_setting_is_read_by_a_stage() -> None:
    read = {
        node.attr
        for folder in ("include", "plugins", "dags")
        for file in (PROJECT / folder).rglob("*.py")
        if file.parent.name != "config"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    idle = [
        name
        for name, leaf in leaves().items()
        if not leaf.reserved and name not in READ_OTHERWISE and name.rpartition(".")[2] not in read
    ]

    assert idle == []
