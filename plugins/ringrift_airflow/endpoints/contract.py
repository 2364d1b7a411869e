"""Writes the OpenAPI of the endpoints, the source of the pages' types, to a file: `npm run generate` calls it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def contract() -> str:
    """The document as JSON; the same for every version of the package."""
    from ringrift_airflow.endpoints.app import make_app

    document = make_app().openapi()
    document["info"]["version"] = ""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Write the OpenAPI of the endpoints."""
    parser = argparse.ArgumentParser(prog="python -m ringrift_airflow.endpoints.contract", description=main.__doc__)
    parser.add_argument("document", type=Path, help="the file to write")
    parser.parse_args(arguments).document.write_text(contract(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
