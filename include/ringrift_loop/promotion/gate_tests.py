"""The regression gate's tests as one list: what runs them, DAGs and the command line take their names from here."""

from __future__ import annotations

from dataclasses import dataclass

_BOTH = ("random", "heuristic")


@dataclass(frozen=True)
class GateTest:
    """One test of the gate; promotion/regression.py says how it judges."""

    __test__ = False  # pytest: not a test class

    name: str
    weight: float
    """Its share of `regression.timeout_seconds`, relative to the others'."""
    games: tuple[str, ...] = ()
    """The baselines against which it needs games; none: it looks at the model alone."""


GATE_TESTS = (
    GateTest("model_file", 2),
    GateTest("inference_latency", 2),
    # This one and the next need all games of the gate; the one that comes first plays them and has the time for it.
    GateTest("no_illegal_moves", 18, games=_BOTH),
    GateTest("games_finish", 6, games=_BOTH),
    GateTest("beats_random", 5, games=("random",)),
    GateTest("beats_heuristic", 5, games=("heuristic",)),
)
"""In the deployment guide's order."""

TEST_NAMES = tuple(test.name for test in GATE_TESTS)
