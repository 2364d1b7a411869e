"""The page Hosts in a browser."""

from __future__ import annotations

import time

import pytest

from api_server import Server
from pages import model_site
from pages.conftest import LAPTOP, PHONE, Open, Theme
from ringrift_loop.layout import RunDirectory
from ringrift_loop.machine.bounded_log import append_lines

pytestmark = pytest.mark.system
PATH = "plugin/ringrift/hosts"


@pytest.fixture(autouse=True)
def loads(site: Server) -> None:
    model_site.ensure(site)
    with site.ledger.begin() as conn:
        model_site.freshen(conn, time.time())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_load_failures_hosts_and_jobs_are_shown(visit: Open, theme: Theme, size: tuple[int, int]) -> None:
    seen = visit(PATH, theme=theme, size=size, ready="#ringrift article")
    assert seen.page.locator("#ringrift h1").inner_text() == "1 of 2 hosts answer; 360 games an hour."
    assert seen.page.locator("#ringrift article").count() == 2
    bar = seen.page.locator("#ringrift svg[aria-label^='CPU 88 %']")
    assert bar.get_attribute("aria-label") == (
        "CPU 88 %: workers 22 %, jobs 0 %, others 66 %; it should lie between 60 and 80 %"
    )
    wrong = seen.page.locator("#ringrift section", has_text="What is wrong").inner_text()
    assert "ringrift-loop hosts reset local_b" in wrong
    assert "raise resource_targets.job_memory_gb" in wrong
    assert seen.sideways_px() == 0
    assert seen.axe() == []


def test_what_hosts_and_jobs_say_is_text(visit: Open) -> None:
    seen = visit(PATH, ready="#ringrift article")
    seen.page.get_by_role("button", name="Log of train-hexagonal-7").click()
    seen.page.locator("#ringrift [role=log]", has_text="<script>alert(1)</script>").wait_for()
    assert seen.page.locator("#ringrift li", has_text="<script>alert(1)</script>").count() == 2
    assert seen.page.locator("#ringrift script, #ringrift img").count() == 0


def test_a_jobs_log_goes_on_without_a_reload(site: Server, visit: Open) -> None:
    seen = visit(PATH, ready="#ringrift article")
    seen.page.get_by_role("button", name="Log of train-hexagonal-7").click()
    log = seen.page.locator("#ringrift [role=log]")
    log.get_by_text("step 100 of 2000").wait_for()
    append_lines(RunDirectory(site.home / "run").job_log("train-hexagonal-7"), ["step 200 of 2000, loss 2.31"])
    log.get_by_text("step 200 of 2000, loss 2.31").wait_for()


def test_a_tasks_page_leads_to_the_log_of_its_job(visit: Open) -> None:
    seen = visit(f"{PATH}?job=train-hexagonal-7", ready="#ringrift [role=log]")
    seen.page.get_by_role("button", name="Log of train-hexagonal-7").click()
    seen.page.locator("#ringrift [role=log]").wait_for(state="detached")
    assert seen.page.url.endswith("/hosts")
    gone = visit(f"{PATH}?job=ran-here", ready="#ringrift [role=status]:has-text('No job ran-here')")
    assert gone.page.locator("#ringrift [role=log]").count() == 0


def test_the_workers_of_a_host_open_on_demand(visit: Open) -> None:
    seen = visit(PATH, user="watcher", ready="#ringrift article")
    button = seen.page.get_by_role("button", name="Workers of local_a: 2 of 2 play")
    button.focus()
    seen.page.keyboard.press("Enter")
    workers = seen.page.locator("#ringrift section[aria-label='Workers of local_a']")
    workers.locator("tbody tr").nth(1).wait_for()
    assert "square8_2p, generation 11 (now)" in workers.inner_text()
    assert button.get_attribute("aria-expanded") == "true"
