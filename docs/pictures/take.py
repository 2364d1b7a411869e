"""Takes the pictures of the pages in README and docs from a loop that runs without a login.

    make run                                        # in one terminal, for an hour or so
    python docs/pictures/take.py [--url http://127.0.0.1:8080] [--folder docs/pictures]

Needs Chromium and the packages of the extra `dev`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
PAGES = ("", "models", "hosts", "games", "play", "control", "experiments")


def newest_game(page: Page) -> None:
    """Open the first game of the list, in the middle of its course."""
    page.locator("table a").first.click()
    page.get_by_role("slider").first.wait_for()
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")


def take(url: str, folder: Path, chromium: str) -> None:
    """One picture a page in the light theme, and of the first and a game in the dark one and on a phone."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for theme, size, names in (
            ("light", SIZE, PAGES),
            ("dark", SIZE, ("", "games")),
            ("phone", PHONE, ("", "games")),
        ):
            context = browser.new_context(viewport=size, color_scheme="dark" if theme == "dark" else "light")
            page = context.new_page()
            for name in names:
                page.goto(f"{url}/plugin/ringrift/{name}")
                page.get_by_role("tab", name="Overview").or_(page.get_by_role("link", name="Overview")).first.wait_for()
                page.wait_for_load_state("networkidle")
                if name == "games":
                    newest_game(page)
                page.wait_for_timeout(1500)
                target = folder / f"page_{name or 'overview'}{'' if theme == 'light' else '_' + theme}.jpg"
                page.screenshot(path=target, type="jpeg", quality=82)
            context.close()
        browser.close()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="of Airflow's page")
    parser.add_argument("--folder", type=Path, default=Path("docs/pictures"), help="where the pictures go")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    args = parser.parse_args()
    if args.chromium is None:
        raise SystemExit("no Chromium is on the path: install it, or name one with --chromium")
    take(args.url, args.folder, args.chromium)


if __name__ == "__main__":
    main()
