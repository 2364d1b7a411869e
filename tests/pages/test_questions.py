"""The newcomer's questions: a browser makes the clicks that docs/9-questions.md names, and finds the answers there.

Clicks and places come from the page of the docs, the answers from what `prepared.py`, `model_site.py` and `facts` wrote
into the ledger.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import delete, func, insert, select, update

from api_server import Server
from pages import model_site, prepared
from pages.conftest import LAPTOP, Theme, Visit
from pages.test_games import wait_until_ready
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import gates, models, promotions
from ringrift_loop.ledger import schema as tables
from ringrift_loop.resources.interventions import Asked, set_halt
from samples import random_game
from stored_games import record_of, store

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[2] / "docs" / "9-questions.md"
MOST_CLICKS = 2
VARIANT = "square8_2p"
GAME = f"{0xC3:032x}"
PLACES = {
    "the headline": "h1",
    "the cards of the variants": "article",
    "the page": "[role=region][aria-label=Page]",
    "the model": "section[aria-label^='Generation ']",
    "the dialog": "[role=alertdialog]",
}
ANSWERS: dict[str, list[list[str]]] = {
    "Is it learning?": [["Learning: square8_2p +118 ± 33 Elo in the last hour; hex8_2p waits for its gate."]],
    "Which variant learns best?": [["square8_2p champion 11, 0ba70ba7", "+118 ± 33 last hour", "+12 ± 33 last hour"]],
    "What does it do right now?": [["Training of square8_2p for", "Self-play by 2 of 2 workers, 360 games/h"]],
    "Why was the last candidate refused?": [
        ["generation 12", "Champion gate", "−21 ± 18 Elo over generation 11, 200 games", "loses 21 Elo after 200 games"]
    ],
    "How strong is the champion, and how sure is that?": [["Generation 11 is the champion 866 ± 24 Elo"]],
    "What made this model?": [["Run made-the-champion", "succeeded, in 15 min", "Steps 1 200, 307 200 samples"]],
    "Which host is ill, and what do I do?": [
        ["local_b failing 3 failures in a row", "once fixed: ringrift-loop hosts reset local_b"]
    ],
    "Why do my workers rest?": [["of which others use 66%: the workers go from 30% to 20%"]],
    "What would make it faster?": [
        [
            "Self-play is held to 360 games an hour, as negotiated by operator.",
            "1 of 2 self-play hosts does not answer: local_b.",
            "The workers of local_b rest for 80% of their time",
            "Training is behind self-play: square8_2p has ",
            "A candidate waits for its gate: hex8_2p for ",
        ]
    ],
    "Can I watch it play, and play against it?": [
        ["Game 000000", "Played on local_a by heuristic-search; no training has used it yet.", "The empty board."],
        ["is played by", "heuristic with a search", "as rated"],
    ],
    "How do I stop it, and who stopped it?": [
        ["Nothing starts by itself any more, and workers of all hosts are drained within a minute."],
        ["halted by ann: new kernel", "the halt was lifted by ann: it is in"],
    ],
    "Which setting is in force, and where does it come from?": [["statsd_port", "environment RINGRIFT__STATSD_PORT"]],
}


@dataclass(frozen=True)
class Question:
    """A row of the table; a question may be answered in more than one place."""

    text: str
    clicks: tuple[tuple[str, ...], ...]
    """For each place: what to press, as it is written there."""
    places: tuple[str, ...]


def questions() -> list[Question]:
    """The table of the page."""
    rows = [row.strip("| ").split(" | ") for row in PAGE.read_text(encoding="utf-8").splitlines() if row[:2] == "| "]
    return [
        Question(
            text,
            tuple(tuple(re.findall(r"\*+[^*]+\*+", way)) for way in clicks.split("; or ")),
            tuple(places.split("; or ")),
        )
        for text, clicks, places, _ in rows[1:]
    ]


@pytest.fixture(scope="module", autouse=True)
def facts(site: Server) -> Iterator[None]:
    """What the prepared ledger lacks: a refused candidate, a champion's training, a game, a halt; undone at the end."""
    model_site.ensure(site)
    now = time.time()
    champion, refused = prepared.digest(VARIANT, len(prepared.GAINS[VARIANT])), "d" * 64
    of_champion = tables.models.c.digest == champion
    training = {
        "id": "made-the-champion",
        "variant": VARIANT,
        "state": "succeeded",
        "games": 320,
        "model_digest": champion,
        "started_at": now - 3000.0,
        "finished_at": now - 2100.0,
        "report": {"steps": 1200, "samples": 307_200},
    }
    with site.ledger.begin() as conn:
        before = conn.execute(select(func.max(tables.events.c.id))).scalar_one()
        conn.execute(insert(tables.training_runs).values(training))
        conn.execute(update(tables.models).where(of_champion).values(training_run=training["id"]))
        models.add(conn, refused, VARIANT, parent_digest=champion, training_run=None, manifest={}, at=now - 500)
        reason = "loses 21 Elo after 200 games"
        report = {"champion_digest": champion, "gain": -21.0, "stderr": 9.0, "games": 200, "reasons": [reason]}
        gates.add(conn, VARIANT, refused, gates.CHAMPION, passed=False, report=report, at=now - 410)
        promotions.reject(conn, VARIANT, refused, reason=reason, elo_gain=-21.0, games=200, at=now - 400)
        set_halt(conn, True, Asked("ann", "new kernel"), at=now - 300)
        set_halt(conn, False, Asked("ann", "it is in"), at=now - 200)
    store(
        RunDirectory(site.home / "run"),
        site.ledger,
        [record_of(random_game(3, "hex8_4p"), 0xC3)],
        host="local_a",
        at=now,
    )
    wait_until_ready(site, GAME)
    yield
    with site.ledger.begin() as conn:
        conn.execute(delete(tables.events).where(tables.events.c.id > before))
        conn.execute(delete(tables.promotions).where(tables.promotions.c.model_digest == refused))
        conn.execute(delete(tables.gate_reports).where(tables.gate_reports.c.model_digest == refused))
        conn.execute(delete(tables.models).where(tables.models.c.digest == refused))
        conn.execute(update(tables.models).where(of_champion).values(training_run=None))
        conn.execute(delete(tables.training_runs).where(tables.training_runs.c.id == training["id"]))


