"""The page Play in a browser: whole games on square and hexagonal boards, with two seats and with four."""

from __future__ import annotations

import random
import time
from typing import Any

import httpx
import pytest

from api_server import Server
from pages.conftest import LAPTOP, PHONE, Open, Theme, Visit
from ringrift_loop.engine.game import Game

pytestmark = pytest.mark.system

PAGE = "plugin/ringrift/play"


@pytest.fixture(scope="module", autouse=True)
def _ready(site: Server) -> None:
    """The rules engine is loaded; before that the browser would complain about an answer 503."""
    headers = site.headers("boss")
    give_up = time.monotonic() + 150
    game_id = begin(site, "hex8_2p", ["random"])

    def asked() -> httpx.Response:
        return site.client.get(f"/ringrift/api/play/{game_id}", headers=headers)

    while asked().status_code == 503 and time.monotonic() < give_up:
        time.sleep(0.2)


def begin(site: Server, variant: str, opponents: list[str], seat: int = 1) -> str:
    wanted = {"variant": variant, "seat": seat, "opponents": opponents, "simulations": 1}
    answer = site.client.post("/ringrift/api/play", headers=site.headers("boss"), json=wanted)
    assert answer.status_code == 201, answer.text
    game_id: str = answer.json()["id"]
    return game_id


def table(site: Server, game_id: str) -> dict[str, object]:
    found: dict[str, object] = site.client.get(f"/ringrift/api/play/{game_id}", headers=site.headers("boss")).json()
    return found


def play_on(seen: Visit, rng: random.Random, moves: int) -> bool:
    """Answer what is asked, by pointing at the board where a cell is marked, else by a button; whether it is over."""
    page = seen.page
    for _ in range(moves):
        page.wait_for_selector(
            "#ringrift .rr-possible, #ringrift [data-testid=asked] button, #ringrift [data-testid=over]"
        )
        if page.locator("#ringrift [data-testid=over]").count():
            return True
        cells = page.locator("#ringrift .rr-possible")
        count = cells.count()
        buttons = page.locator("#ringrift [data-testid=asked] [data-move]")
        if buttons.count() and (count == 0 or rng.random() < 0.5):
            buttons.nth(rng.randrange(buttons.count())).click()
        elif count:
            # Cells lie in one drawing: the click is given to the element, whatever piece is drawn over it.
            cells.nth(rng.randrange(count)).dispatch_event("click")
    return False


@pytest.mark.parametrize(
    ("variant", "opponents", "seat"),
    [
        ("square8_2p", ["random"], 2),
        ("square8_4p", ["random", "random", "heuristic"], 4),
        ("hex8_2p", ["heuristic"], 1),
        ("hex8_4p", ["random", "heuristic", "random"], 1),
    ],
)
def test_a_whole_game_is_played(site: Server, visit: Open, variant: str, opponents: list[str], seat: int) -> None:
    game_id = begin(site, variant, opponents, seat)
    seen = visit(f"{PAGE}/{game_id}", ready=".rr-board")
    assert play_on(seen, random.Random(variant), 900)
    found = table(site, game_id)
    game = Game(variant)
    for move in str(found["moves"]).split(" "):
        game.play(move)
    assert (game.is_over, found["winner"], found["result"]) == (True, game.winner, game.result)
    said = seen.page.locator("#ringrift [data-testid=over]").inner_text()
    assert said.startswith("You have won." if game.winner == seat else "You have lost.")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_a_game_is_begun_and_each_choice_is_explained(visit: Open, theme: Theme, size: tuple[int, int]) -> None:
    seen = visit(PAGE, theme=theme, size=size, ready="#ringrift button:has-text('Begin')")
    page = seen.page
    assert seen.sideways_px() == 0
    assert seen.axe() == []
    page.get_by_label("Board").select_option("hex8")
    page.get_by_label("Players").select_option("3")
    page.get_by_label("You are").select_option("1")
    page.get_by_label("Orange (seat 2) is played by").select_option("random")
    page.get_by_label("Green (seat 3) is played by").select_option("heuristic")
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector(".rr-possible")
    asked = page.locator("#ringrift [data-testid=asked]")
    assert "Place rings" in asked.inner_text()
    assert "one to three rings on an empty cell" in asked.inner_text()
    page.locator("[aria-label^='0,0, empty']").dispatch_event("click")
    assert asked.locator("[data-move]").all_inner_texts() == [
        f"Place {n} ring{'s' if n > 1 else ''} on 0,0" for n in (1, 2, 3)
    ]
    asked.get_by_role("button", name="Place 2 rings on 0,0").click()
    page.get_by_text("Move or capture").wait_for()
    # The stack is two high: it cannot go to a cell beside it.
    assert page.locator("[aria-label^='1,0,']").get_attribute("class") == "rr-cell"
    assert seen.sideways_px() == 0
    assert seen.axe() == []


