"""`ringrift-loop`: one subcommand a stage; what a person types and what hosts and tasks run.

Results go to stdout as JSON, talk to stderr. Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 75 try
again. `entry.py` holds the table of commands; only the module of the command that was typed is imported, so that
`status` does not wait for torch or numba.
"""

from __future__ import annotations

from ringrift_loop.cli.entry import COMMANDS, EXIT_FAILED, EXIT_TRY_AGAIN, EXIT_USAGE, build_parser, main

__all__ = ["COMMANDS", "EXIT_FAILED", "EXIT_TRY_AGAIN", "EXIT_USAGE", "build_parser", "main"]
