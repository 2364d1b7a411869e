"""The page Models in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator

from api_server import Server
from model_history import DIGESTS
from pages import model_site
from pages.conftest import LAPTOP, PHONE, Open, Theme, Visit

pytestmark = pytest.mark.system
PATH = f"plugin/ringrift/models?config={model_site.VARIANT}"
HISTORY = "svg[aria-label='How generation 3 came about']"


@pytest.fixture(scope="module", autouse=True)
def family(site: Server) -> None:
    model_site.ensure(site)


def _node(seen: Visit, name: str) -> Locator:
    return seen.page.locator(f"#ringrift g[role=button][aria-label^='{name}']")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_descent_history_strength_and_matches_are_shown(visit: Open, theme: Theme, size: tuple[int, int]) -> None:
    seen = visit(PATH, theme=theme, size=size, ready=HISTORY)
    text = seen.page.locator("#ringrift").inner_text()
    assert "Generation 3 is the champion" in text
    assert seen.page.locator("#ringrift ol[aria-label='Models, the newest first'] button").count() == 6
    matchups = seen.page.locator("#ringrift section", has_text="Head to head").locator("table")
    matchups.get_by_text("+59 to +500").wait_for()
    assert seen.page.locator("#ringrift svg[aria-label^='Policy loss']").count() == 1
    assert seen.sideways_px() == 0
    assert seen.axe() == []


def test_a_model_and_its_parts_are_chosen_by_the_keyboard(visit: Open) -> None:
    seen = visit(PATH, ready=HISTORY)
    seen.page.locator("#ringrift ol button[aria-pressed=true]").focus()
    seen.page.keyboard.press("ArrowUp")
    seen.page.keyboard.press("Enter")
    _node(seen, "Generation 4").wait_for()
    assert f"model={DIGESTS[3]}" in seen.page.url
    assert seen.page.evaluate("document.activeElement.textContent").startswith("Generation 4")  # the focus stays
    _node(seen, "Games").focus()
    for _ in range(5):
        seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Enter")
    verdict = seen.page.locator("#ringrift section", has_text="Against the champion").last
    assert "+31 ± 27 Elo over cccccccccccc" in verdict.inner_text()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Space")
    assert "it stalls in won games" in seen.page.locator("#ringrift").inner_text()
    seen.page.go_back()  # a choice is a step of the browser's own history
    seen.page.wait_for_selector(HISTORY)


def test_a_test_that_failed_shows_its_figure_and_its_limit(visit: Open) -> None:
    seen = visit(f"{PATH}&model={DIGESTS[4]}", ready="g[role=button][aria-label^='Six tests']")
    _node(seen, "Six tests").click()
    row = seen.page.locator("#ringrift tr", has_text="beats heuristic")
    assert row.inner_text().split()[2:] == ["Failed", "0.41", "share", "0.55", "41", "of", "100", "games", "won"]


def test_a_tasks_page_leads_to_a_model_by_its_digest_alone(visit: Open) -> None:
    seen = visit(f"plugin/ringrift/models?model={DIGESTS[3]}&part=champion", ready=HISTORY.replace("3", "4"))
    assert "+31 ± 27 Elo over cccccccccccc" in seen.page.locator("#ringrift").inner_text()
    assert seen.page.get_by_label("Variant").input_value() == model_site.VARIANT


def test_a_refused_candidate_leads_to_the_report_that_refused_it(visit: Open) -> None:
    seen = visit(PATH, ready="#ringrift section:has-text('Refused candidates') table")
    refused = seen.page.locator("#ringrift section", has=seen.page.get_by_role("heading", name="Refused candidates"))
    newest, older = refused.locator("tbody tr").all()
    assert newest.inner_text().split("\t")[2:] == ["Six tests", "–", "regression gate"]
    assert older.inner_text().split("\t")[2:] == [
        "Champion gate",
        "+3 ± 27 Elo over generation 1, 400 games",
        "champion gate: +3.0",
    ]
    newest.get_by_role("button").click()
    seen.page.locator("#ringrift tr", has_text="beats heuristic").wait_for()
    assert f"model={DIGESTS[4]}&part=regression" in seen.page.url


def test_a_change_asks_first_and_says_when_it_is_refused(visit: Open) -> None:
    seen = visit(f"{PATH}&model={DIGESTS[5]}", ready="g[role=button][aria-label^='Generation 6']")
    seen.page.get_by_role("button", name="Promote").click()
    dialog = seen.page.get_by_role("alertdialog")
    assert "The DAG ringrift_promote starts." in dialog.inner_text()
    confirm = dialog.get_by_role("button", name="Promote")
    assert confirm.is_disabled()
    assert seen.axe() == []
    dialog.get_by_role("textbox").fill("I want it")
    confirm.click()
    dialog.get_by_text("'hexagonal_2p' is not one of [None, 'square8_2p', 'hex8_2p']").wait_for()
    seen.complaints.clear()  # the browser tells of the 409
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="hidden")


def test_a_viewer_sees_no_button_that_would_be_refused(visit: Open) -> None:
    seen = visit(f"{PATH}&model={DIGESTS[5]}", user="watcher", ready="g[role=button][aria-label^='Generation 6']")
    assert seen.page.get_by_role("button", name="Promote").count() == 0
    assert seen.page.get_by_role("button", name="Roll back").count() == 0


def test_a_variant_without_a_model_says_so(visit: Open) -> None:
    seen = visit("plugin/ringrift/models?config=square19_4p", ready="h1")
    seen.page.get_by_text("square19_4p has no model yet").wait_for()
