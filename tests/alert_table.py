"""The page of all alerts, made of the rules, of the cases that `promtool` plays and of the runbooks.

cd tests && ../.venv/bin/python -m alert_table ../docs/alerts.md
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from alert_cases import CASES, Case, Series
from ringrift_loop.config import LoopConfig
from ringrift_loop.monitoring.alerts import Alert, alerts

PAGE = "docs/alerts.md"
_PROJECT = Path(__file__).parents[1]
_RUNBOOKS = "5-operations.md"
_HEAD = """\
# Alerts

<!-- Generated, do not edit: cd tests && ../.venv/bin/python -m alert_table ../docs/alerts.md -->

What fires each alert of `config/prometheus/rules/ringrift.yml` with the defaults of the configuration, a case that
provokes it, one close to it that does not, and the first thing to do. `make test` plays every case of
`tests/alert_cases.py` to Prometheus' own reckoning (`promtool test rules`): the alert fires with each of the one kind,
is quiet with each of the other kind, and does what *nothing there* says when none of its series exists. A case has a
sample a minute, or as it says: `59x200` is 59 all the time, `0+60x90` rises 90 times by 60, `_x60` is missing 60 times.

| alert | severity | fires when, for how long | provoked by | quiet with | nothing there | first |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    runbooks = _first_steps((_PROJECT / "docs" / _RUNBOOKS).read_text(encoding="utf-8"))
    rows = [_row(alert, CASES[alert.name], runbooks[alert.name]) for alert in alerts(LoopConfig())]
    return _HEAD + "\n".join(rows) + "\n"


def _row(alert: Alert, case: Case, first: str) -> str:
    condition = f"`{alert.expr}`<br>{_span(alert.for_s)}"
    if alert.follows is not None:
        condition += f"; held back while {alert.follows} fires"
    cells = (
        f"[{alert.name}]({_RUNBOOKS}#{alert.name.lower()})",
        alert.severity,
        condition,
        f"{_series(case.fires[0])}<br>after {_span(60 * case.minutes)}{_step(case)}",
        _series(case.quiet[0]),
        "fires" if case.when_absent else "quiet",
        first,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _series(series: Series) -> str:
    return "<br>".join(f"`{name} {values}`" for name, values in series.items())


def _step(case: Case) -> str:
    return "" if case.step == 1 else f", a sample every {case.step} min"


def _span(seconds: int) -> str:
    return f"{seconds / 3600:g} h" if seconds % 1800 == 0 else f"{seconds / 60:g} min"


def _first_steps(text: str) -> dict[str, str]:
    """The first numbered step of each section below "Alerts", or its first sentences where it has none."""
    part = text.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    steps = {}
    for section in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        found = re.search(r"^1\. (.*?)(?=^\d+\. |\Z)", body, re.MULTILINE | re.DOTALL)
        first = found[1] if found else body.strip().partition("\n\n")[0]
        steps[name] = " ".join(first.replace("](#", f"]({_RUNBOOKS}#").split())
    return steps


def main(arguments: list[str]) -> int:
    """Write the page of all alerts."""
    parser = argparse.ArgumentParser(prog="python -m alert_table", description=main.__doc__)
    parser.add_argument("page", type=Path, help="the file to write")
    parser.parse_args(arguments).page.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
