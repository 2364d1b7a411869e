"""The page Control in a browser, and the endpoints behind it: what a viewer may not do, and what stays of a change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_server import Server
from pages.conftest import LAPTOP, PHONE, Open, Theme
from ringrift_loop.ledger import events, state

PATH = "plugin/ringrift/control"


@pytest.fixture
def site_as_it_was(site: Server) -> Iterator[Server]:
    """A site that a test may halt."""
    yield site
    with site.ledger.begin() as conn:
        state.set_halt(conn, False, at=1.0)
        state.set_selfplay_share(conn, 1.0, at=1.0)


@pytest.mark.parametrize("name", ["halt", "share"])
def test_a_viewer_may_change_nothing(site_as_it_was: Server, name: str) -> None:
    path, body = f"/ringrift/api/control/{name}", {"halted": True, "share": 0.5, "why": "because"}
    client = site_as_it_was.client
    assert client.put(path, json=body).status_code == 401
    refused = client.put(path, json=body, headers=site_as_it_was.headers("watcher"))
    assert refused.status_code == 403
    with site_as_it_was.ledger.read() as conn:
        assert (state.halted(conn), state.selfplay_share(conn)) == (False, 1.0)
    assert site_as_it_was.get("/ringrift/api/control").json()["may_change"] is False
    assert site_as_it_was.get("/ringrift/api/control", "boss").json()["may_change"] is True


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("halt", {"halted": True}),
        ("halt", {"halted": True, "why": "  "}),
        ("halt", {"halted": True, "why": "x" * 501}),
        ("share", {"share": 1.5, "why": "because"}),
        ("share", {"share": "NaN", "why": "because"}),
    ],
)
def test_a_change_needs_a_reason_and_a_sound_value(site: Server, name: str, body: dict[str, object]) -> None:
    answer = site.client.put(f"/ringrift/api/control/{name}", json=body, headers=site.headers("boss"))
    assert answer.status_code == 422
    with site.ledger.read() as conn:
        assert (state.halted(conn), state.selfplay_share(conn)) == (False, 1.0)


def test_a_change_is_in_the_history_with_who_and_why(site_as_it_was: Server) -> None:
    headers = site_as_it_was.headers("boss")
    path = "/ringrift/api/control/share"
    answer = site_as_it_was.client.put(path, json={"share": 0.5, "why": " noise\n "}, headers=headers)
    assert answer.json()["share"] == 0.5
    assert answer.json()["changes"][0]["what"] == "self-play share 0.5, was 1, set by boss: noise"
    with site_as_it_was.ledger.read() as conn:
        event = next(event for event in events.latest(conn, kind="worker") if "share" in event.data)
    assert event.data == {"share": 0.5, "before": 1.0, "user": "boss", "why": "noise"}


def test_the_configuration_is_told_with_its_origins(site: Server) -> None:
    told = {each["name"]: each for each in site.get("/ringrift/api/config").json()}
    assert told["statsd_port"]["origin"] == "environment RINGRIFT__STATSD_PORT"
    assert (told["statsd_port"]["value"], told["statsd_port"]["default"]) == ("9", "8125")


@pytest.mark.system
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_the_page_is_sound(visit: Open, theme: Theme, size: tuple[int, int]) -> None:
    seen = visit(PATH, theme=theme, size=size, ready="#ringrift h1")
    assert seen.page.locator("#ringrift h1").inner_text() == "Running, 360 games an hour of at most 360 as negotiated."
    seen.page.wait_for_selector("text=statsd_port")
    assert seen.sideways_px() == 0
    assert seen.axe() == []


@pytest.mark.system
def test_a_halt_asks_first_and_shows_on_both_pages(site_as_it_was: Server, visit: Open) -> None:
    seen = visit(PATH, ready="#ringrift h1")
    page = seen.page
    page.get_by_role("button", name="Halt", exact=True).click()
    confirm = page.get_by_role("alertdialog").get_by_role("button", name="Halt", exact=True)
    assert confirm.is_disabled()
    assert seen.axe() == []
    page.get_by_label("Why").fill("new kernel")
    confirm.click()
    page.wait_for_selector("text=halted by boss: new kernel")
    with site_as_it_was.ledger.read() as conn:
        assert state.halted(conn)
    page.get_by_role("link", name="Overview").click()
    page.wait_for_selector("h1:has-text('Halted by a person')")


@pytest.mark.system
def test_a_viewer_is_not_offered_what_would_be_refused(visit: Open) -> None:
    page = visit(PATH, user="watcher", ready="#ringrift h1").page
    assert page.get_by_role("button", name="Halt", exact=True).is_disabled()


@pytest.mark.system
def test_the_settings_can_be_searched(visit: Open) -> None:
    page = visit(PATH, ready="#ringrift h1").page
    page.get_by_label("Search the settings").press_sequentially("residual blocks")  # and keeps the focus
    page.wait_for_selector("text=training.blocks")
    assert page.url.endswith("?setting=residual+blocks")
    assert page.locator("text=statsd_port").count() == 0
