"""Writes the OpenAPI of the endpoints, the source of the pages' types, to a file: `npm run generate` calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def contract() -> str:
    """The document as JSON; the same for every version of the package."""
    from ringrift_airflow.endpoints.app import make_app

    document = make_app().openapi()
    document["info"]["version"] = ""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(contract(), encoding="utf-8")
