"""One arm of curves.py: the loop of whichever checkout runs this file, from nothing, until its core-seconds are used.

    RINGRIFT_HOME=... RINGRIFT_HOSTS=... RINGRIFT_CONFIG=... python curves_arm.py --folder F --variant V --seed 1 \\
        --core-seconds 600 --pace 120

curves.py starts it with a checkout's own Python and the environment. It needs of the checkout only the command line,
in the order of the training DAG: selfplay, sync, train, regression-gate, champion-gate, promote; and of the ledger what
it takes to see which of them is missing. So any commit that has these can be an arm.

Each command is a fork of this process, which has imported what they import and loaded the kernels: a command's CPU time
is its work, in every checkout, and neither imports nor starts are in it. What a command used, with all that it started,
is what the kernel says when it has ended (wait4). A command that fails or is ended counts too; only one that is killed
together with this process does not.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HOST = "here"
STATE = "arm.json"
_PRELOADED = (
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "ringrift_loop.selfplay.worker",
    "ringrift_loop.training.train",
    "ringrift_loop.promotion.regression",
    "ringrift_loop.promotion.champion",
    "ringrift_loop.promotion.promote",
    "ringrift_loop.ledger.migrate",
)
_TRY_AGAIN = 75
_PATIENCE_S = 900.0  # the lease of a command that was killed runs out before
_NAP_S = 5.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Arm:
    """A run directory and what it has cost so far."""

    def __init__(self, folder: Path, variant: str, seed: int, pace: float) -> None:
        """As the command line says; `pace` is self-play between two trainings, core-seconds."""
        self.folder, self.variant, self.seed, self.pace = folder, variant, seed, pace
        self.state: dict[str, Any] = {"core_seconds": {}, "steps": 0, "points": [], "done": 0.0}
        if (folder / STATE).exists():
            self.state |= json.loads((folder / STATE).read_bytes())
        self._child = 0
        self._is_ended = False

    @property
    def total(self) -> float:
        """Core-seconds of all stages."""
        return sum(self.state["core_seconds"].values())

    def drive(self, core_seconds: float) -> None:
        """Do what is missing until the budget is used; a candidate whose training is paid for is judged."""
        self._call("ledger", "ledger", "migrate")
        while True:
            seen = self._look()
            self._note(seen)
            if self.total >= core_seconds and seen["candidate"] is None:
                break
            self._step(seen)
        self.state["done"] = round(self.total, 1)
        self._keep()

    def end(self, *_: object) -> None:
        """As a signal handler: end the command under way, then this process."""
        self._is_ended = True
        if self._child:
            os.kill(self._child, signal.SIGTERM)
        else:
            raise SystemExit(128 + signal.SIGTERM)

    def _step(self, seen: dict[str, Any]) -> None:
        self.state["steps"] += 1
        self._keep()
        variant, candidate = ("--variant", self.variant), seen["candidate"]
        if candidate is not None:
            model = ("--model", candidate, *variant)
            passed = not seen["regression_test"] or not self._call(
                "gates", "regression-gate", *model, "--candidate", may_say_no=True
            )
            if passed:
                self._call("gates", "champion-gate", *model, may_say_no=True)
            self._call("gates", "promote", *model, may_say_no=True)
            if self._look()["candidate"] == candidate:
                raise SystemExit(f"nobody has decided about {candidate}; see {self._log}")
        elif seen["training"] or (seen["pending"] >= seen["threshold"] and self._selfplay_owed <= 0):
            self._call("training", "train", *variant)
            self.state["selfplay_until_training"] = self.state["core_seconds"]["selfplay"]
        else:
            self._call("sync", "sync")  # the champion to the workers' folder
            root = str(self.folder / "run" / "hosts" / HOST)
            missing = str(max(0, seen["threshold"] - seen["pending"]) or seen["threshold"])
            name = f"curves/{self.seed}/{self.variant}/{self.state['steps']}"
            play = ("--root", root, *variant, "--games", missing, "--host", HOST, "--run-id", name)
            self._call("selfplay", "selfplay", *play)
            self._call("sync", "sync")

    @property
    def _selfplay_owed(self) -> float:
        """Core-seconds of self-play until the next training; none is owed to the first."""
        then = self.state.get("selfplay_until_training")
        return 0.0 if then is None else then + self.pace - self.state["core_seconds"]["selfplay"]

    def _call(self, stage: str, *words: str, may_say_no: bool = False) -> int:
        """Run a command to its end and book what it used; returns its status."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            status, used = self._forked(lambda: command(words))
            if stage != "ledger":
                costs = self.state["core_seconds"]
                costs[stage] = round(costs.get(stage, 0.0) + used, 3)
            self._keep()
            shown = " ".join(words[:1])
            print(f"{self.total:8.1f}  {shown} used {used:.1f} core-seconds, status {status}", flush=True)
            if self._is_ended:
                raise SystemExit(128 + signal.SIGTERM)
            if status == 0 or (status == 1 and may_say_no):
                return status
            if status != _TRY_AGAIN or time.monotonic() > give_up:
                raise SystemExit(f"{' '.join(words)} ended with {status}; see {self._log}")
            time.sleep(_NAP_S)

    def _look(self) -> dict[str, Any]:
        """What the ledger says; asked in a fork, so that this process never holds it open."""
        path = self.folder / "look.json"
        path.unlink(missing_ok=True)
        status, _ = self._forked(lambda: path.write_text(json.dumps(look(self.variant))) and 0)
        if self._is_ended:
            raise SystemExit(128 + signal.SIGTERM)
        if status != 0:
            raise SystemExit(f"the ledger could not be read; see {self._log}")
        seen: dict[str, Any] = json.loads(path.read_bytes())
        return seen

    def _note(self, seen: dict[str, Any]) -> None:
        """A new champion is a point of the curve."""
        points = self.state["points"]
        if seen["champion"] is not None and (not points or points[-1]["digest"] != seen["champion"]):
            points.append(
                {
                    "core_seconds": round(self.total, 1),
                    "digest": seen["champion"],
                    "generation": seen["generation"],
                    "games": seen["games"],
                }
            )
            self._keep()

    def _forked(self, work: Any) -> tuple[int, float]:
        """Exit status and CPU seconds of work done in a child, which does not outlive this process."""
        sys.stdout.flush()
        self._child = os.fork()
        if self._child == 0:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os._exit(_status_of(work))
        child = self._child
        _, status, usage = os.wait4(child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime

    @property
    def _log(self) -> Path:
        return self.folder / "commands.log"

    def _keep(self) -> None:
        temporary = self.folder / f".{STATE}"
        temporary.write_text(json.dumps(self.state, indent=1) + "\n")
        temporary.replace(self.folder / STATE)


def _status_of(work: Any) -> int:
    """The exit status of a child's work; it does not return to what the parent was doing."""
    try:
        status = work()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - the edge of a process
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status or 0)


