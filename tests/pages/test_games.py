"""The page Games in a browser: a stored game found, replayed and linked to, and a record of one's own."""

from __future__ import annotations

import time

import httpx
import pytest

from api_server import Server
from pages.conftest import LAPTOP, PHONE, Open, Theme, Visit
from ringrift_loop.engine.game import Game
from ringrift_loop.layout import RunDirectory
from samples import random_game
from stored_games import record_of, store

pytestmark = pytest.mark.system

PAGE = "plugin/ringrift/games"
SQUARE, HEX = f"{0xA1:032x}", f"{0xB2:032x}"


@pytest.fixture(scope="module")
def games(site: Server) -> dict[str, Game]:
    """A game of two on a square board and one of four on a hexagonal one, and a server whose rules engine is ready."""
    made = {SQUARE: random_game(1), HEX: random_game(2, "hex8_4p")}
    records = [record_of(game, int(name, 16)) for name, game in made.items()]
    store(RunDirectory(site.home / "run"), site.ledger, records, host="local_a", at=time.time())
    wait_until_ready(site, SQUARE)
    return made


def wait_until_ready(site: Server, game_id: str) -> None:
    """Until the kernels are loaded: before that an answer is 503, which a browser complains about."""
    give_up = time.monotonic() + 150
    headers = site.headers("watcher")

    def asked() -> httpx.Response:
        return site.client.get(f"/ringrift/api/games/{game_id}", headers=headers)

    while asked().status_code == 503 and time.monotonic() < give_up:
        time.sleep(0.2)


def board_of(visit: Visit) -> dict[str, str]:
    """What the cells hold, by name, as the page has drawn them."""
    cells = visit.page.locator("#ringrift [data-cell]").evaluate_all(
        "all => all.map(one => [one.getAttribute('aria-label').split(', ')[0], one.dataset.content])"
    )
    return {name: content for name, content in cells if content}


def position_of(game: Game) -> dict[str, str]:
    """The same from the engine's text of the state."""
    said = dict(part.split("=", 1) for part in game.text().split(";"))
    found = {}
    for key, before in (("S", ""), ("M", "m"), ("C", "c")):
        for item in filter(None, said[key].split("|")):
            cell, _, what = item.partition(":")
            found[cell] = before + what
    return found


@pytest.mark.parametrize("game_id", [SQUARE, HEX])
def test_a_game_is_replayed_ply_by_ply(visit: Open, games: dict[str, Game], game_id: str) -> None:
    played = games[game_id]
    seen = visit(f"{PAGE}/{game_id}", ready=".rr-board")
    page, game = seen.page, Game(played.variant)
    counter = page.get_by_text(f"/ {len(played.moves)}")
    for ply, move in enumerate(played.moves[:12], 1):
        assert board_of(seen) == position_of(game)
        page.keyboard.press("ArrowRight")
        counter.get_by_text(f"{ply} /").wait_for()
        game.play(move)
    assert board_of(seen) == position_of(game)
    page.get_by_role("button", name="Last position").click()
    counter.get_by_text(f"{len(played.moves)} /").wait_for()
    assert board_of(seen) == position_of(played)
    assert page.get_by_text(f"(seat {played.winner}) has won").count() == 1
    assert page.url.endswith(f"{game_id}?ply={len(played.moves)}")
    page.get_by_role("button", name="One ply back").click()
    counter.get_by_text(f"{len(played.moves) - 1} /").wait_for()


def test_a_game_plays_by_itself(visit: Open, games: dict[str, Game]) -> None:
    last = len(games[SQUARE].moves)
    page = visit(f"{PAGE}/{SQUARE}?ply={last - 2}", ready=".rr-board").page
    page.get_by_role("button", name="1 s a ply").click()
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_text(f"{last} / {last}").wait_for()
    assert page.get_by_role("button", name="Play", exact=True).is_disabled()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_a_linked_position_is_shown_with_what_is_thought_of_it(
    visit: Open, games: dict[str, Game], theme: Theme, size: tuple[int, int]
) -> None:
    game = Game("hex8_4p")
    for move in games[HEX].moves[:60]:
        game.play(move)
    seen = visit(f"{PAGE}/{HEX}?ply=60", theme=theme, size=size, ready=".rr-board")
    assert board_of(seen) == position_of(game)
    seen.page.locator("#ringrift section li", has_text="%").first.wait_for()
    assert seen.page.get_by_text("heuristic, for want of a champion, at sight").count() == 1
    assert seen.sideways_px() == 0
    assert seen.axe() == []


