"""The page Overview as `ringrift-loop watch` shows it; it fits into 80 columns. Only that command imports rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ringrift_loop.text import clean, span
from ringrift_loop.views.overview import (
    BOOTSTRAPPING,
    HALTED,
    ILL,
    LEARNING,
    NOT_RUNNING,
    STALLED,
    WORKING,
    LoopState,
    VariantState,
)

_STYLES = {
    LEARNING: "green",
    BOOTSTRAPPING: "cyan",
    WORKING: "none",
    STALLED: "yellow",
    HALTED: "yellow",
    NOT_RUNNING: "red",
    ILL: "red",
}
_FIGURES = ("variant", "champion", "rating", "gain", "pending")
_WORDS = ("variant", "now", "last decision")


def screen(told: LoopState) -> Group:
    """The state as something that rich prints."""
    above = [_line(told.sentence, f"bold {_STYLES[told.state]}")]
    if told.remedy is not None:
        above.append(_line(told.remedy))
    above += [_line(problem, "red") for problem in told.problems]
    above.append(_line(f"As of {_time(told.at)}.", "dim"))
    figures = _table([_cells(_FIGURES, "bold"), *map(_figures, told.variants)])
    words = _table([_cells(_WORDS, "bold"), *(_words(view, told.at) for view in told.variants)])
    running = [_line(_since(each.what, each.since, told.at)) for each in told.running]
    running = running or [_line("Nothing runs.", "dim")]
    history = _table(
        (_line(_time(event.at), "dim"), _line(event.kind, "dim"), _line(event.message)) for event in told.events
    )
    gap = Text()
    return Group(*above, gap, figures, gap, words, gap, *running, gap, history)


def _figures(view: VariantState) -> Sequence[Text]:
    gain = "-"
    if view.gain is not None:
        gain = f"{_with_interval(view.gain.elo, view.gain.interval, '+')}, last {view.gain.span}"
    texts = (
        view.variant,
        "-" if view.champion is None else f"{view.generation} {view.champion[:8]}",
        _with_interval(view.elo, view.interval),
        gain,
        f"{view.pending}/{view.threshold}",
    )
    return _cells(texts, _STYLES[view.state])


def _words(view: VariantState, now: float) -> Sequence[Text]:
    decision = view.last_decision
    decided = "none yet"
    if decision is not None:
        decided = f"{decision.status.replace('_', ' ')} {span(now - decision.at)} ago: {decision.reason}"
    return _cells((view.variant, view.doing, decided))


def _with_interval(elo: float | None, interval: float | None, sign: str = "") -> str:
    return "-" if elo is None or interval is None else f"{elo:{sign}.0f} ± {interval:.0f}"


def _since(what: str, since: float | None, now: float) -> str:
    return what if since is None else f"{what}, for {span(now - since)}"


def _table(rows: Iterable[Sequence[Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    return table


def _cells(texts: Sequence[str], style: str = "none") -> list[Text]:
    return [_line(text, style) for text in texts]


def _line(text: str, style: str = "none") -> Text:
    """Whatever a host has put into it, as it stands: no markup, nothing that a terminal acts on."""
    return Text(clean(text), style=style)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S}"