def command(words: tuple[str, ...]) -> int:
    """One command of the checkout."""
    from ringrift_loop.cli import main

    print(f"$ ringrift-loop {' '.join(words)}", flush=True)
    return main(list(words))


def look(variant: str) -> dict[str, Any]:
    """What the ledger has of a variant, and what the next step depends on."""
    from ringrift_loop.ledger import games, models, promotions, training
    from ringrift_loop.loop import Loop

    loop = Loop.open()
    with loop.ledger.read() as conn:
        latest, champion = models.latest(conn, variant), promotions.champion(conn, variant)
        decided = latest is None or bool(promotions.of_model(conn, latest.digest))
        return {
            "candidate": None if latest is None or decided else latest.digest,
            "champion": None if champion is None else champion.model_digest,
            "generation": 0 if champion is None else champion.generation,
            "training": training.active(conn, variant) is not None,
            "pending": games.pending(conn, variant),
            "games": games.count(conn, variant),
            "threshold": loop.config.training.trigger_threshold_games,
            "regression_test": loop.config.promotion.regression_test,
        }


def warm_up() -> float:
    """Import and load what commands need; returns the CPU seconds that nobody's budget pays."""
    for name in _PRELOADED:
        importlib.import_module(name)
    if command(("engine", "compile")) != 0:
        raise SystemExit("the kernels could not be compiled")
    return time.process_time()


def main() -> None:
    """Drive the arm, alone in its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--core-seconds", type=float, required=True)
    parser.add_argument("--pace", type=float, required=True, help="self-play between two trainings, core-seconds")
    options = parser.parse_args()
    with (options.folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another process drives {options.folder}: let it end, or name another folder") from None
        drive(options)


def drive(options: argparse.Namespace) -> None:
    """Drive the arm from where its folder stands."""
    arm = Arm(options.folder, options.variant, options.seed, options.pace)
    signal.signal(signal.SIGTERM, arm.end)
    arm.state["warm_up"] = round(warm_up(), 1)
    arm.drive(options.core_seconds)


if __name__ == "__main__":
    main()
