"""Airflow's page answers under the names of this machine, and to no site that had its own name point here."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from ringrift_airflow.page_hosts import known_hosts_only

PAGE = PlainTextResponse("the page")


async def status_for(host: str) -> int:
    transport = httpx.ASGITransport(known_hosts_only(PAGE))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        return (await client.get("/", headers={"Host": host})).status_code


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://loop.example:8080")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://api-server:8080/execution/")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("loop.example", 200),
        ("api-server:8080", 200),
        ("evil.example:8080", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
    ],
)
@pytest.mark.parametrize("all_admins", ["True", "False"])
def test_only_known_names_are_answered_while_there_is_no_login(
    monkeypatch: pytest.MonkeyPatch, host: str, status: int, all_admins: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", all_admins)
    assert asyncio.run(status_for(host)) == (status if all_admins == "True" else 200)


def test_airflows_api_server_has_the_guard_around_everything() -> None:
    from airflow.plugins_manager import get_fastapi_plugins

    assert {"name": "known hosts only", "middleware": known_hosts_only} in get_fastapi_plugins()[1]