def test_a_search_says_how_the_moves_turn_out(visit: Open, games: dict[str, Game]) -> None:
    page = visit(f"{PAGE}/{SQUARE}?ply=0", ready=".rr-board").page
    page.get_by_role("button", name="Search 128").click()
    page.get_by_text("128 simulations").wait_for()
    assert page.get_by_text("wins ").count() >= 1


def test_the_list_narrows_by_its_address_and_its_fields(visit: Open, games: dict[str, Game]) -> None:
    plies = len(games[HEX].moves)
    seen = visit(f"{PAGE}?variant=hex8_4p", ready="#ringrift table")
    page = seen.page
    rows = page.locator("#ringrift tbody tr")
    assert rows.count() == 1
    assert f"seat {games[HEX].winner}" in rows.inner_text()
    page.get_by_label("Plies from").fill(str(plies + 1))
    page.get_by_text("No game is like that.").wait_for()
    page.get_by_label("Plies from").fill("")
    # The field keeps the focus from letter to letter, though the address changes with each.
    page.get_by_label("Plies from").press_sequentially(str(plies))
    rows.first.wait_for()
    assert f"plies_from={plies}" in page.url
    assert seen.axe() == []
    page.get_by_role("link", name=HEX[:8]).click()
    page.wait_for_selector(".rr-board")


def test_older_games_come_page_by_page(visit: Open, games: dict[str, Game]) -> None:
    page = visit(f"{PAGE}?variant=square8_2p", size=PHONE, ready="#ringrift table").page
    assert page.locator("#ringrift tbody tr").count() == 50
    page.get_by_role("button", name="Older games").click()
    page.get_by_text("100 shown").wait_for()
    assert page.locator("#ringrift tbody tr").count() == 100


def test_a_record_of_ones_own_is_shown_and_a_bad_one_is_explained(visit: Open, games: dict[str, Game]) -> None:
    seen = visit(f"{PAGE}/load", user="watcher", ready="#ringrift textarea")
    assert seen.axe() == []
    page = seen.page
    good = record_of(games[HEX], 7).to_json().decode()
    page.get_by_label("Or text").fill(good)
    page.get_by_role("button", name="Show the game").click()
    page.wait_for_selector(".rr-board")
    assert page.get_by_text(f"0 / {len(games[HEX].moves)}").count() == 1


def test_a_bad_record_is_explained(site: Server, visit: Open, games: dict[str, Game]) -> None:
    seen = visit(f"{PAGE}/load", ready="#ringrift textarea")
    bad = '{"variant": "hex8_2p", "moves": "PL:0,0x1 MV:0,0>3,1"}'
    seen.page.get_by_label("Or text").fill(bad)
    seen.page.get_by_role("button", name="Show the game").click()
    seen.page.get_by_text("the game, ply 1: MV:0,0>3,1 is not legal for seat 1").wait_for()
    # The browser's own note of the answer 422 is no fault of the page.
    assert [one for one in seen.complaints if "422" not in one] == []
    seen.complaints.clear()


def test_the_arrow_keys_walk_the_board(visit: Open, games: dict[str, Game]) -> None:
    page = visit(f"{PAGE}/{SQUARE}?ply=20", ready=".rr-board").page
    page.locator("#ringrift [data-cell][tabindex='0']").focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')").split(", ")[0]
    x, y = map(int, first.split(","))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert (x in (3, 4), y in (3, 4), focused.split(", ")[0]) == (True, True, f"{x + 1},{y - 1}")