def test_the_keyboard_alone_plays_a_move(site: Server, visit: Open) -> None:
    game_id = begin(site, "square8_2p", ["random"])
    page = visit(f"{PAGE}/{game_id}", ready=".rr-possible").page
    page.locator("#ringrift [data-cell][tabindex='0']").focus()
    page.keyboard.press("ArrowUp")
    cell = page.evaluate("document.activeElement.getAttribute('aria-label')").split(", ")[0]
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name=f"Place 1 ring on {cell}")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Move or capture").wait_for()
    assert table(site, game_id)["moves"] == f"PL:{cell}x1"


def test_a_hint_a_move_taken_back_and_giving_up(site: Server, visit: Open) -> None:
    game_id = begin(site, "hex8_2p", ["random"])
    page = visit(f"{PAGE}/{game_id}", ready=".rr-possible").page
    page.get_by_role("button", name="Hint").click()
    page.get_by_text("32 simulations").wait_for()
    page.get_by_text("With 1 hint: this game does not count for your rating.").wait_for()
    page.locator("[aria-label^='0,0, empty']").dispatch_event("click")
    page.get_by_role("button", name="Place 1 ring on 0,0").click()
    page.get_by_text("Move or capture").wait_for()
    page.get_by_role("button", name="Take back").click()
    page.get_by_text("Place rings").wait_for()
    assert table(site, game_id)["moves"] == ""
    page.get_by_role("button", name="Resign").click()
    page.get_by_role("button", name="Give up").click()
    page.get_by_text("You gave up.").wait_for()
    assert table(site, game_id)["result"] == "resigned"


def test_a_game_that_is_over_can_be_removed(site: Server, visit: Open) -> None:
    game_id = begin(site, "square8_2p", ["random"])
    page = visit(f"{PAGE}/{game_id}", ready=".rr-possible").page
    page.get_by_role("button", name="Resign").click()
    page.get_by_role("button", name="Give up").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("your rating is computed without it").wait_for()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_text("your rating is computed without it").wait_for(state="detached")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Remove it").click()
    page.wait_for_selector("#ringrift button:has-text('Begin')")
    assert page.locator(f"#ringrift a[href$='{game_id}']").count() == 0


def test_a_reply_that_a_restart_cut_off_is_asked_for_again(site: Server, visit: Open) -> None:
    game_id = begin(site, "square8_2p", ["random"], seat=2)
    seen = visit(PAGE, ready="#ringrift button:has-text('Begin')")
    asked: list[str] = []

    def once(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.abort()
        else:
            route.continue_()

    seen.page.route("**/reply?**", once)
    seen.page.goto(f"{seen.page.url.rstrip('/')}/{game_id}")
    seen.page.get_by_text("Airflow's API server does not answer.").wait_for()
    seen.page.wait_for_selector(".rr-possible", timeout=20_000)
    assert seen.page.get_by_text("Airflow's API server does not answer.").count() == 0
    assert len(asked) > 1
    seen.complaints.clear()  # of the request that was cut off


def test_a_viewer_is_told_that_playing_needs_the_right(visit: Open) -> None:
    seen = visit(PAGE, user="watcher", ready="#ringrift button:has-text('Begin')")
    seen.page.get_by_role("button", name="Begin").click()
    seen.page.get_by_text("Your account lacks the right").wait_for()
    assert [one for one in seen.complaints if "403" not in one] == []
    seen.complaints.clear()
