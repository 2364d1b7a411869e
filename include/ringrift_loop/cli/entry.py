"""The table of commands, the parser around them, and what an error looks like to the person who typed."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

from ringrift_loop import __version__
from ringrift_loop.errors import ConfigError, LoopError, Remedy, as_loop_error
from ringrift_loop.machine.failure import FAILURE_VARIABLE, write_failure
from ringrift_loop.text import clean_lines, without_secrets

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_INTERRUPTED = 130
_MAX_MESSAGE = 4000


@dataclass(frozen=True)
class Command:
    """Where a command lives, and its line in the overview."""

    module: str
    """Below `ringrift_loop.cli`; its `register(sub)` adds this command, and others that it owns."""
    help: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "up": Command("up", "start the whole loop on this machine, until Ctrl-C"),
        "status": Command("status", "the loop at a glance: totals, champions, ratings, pending games, workers"),
        "watch": Command("watch", "the page Overview in a terminal, renewed every two seconds"),
        "export-state": Command("export_state", "the guide's unified_loop_state.json, made from the ledger"),
        "doctor": Command("doctor", "what is wrong here and on the hosts, each with its remedy"),
        "config": Command("config", "show or check the configuration"),
        "selfplay": Command("learning.selfplay", "play games until stopped: what a worker runs"),
        "train": Command("learning.train", "train a candidate for a variant"),
        "train-bundle": Command("learning.train_bundle", "train from a prepared bundle, on any machine and its GPUs"),
        "regression-gate": Command("learning.gate", "the six tests that every candidate must pass"),
        "champion-gate": Command("learning.gate", "play a candidate against the champion until decided"),
        "match-bundle": Command("learning.match_bundle", "play the matches of a bundle: what a tournament host runs"),
        "experiment": Command("learning.experiment", "two arms of the loop with the same budget: which is stronger?"),
        "shadow": Command("learning.shadow", "one shadow tournament of a variant"),
        "full-tournament": Command("learning.full_tournament", "champions against ancestors and baselines"),
        "ratings": Command("learning.ratings", "refit and show the ratings of a variant"),
        "promote": Command("learning.promote", "make a model the champion"),
        "rollback": Command("learning.promote", "return to an earlier champion"),
        "lineage": Command("learning.lineage", "what made a model, or what a game helped to make"),
        "models": Command("learning.models", "list, export and import models; begin with the shipped champions"),
        "distribute": Command("cluster.distribute", "send a model to the hosts"),
        "sync": Command("cluster.sync", "fetch new games from the hosts once"),
        "deploy": Command("cluster.deploy", "install this version on the hosts"),
        "workers": Command("cluster.workers", "start and stop workers to match the plan"),
        "resources": Command("cluster.resources", "how busy the machines are, and the decisions on their workers"),
        "hosts": Command("cluster.hosts", "the hosts at a glance: contact, failures, workers, generations"),
        "jobs": Command("cluster.jobs", "list and cancel the jobs that run detached on hosts"),
        "host": Command("cluster.host", "what the coordinator runs on a host by SSH"),
        "curriculum": Command("learning.curriculum", "compute the variants' shares of self-play"),
        "ledger": Command("ledger", "migrate and verify the ledger"),
        "retention": Command("retention", "say what can be deleted, and delete it"),
        "engine": Command("engine", "compile the rules engine, check it against recorded games"),
        "ugi": Command("learning.ugi", "the Universal Game Interface on stdin and stdout"),
        "monitoring": Command("monitoring", "alert rules for Prometheus, dashboards for Grafana"),
        "statsd-bridge": Command("metrics", "StatsD packets in, a page for Prometheus out"),
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit status."""
    os.umask(0o077)  # for everything that this process and its children make
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(_typed_command(arguments))
    args = parser.parse_args(arguments)
    debug = bool(args.debug)
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    func = cast("Callable[[argparse.Namespace], int]", args.func)
    return run(args.command, lambda: func(args), debug=debug)


def run(command: str, work: Callable[[], int], *, debug: bool = False) -> int:
    """Do a command's work and return its exit status; an error becomes a sentence, a failure file and a status.

    Args:
        command: its name, for the sentence.
        work: returns the status when it does not raise.
        debug: print the traceback of every error.
    """
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; without this Python complains again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the outermost edge
        own = as_loop_error(error)
        is_bug = own is None and not isinstance(error, OSError)
        if debug or is_bug:
            traceback.print_exc()
        said = "this is a bug in ringrift-loop, please report it" if is_bug else _printable(own or error)
        print(f"ringrift-loop {command}: {said}", file=sys.stderr)
        _leave_failure(error)
        return _status_of(own)
    return status


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser with the options of one command, and the other commands by name only.

    Args:
        command: a key of `COMMANDS`, or None for the overview.
    """
    parser = argparse.ArgumentParser(
        prog="ringrift-loop",
        description="The RingRift improvement loop: self-play, training, gates, promotion. See docs/1-loop.md.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 75 try again.",
    )
    parser.add_argument("--version", action="version", version=f"ringrift-loop {__version__}")
    parser.add_argument("--debug", action="store_true", help="log more, and print the traceback of an error")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = COMMANDS[command].module if command is not None else None
    for name, entry in COMMANDS.items():
        if entry.module != wanted:
            sub.add_parser(name, help=entry.help)
        elif name not in sub.choices:
            importlib.import_module(f"ringrift_loop.cli.{entry.module}").register(sub)
            for own in _parsers_below(sub, {key for key, other in COMMANDS.items() if other.module == wanted}):
                _accept_debug(own)
    return parser


def subparsers_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parsers of a parser's subcommands by name; empty when it has none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return cast("Mapping[str, argparse.ArgumentParser]", action.choices)
    return {}


def _typed_command(arguments: Sequence[str]) -> str | None:
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    return word if word in COMMANDS else None


def _parsers_below(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], names: set[str]
) -> Iterator[argparse.ArgumentParser]:
    """The commands' parsers and those of their own subcommands."""
    waiting = [parser for name, parser in sub.choices.items() if name in names]
    while waiting:
        parser = waiting.pop()
        yield parser
        waiting += subparsers_of(parser).values()


def _accept_debug(parser: argparse.ArgumentParser) -> None:
    """`--debug` after the command as well as before it; the default of the outer one stays."""
    if "--debug" not in parser._option_string_actions:
        parser.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="log more, and print the traceback of an error",
        )


def _printable(error: object) -> str:
    """A message for a terminal, whatever a host has put into it, without passwords."""
    return without_secrets(clean_lines(str(error)[:_MAX_MESSAGE], _MAX_MESSAGE))


def _leave_failure(error: Exception) -> None:
    """Write the failure down where the environment asks for it."""
    path = os.environ.get(FAILURE_VARIABLE)
    if path:
        try:
            write_failure(Path(path), error)
        except OSError as problem:  # the exit status and stderr still say it
            print(f"ringrift-loop: {FAILURE_VARIABLE}={path} cannot be written: {problem}", file=sys.stderr)


def _status_of(error: LoopError | None) -> int:
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    return EXIT_FAILED if error is None or error.remedy is Remedy.FAIL else EXIT_TRY_AGAIN
