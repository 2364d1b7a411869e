"""The app that the plugin mounts: every route behind the login, errors as one sentence, its contract as OpenAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from ringrift_airflow.endpoints import control, experiments, games, hosts, models, overview, play, tables, trainings
from ringrift_airflow.endpoints.access import MAY_READ, say_why
from ringrift_airflow.endpoints.bundle import Bundle
from ringrift_loop import __version__
from ringrift_loop.errors import LoopError

PAGES = (
    overview.router,
    models.router,
    hosts.router,
    games.router,
    play.router,
    control.router,
    trainings.router,
    experiments.router,
)


def make_app() -> FastAPI:
    """The app that the plugin mounts; `/openapi.json` is its contract."""
    app = FastAPI(
        title="RingRift improvement loop",
        version=__version__,
        description="Log in as for Airflow's own API: `Authorization: Bearer TOKEN` from `/auth/token`.",
        dependencies=[MAY_READ],
        servers=[{"url": "."}],
        openapi_url=None,  # Airflow's default would serve it without a login
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(tables.router)
    for page in PAGES:
        app.include_router(page, prefix="/api")
    app.mount("/ui", Bundle(), name="bundle")
    app.add_exception_handler(LoopError, say_why)
    app.add_exception_handler(SQLAlchemyError, say_why)

    def contract() -> dict[str, Any]:
        return app.openapi()

    app.add_api_route("/openapi.json", contract, include_in_schema=False)
    return app
