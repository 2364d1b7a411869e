"""The page Experiments in a browser."""

from __future__ import annotations

import pytest

from pages.conftest import LAPTOP, PHONE, Open, Theme

pytestmark = pytest.mark.system
PATH = "plugin/ringrift/experiments"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_verdict_curves_and_cost_are_there(visit: Open, theme: Theme, size: tuple[int, int]) -> None:
    seen = visit(PATH, theme=theme, size=size, ready="#ringrift canvas")
    text = seen.page.locator("#ringrift section", has_text="Are searches better over 4 moves").first.inner_text()
    assert "4 moves is stronger than 16 moves by 139 Elo" in text
    assert "+139 Elo (+101 to +178)" in text
    assert "0.72 core-hours" in text
    chart = seen.page.get_by_role("img", name="4 moves: from").first.get_attribute("aria-label")
    assert chart is not None
    assert "core-hours" in chart
    assert seen.sideways_px() == 0
    assert seen.axe() == []


def test_a_torn_record_is_named(visit: Open) -> None:
    page = visit(PATH, ready="#ringrift canvas").page
    assert "torn" in page.locator("#ringrift section", has_text="cannot be read").inner_text()
