"""The source against the registry: every metric that is sent is listed, every listed one is sent."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from ringrift_loop.metrics.names import LABEL_VALUES, REGISTRY, Kind

PROJECT = Path(__file__).parents[3]
KINDS = {
    "incr": Kind.COUNTER,
    "gauge": Kind.GAUGE,
    "observe": Kind.HISTOGRAM,
}


@functools.cache
def _sources() -> list[tuple[Path, ast.Module]]:
    return [
        (file.relative_to(PROJECT), ast.parse(file.read_text(encoding="utf-8")))
        for folder in ("include", "plugins", "dags")
        for file in sorted((PROJECT / folder).rglob("*.py"))
    ]


def _sent() -> Iterator[tuple[str, str, ast.Call]]:
    """Place, method and call of everything that looks like the sending of one of our metrics."""
    for file, tree in _sources():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in KINDS
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and str(node.args[0].value).startswith("ringrift_")
            ):
                yield f"{file}:{node.lineno}", node.func.attr, node


def test_every_metric_that_is_sent_is_in_the_registry_with_its_kind_and_labels() -> None:
    mistakes = []
    for place, method, call in _sent():
        assert isinstance(call.args[0], ast.Constant)
        metric = REGISTRY.get(str(call.args[0].value))
        labels = {keyword.arg for keyword in call.keywords}
        if metric is None or metric.kind is not KINDS[method]:
            mistakes.append(f"{place}: {call.args[0].value} is not in the registry as a {KINDS[method].value}")
        elif None not in labels and labels != set(metric.labels):
            mistakes.append(f"{place}: {metric.name} has the labels {metric.labels}, got {sorted(map(str, labels))}")

    assert mistakes == []


def _yielded() -> Iterator[str]:
    """The gauges that `status/gauges.py` makes of the ledger: the first of each tuple that it yields."""
    for file, tree in _sources():
        if file.name == "gauges.py":
            for node in ast.walk(tree):
                if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
                    yield ast.literal_eval(node.value.elts[0])


def test_every_metric_of_the_registry_is_sent_from_somewhere() -> None:
    sent = {ast.literal_eval(call.args[0]) for _, _, call in _sent()}  # naming it elsewhere does not count

    assert sorted(set(REGISTRY) - sent - set(_yielded())) == []


def test_no_metric_is_sent_with_a_figure_that_is_always_the_same() -> None:
    fixed = [
        place
        for place, method, call in _sent()
        if method in ("gauge", "observe") and isinstance(call.args[1], ast.Constant)
    ]
    assert fixed == []


def test_a_label_whose_values_are_known_beforehand_gets_no_other() -> None:
    strangers = [
        f"{place}: {keyword.arg}={keyword.value.value!r}"
        for place, _, call in _sent()
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant) and keyword.arg is not None
        for known in [LABEL_VALUES.get((ast.literal_eval(call.args[0]), keyword.arg))]
        if known is not None and keyword.value.value not in known
    ]
    assert strangers == []
