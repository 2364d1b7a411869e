"""The page Overview in a browser."""

from __future__ import annotations

import pytest

from pages.conftest import LAPTOP, PHONE, Open, Theme

pytestmark = pytest.mark.system


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_the_sentence_says_how_the_loop_is(visit: Open, theme: Theme, size: tuple[int, int]) -> None:
    seen = visit("plugin/ringrift", theme=theme, size=size, ready="#ringrift h1")
    sentence = seen.page.locator("#ringrift h1").inner_text()
    assert sentence == "Learning: square8_2p +118 ± 33 Elo in the last hour; hex8_2p waits for its gate."
    assert seen.page.evaluate("document.documentElement.classList.contains('dark')") == (theme == "dark")
    assert seen.sideways_px() == 0
    assert seen.axe() == []


def test_what_a_host_says_is_text(visit: Open) -> None:
    seen = visit("plugin/ringrift", ready="#ringrift h1")
    assert seen.page.locator("#ringrift li", has_text="<script>alert(1)</script>").count() == 1
    assert seen.page.locator("#ringrift script, #ringrift img").count() == 0


def test_a_viewer_sees_it_too(visit: Open) -> None:
    assert visit("plugin/ringrift", user="watcher", ready="#ringrift h1").page.locator("#ringrift article").count() == 2
