"""`python -m ringrift_loop.cli`, for places where the console script is not on the path."""

from __future__ import annotations

import sys

from ringrift_loop.cli.entry import main

sys.exit(main())
