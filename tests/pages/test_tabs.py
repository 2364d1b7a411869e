"""Our tabs of a DAG and of a run in a browser, and the endpoint behind the training's."""

from __future__ import annotations

import pytest

from api_server import Server
from pages.conftest import Open
from pages.prepared import DAG_RUN, TRAINING


@pytest.fixture(scope="module")
def dag_run(site: Server) -> str:
    """The path of a run of the training's DAG; no scheduler starts it here."""
    body = {"dag_run_id": DAG_RUN, "logical_date": None, "conf": {"variant": "square8_2p"}}
    path = "/api/v2/dags/ringrift_training/dagRuns"
    answer = site.client.post(path, json=body, headers=site.headers("boss"))
    assert answer.status_code == 200, answer.text
    return f"dags/ringrift_training/runs/{DAG_RUN}"


def test_the_trainings_of_a_run_are_its_own(site: Server) -> None:
    (own,) = site.get(f"/ringrift/api/trainings?dag_run={DAG_RUN}").json()
    assert own in site.get("/ringrift/api/trainings").json()
    assert (own["id"], own["state"], own["step"], own["steps"]) == (TRAINING, "running", 1380, 2400)
    assert own["left_s"] == pytest.approx(1020 / 8)
    assert site.get("/ringrift/api/trainings?dag_run=another").json() == []


@pytest.mark.system
def test_a_run_of_the_training_shows_its_steps_and_losses(visit: Open, dag_run: str) -> None:
    seen = visit(f"{dag_run}/plugin/ringrift-dag_run", ready="#ringrift article")
    card = seen.page.locator("#ringrift article").inner_text()
    assert "Step 1 380 of 2 400" in card
    assert "2 min left" in card
    chart = seen.page.get_by_role("img", name="Total loss").get_attribute("aria-label")
    assert chart is not None
    assert chart.endswith("at step 1200")
    assert seen.page.locator("#ringrift canvas").count() == 1
    assert seen.axe() == []


@pytest.mark.system
def test_the_training_is_told_on_its_tasks_page_too(visit: Open, dag_run: str) -> None:
    seen = visit(f"{dag_run}/tasks/train/plugin/ringrift-task_instance", ready="#ringrift article")
    assert "Step 1 380 of 2 400" in seen.page.locator("#ringrift article").inner_text()


@pytest.mark.system
@pytest.mark.parametrize(
    ("dag_id", "shown"),
    [
        ("ringrift_training", "text=Step 1 380 of 2 400"),
        ("ringrift_selfplay", "text=cpu 74% within 60-80%"),
        ("ringrift_shadow_tournament", "text=champion 11"),
        ("ringrift_retention", "text=Learning: square8_2p"),
    ],
)
def test_each_dag_has_a_tab_with_what_it_is_about(visit: Open, dag_id: str, shown: str) -> None:
    page = visit(f"dags/{dag_id}", ready="text=RingRift").page
    page.get_by_role("main").get_by_role("link", name="RingRift").or_(
        page.locator(f'a[href$="/dags/{dag_id}/plugin/ringrift-dag"]')
    ).last.click()
    page.wait_for_selector(f"#ringrift >> {shown}")
