"""What a PromQL expression speaks of: as much of the language as the rules and dashboards need to be checked."""

from __future__ import annotations

import re

# Strings, label matchers, lists of labels, ranges, and whatever is called.
_NO_NAMES = re.compile(
    r'"[^"]*"|\{[^}]*\}|(?:\b(?:sum|min|max|avg|count|quantile|topk)\s+)?\b(?:by|without|on|ignoring|group_left'
    r"|group_right)\s*\([^)]*\)|\[[^\]]*\]|\w+\s*(?=\()"
)
_NAME = re.compile(r"\b[a-zA-Z_]\w*\b")
_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}
_PARTS = re.compile(r"_(?:bucket|count|sum)$")


def metrics_in(expr: str) -> set[str]:
    """The metrics that an expression reads; those of a histogram by the histogram's name."""
    names = set(_NAME.findall(_NO_NAMES.sub(" ", expr))) - _WORDS
    return {_PARTS.sub("", name) for name in names}
