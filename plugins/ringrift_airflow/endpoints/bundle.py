"""The pages' own files, as a browser loads them: the bundle that `npm run build` made, and two icons.

They are the project's source and tell nothing of the loop, so they are served without a login, as Airflow serves its
own. A browser asks each time whether its copy is still the one here; after an update nobody sees an old page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parents[1] / "ui" / "bundle"


class Bundle(StaticFiles):
    """The files of `FOLDER`."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, check_dir=False)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """As Starlette's, to be asked for anew each time."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response
