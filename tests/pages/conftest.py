"""The pages in a real browser: one API server for all tests here, over the ledger of `prepared.py`.

`visit` opens a page as a person would who is logged in; when the test ends, whatever the browser complained about fails
it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from api_server import Server, serving
from browser import chromium
from pages import prepared
from ringrift_loop.layout import RunDirectory

AXE = Path(__file__).parents[2] / "plugins" / "ringrift_airflow" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
LAPTOP, PHONE = (1440, 900), (390, 844)
Theme = Literal["light", "dark"]
_LOADED_S = 30.0
_SETTLED = """() => Promise.allSettled(document.getAnimations()
    .filter((each) => each.effect.getComputedTiming().iterations !== Infinity).map((each) => each.finished))"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server over the prepared ledger, that knows our DAGs."""
    with serving(tmp_path_factory.mktemp("pages"), prepared.INVENTORY, {"KEEP_DAGS": "1"}) as server:
        with server.ledger.begin() as conn:
            prepared.fill(conn, time.time())
        prepared.fill_files(RunDirectory(server.home / "run"))
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one file's tests: while Playwright runs, no other test may start an event loop."""
    with chromium() as browser:
        yield browser


@dataclass
class Visit:
    """A person at the pages; `page` is Playwright's."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Hear what the browser complains about."""
        self.page.set_default_timeout(1000 * _LOADED_S)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", lambda told: self.complaints.append(told.text) if told.type == "error" else None)

    def axe(self) -> list[str]:
        """What axe-core finds serious in the page and in the dialog over it: rule and element, one a line."""
        if not AXE.exists():
            pytest.skip("no axe-core: run `npm ci` in plugins/ringrift_airflow/ui")
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        serious = self._serious()
        # A button that the page enabled meanwhile is half-way between two colours; what is really wrong is so twice.
        return serious and self._serious()

    def _serious(self) -> list[str]:
        self.page.evaluate(_SETTLED)  # a button that is fading in has too little contrast for a moment
        found = self.page.evaluate(
            "axe.run(document.querySelectorAll('#ringrift, [role=alertdialog], [role=dialog]'),"
            " {resultTypes: ['violations']})"
        )
        return [
            f"{rule['id']} ({rule['impact']}): {node['html'][:200]}"
            for rule in found["violations"]
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]

    def sideways_px(self) -> int:
        """How far the page can be pushed sideways: on a phone, not at all."""
        pushed: int = self.page.evaluate(
            "() => { const box = document.getElementById('ringrift'); return box.scrollWidth - box.clientWidth }"
        )
        return pushed


Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browsing(site: Server, browser: Browser) -> Callable[[Theme, tuple[int, int], str], BrowserContext]:
    """A logged-in person's browser; the same one again has Airflow's seven megabytes of page still at hand."""

    @functools.cache
    def context_of(theme: Theme, size: tuple[int, int], user: str) -> BrowserContext:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, reduced_motion="reduce"
        )
        context.add_cookies([{"name": "_token", "value": site.token(user), "url": site.url}])
        context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        return context

    return context_of


@pytest.fixture
def visit(site: Server, browsing: Callable[[Theme, tuple[int, int], str], BrowserContext]) -> Iterator[Open]:
    """Open `path` of Airflow's page: `visit("plugin/ringrift", theme="dark", size=PHONE, user="watcher")`."""
    visits: list[Visit] = []

    def open_page(
        path: str,
        *,
        theme: Theme = "light",
        size: tuple[int, int] = LAPTOP,
        user: str = "boss",
        ready: str = "#ringrift",
    ) -> Visit:
        with site.ledger.begin() as conn:
            prepared.keep_alive(conn, time.time())
        page = browsing(theme, size, user).new_page()
        visit = Visit(page)
        visits.append(visit)
        page.goto(f"{site.url}/{path}")
        page.wait_for_selector(ready)
        return visit

    yield open_page
    for each in visits:
        each.page.close()
    assert [complaint for each in visits for complaint in each.complaints] == []