def test_there_are_twelve_questions_each_with_an_answer_within_two_clicks() -> None:
    asked = questions()
    assert [question.text for question in asked] == list(ANSWERS)
    assert len(asked) == 12
    for question in asked:
        assert all(len(way) <= MOST_CLICKS for way in question.clicks), question.text
        assert len(question.clicks) == len(question.places) == len(ANSWERS[question.text]), question.text


@pytest.fixture(scope="module")
def newcomer(
    facts: None, site: Server, browsing: Callable[[Theme, tuple[int, int], str], BrowserContext]
) -> Iterator[Visit]:
    """A person who has pressed the entry in the navigation, and stays for all questions."""
    with site.ledger.begin() as conn:
        prepared.keep_alive(conn, time.time())
    seen = Visit(browsing("light", LAPTOP, "boss").new_page())
    seen.page.goto(f"{site.url}/plugin/ringrift")
    yield seen
    seen.page.close()


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.text)
def test_the_answer_stands_where_the_page_says(site: Server, newcomer: Visit, question: Question) -> None:
    with site.ledger.begin() as conn:
        prepared.keep_alive(conn, time.time())
        model_site.freshen(conn, time.time())
    page = newcomer.page
    for clicks, place, answers in zip(question.clicks, question.places, ANSWERS[question.text], strict=True):
        page.keyboard.press("Escape")  # leaves a dialog
        page.get_by_role("link", name="Overview", exact=True).click()
        page.locator("#ringrift article").first.wait_for()
        for click in clicks:
            _named(page, click).click()
        for answer in answers:
            words = re.compile(r"\s*".join(map(re.escape, answer.split())))
            expect(_place(page, place).filter(has_text=words)).not_to_have_count(0, timeout=20_000)
    assert newcomer.complaints == []


def _named(page: Page, click: str) -> Locator:
    """What is pressed: a link or button by its label, or the first game of the list."""
    if click == "*the first game*":
        return page.locator("#ringrift tbody a").first
    label = click.strip("*")
    link = page.locator("#ringrift").get_by_role("link", name=label, exact=True)
    return link.or_(page.locator("#ringrift").get_by_role("button", name=re.compile(rf"^{re.escape(label)}(,|$)")))


def _place(page: Page, place: str) -> Locator:
    """Where one looks: a panel by its heading, or one of `PLACES`."""
    name = place.strip("*")
    if place == f"*{name}*":
        return page.locator("#ringrift " + PLACES[name]) if name != "the dialog" else page.locator(PLACES[name])
    return page.locator("#ringrift section").filter(has=page.get_by_role("heading", name=name, exact=True))
