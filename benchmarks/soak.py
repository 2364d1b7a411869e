"""The cluster under kill -9: real hosts, workers, sync and supervision; is a game lost in the end?

    python benchmarks/soak.py --hosts 8 --minutes 30 --kills 100 --seed 1 --json

Every host is an OpenSSH server on an address of 127/8 with a root folder and one worker slot. `ringrift-loop workers
reconcile` and `ringrift-loop sync` run as processes in the loop's rhythm, new champions are promoted and distributed.
Killed at random: workers, sync and reconcile in mid-cycle, SSH sessions, whole SSH servers for a while. Then the kills
stop, the workers are drained, what waits is fetched, and `soak_witness.py` compares what was written with the ledger.

The last line is one JSON object; exit status 1 when a game was lost or doubled, a process or a lease is left, or the
audit complains. Ctrl-C ends everything, as does the end. It needs some 3 minutes longer than it is told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import ssh_servers
from soak_witness import Witness

VARIANT = "square8_2p"
CONFIG = f"""
variants: [{VARIANT}]
statsd_port: 9
data_ingestion:
  poll_interval_seconds: 10
  min_games_per_sync: 1
  retry_max_backoff_seconds: 20
selfplay:
  simulations_full: 2
  simulations_fast: 1
  bootstrap_simulations: 2
  games_in_parallel: 4
  segment_seconds: 5
"""
TICK_S = 0.5
RECONCILE_S = 60.0
SYNC_S = (10.0, 30.0)
CHAMPION_S = 90.0
DOWN_S = (5.0, 20.0)  # a host without its server
MODELS = 6
VICTIMS = {"worker": 8, "sync": 5, "session": 4, "sshd": 2, "reconcile": 2}
_FIRST_KILL_S = 20.0
_PATIENCE_S = 10.0  # for a victim of the kind that was drawn
_CALL_LIMIT_S = 180.0
_COMPILE_LIMIT_S = 600.0
_END_LIMIT_S = 600.0


@dataclass
class Child:
    """A process of the loop that runs now."""

    process: subprocess.Popen[str]
    started: float = field(default_factory=time.monotonic)

    @property
    def age_s(self) -> float:
        """Since its start."""
        return time.monotonic() - self.started


class Soak:
    """The hosts, the loop's processes and the one who kills them."""

    def __init__(self, folder: Path, hosts: int, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()  # "sync 0", "sync -9", ...
        self.children: dict[str, Child] = {}
        self.down: dict[str, float] = {}  # host -> when its server comes back
        keys = ssh_servers.Keys(folder / "keys")
        self.servers: dict[str, ssh_servers.OpenSSHServer] = {}
        for number in range(hosts):
            address = f"127.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}.{1 + number}"
            self.servers[f"h{number}"] = ssh_servers.OpenSSHServer(folder / "sshd" / f"h{number}", keys, address)
        self.roots = {name: folder / "hosts" / name for name in self.servers}
        self.home = folder / "run"
        lines = [
            f"  {name}: {{ssh_host: {server.address}, ssh_port: {server.port}, ssh_user: {ssh_servers.user()}, "
            f"ssh_key: {keys.private}, host_key: '{server.fingerprint}', root: {self.roots[name]}, max_workers: 1}}\n"
            for name, server in self.servers.items()
        ]
        (folder / "hosts.yaml").write_text("standard_hosts:\n" + "".join(lines))
        (folder / "loop.yaml").write_text(CONFIG)
        os.environ |= {
            "RINGRIFT_HOME": str(self.home),
            "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
            "RINGRIFT_CONFIG": str(folder / "loop.yaml"),
        }
        os.environ.pop("RINGRIFT_LEDGER_URL", None)
        self.witness = Witness(self.roots, folder / "witness")

    def prepare(self) -> deque[str]:
        """Servers, an empty ledger, some models that may become champions; returns their digests."""
        for server in self.servers.values():
            server.begin()
        for server in self.servers.values():
            server.wait()
        for step in (("ledger", "migrate"), ("engine", "compile")):
            done = self.call(*step, limit_s=_COMPILE_LIMIT_S)
            if done.returncode != 0:
                raise RuntimeError(f"ringrift-loop {' '.join(step)} failed: {done.stderr}")
        return _make_models()

    def run(self, seconds: float, kills: int, models: deque[str]) -> float:
        """The loop in its rhythm, with kills; returns the seconds it took."""
        began = time.monotonic()
        times = sorted(self.random.uniform(_FIRST_KILL_S, seconds) for _ in range(kills))
        due = {"reconcile": 0.0, "sync": 5.0, "champion": CHAMPION_S / 2}
        waiting: list[tuple[str, float, float]] = []  # kind of victim, how old it must be, given up when
        while (at := time.monotonic() - began) < seconds or ((times or waiting) and at < 1.5 * seconds):
            self._reap()
            self._raise_hosts()
            self.witness.look()
            if at >= due["reconcile"] and self._start("reconcile", "workers", "reconcile"):
                due["reconcile"] = at + RECONCILE_S
            if at >= due["sync"] and self._start("sync", "sync"):
                due["sync"] = at + self.random.uniform(*SYNC_S)
            if at >= due["champion"] and models:
                _promote(models.popleft())
                due["champion"] = at + CHAMPION_S
            while times and times[0] <= at:
                times.pop(0)
                (kind,) = self.random.choices(list(VICTIMS), list(VICTIMS.values()))
                waiting.append((kind, self.random.uniform(0.0, 4.0), at + _PATIENCE_S))
            waiting = [one for one in waiting if not self._kill(one[0], one[1], at)]
            # Choosing again keeps the number, and keeps victims from piling up so that every single sync is killed.
            late = [one for one in waiting if at >= one[2]]
            waiting = [one for one in waiting if at < one[2]]
            times = [at] * len(late) + times
            time.sleep(TICK_S)
        return time.monotonic() - began

    def finish(self) -> None:
        """No more kills: hosts up, every journal taken over by a worker, workers drained, everything fetched."""
        give_up = time.monotonic() + _END_LIMIT_S
        for name in list(self.down):
            self._raise(name)
        while self.children:
            self._reap()
            self._watch()
        self._until(lambda: self._report("workers", "reconcile").get("playing") == len(self.servers), give_up)
        self._until(self._all_beating, give_up)
        self.call("workers", "halt")
        self._until(lambda: bool(self._report("workers", "reconcile")) and not self._workers(), give_up)
        self._until(self._nothing_new, give_up)

    def call(self, *arguments: str, limit_s: float = _CALL_LIMIT_S) -> subprocess.CompletedProcess[str]:
        """Run a command of the loop to its end."""
        command = [sys.executable, "-m", "ringrift_loop.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)

    def close(self) -> None:
        """End what was started, by pid."""
        for child in self.children.values():
            child.process.kill()
            child.process.wait()
        self.witness.look()
        for server in self.servers.values():
            server.kill()
        for process in [*self.witness.processes(), *self._workers()]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def orphans(self) -> list[str]:
        """Processes of this run that are left: seen at some time, or naming its folder; its servers are none."""
        own = {server.pid for server in self.servers.values()} | {os.getpid()}
        left = {process.pid: process for process in self.witness.processes()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(str(self.folder) in word for word in process.cmdline()):
                    left[process.pid] = process
        described = []
        for pid, process in left.items():
            with contextlib.suppress(psutil.Error):
                if pid not in own:
                    described.append(f"{pid} {' '.join(process.cmdline())[:200]}")
        return described

    def _start(self, kind: str, *arguments: str) -> bool:
        if kind in self.children:
            return False
        command = [sys.executable, "-m", "ringrift_loop.cli", *arguments]
        with (self.folder / f"{kind}.log").open("a") as log:
            self.children[kind] = Child(subprocess.Popen(command, stdout=log, stderr=log, text=True))
        return True

    def _reap(self) -> None:
        for kind, child in list(self.children.items()):
            status = child.process.poll()
            if status is not None:
                self.ends[f"{kind} {status}"] += 1
                del self.children[kind]

    def _kill(self, kind: str, age_s: float, at: float) -> bool:
        """Kill one of this kind if there is one now."""
        if kind in self.children:
            child = self.children[kind]
            victim = psutil.Process(child.process.pid) if child.age_s >= age_s else None
        elif kind == "sshd":
            return self._kill_server(at)
        else:
            found = {"worker": self._workers, "session": self._sessions}.get(kind, list)()
            victim = self.random.choice(found) if found else None
        if victim is None:
            return False
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return False
        self._killed(kind, str(victim.pid), at)
        if kind == "worker":
            self.witness.look()  # at its journal, before another worker takes that over
        return True

    def _kill_server(self, at: float) -> bool:
        up = [name for name in self.servers if name not in self.down]
        if len(up) <= len(self.servers) // 2:
            return False
        name = self.random.choice(up)
        self.servers[name].kill()
        self.down[name] = time.monotonic() + self.random.uniform(*DOWN_S)
        self._killed("sshd", name, at)
        return True

    def _killed(self, kind: str, whom: str, at: float) -> None:
        self.kills[kind] += 1
        print(f"{at:7.1f} s  kill {self.kills.total()}: {kind} {whom}", file=sys.stderr, flush=True)

    def _raise_hosts(self) -> None:
        for name, until in list(self.down.items()):
            if time.monotonic() >= until:
                self._raise(name)

    def _raise(self, name: str) -> None:
        self.servers[name].start()
        del self.down[name]

    def _sessions(self) -> list[psutil.Process]:
        """Each connection has two processes; either may die."""
        found = []
        for server in self.servers.values():
            for session in server.sessions():
                with contextlib.suppress(psutil.Error):
                    found += [session, *(one for one in session.children() if one.name() == "sshd")]
        return found

    def _workers(self) -> list[psutil.Process]:
        found = []
        for root in self.roots.values():
            with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
                process = psutil.Process(json.loads((root / "workers" / "0.pid.json").read_bytes())["pid"])
                if str(root) in process.cmdline():
                    found.append(process)
        return found

    def _all_beating(self) -> bool:
        """Whether each worker has begun to play, and so has sealed what the one before it left in the journal."""
        pids = {process.pid for process in self._workers()}
        for root in self.roots.values():
            beat = json.loads((root / "workers" / "0.json").read_bytes())
            if beat["pid"] not in pids or beat["state"] != "playing":
                return False
        return True

    def _nothing_new(self) -> bool:
        report = self._report("sync")
        return report.get("games_new") == 0 and not report["hosts_failed"] and not report["hosts_resting"]

    def _report(self, *arguments: str) -> dict[str, object]:
        """What a command prints; empty when it could not run now."""
        done = self.call(*arguments)
        try:
            report: dict[str, object] = json.loads(done.stdout)
        except ValueError:
            return {}
        return report

    def _watch(self) -> None:
        self.witness.look()
        time.sleep(TICK_S)

    def _until(self, holds: Callable[[], bool], give_up: float) -> None:
        while not holds():
            if time.monotonic() > give_up:
                raise TimeoutError("the loop did not come to rest")
            self.call("sync")  # whose exit status is looked at by `_nothing_new`
            for _ in range(6):
                self._watch()


def _make_models() -> deque[str]:
    import torch

    from ringrift_loop.loop import Loop
    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    torch.manual_seed(1)
    directory = Loop.open().directory
    made: deque[str] = deque()
    for _ in range(MODELS):
        net = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8))
        made.append(
            save_model(
                net,
                directory.model,
                variant=VARIANT,
                created_at=time.time(),
            ).digest
        )
    return made


def _promote(digest: str) -> None:
    """A new champion; the next sync brings it to the hosts."""
    from ringrift_loop.ledger import models, promotions
    from ringrift_loop.loop import Loop

    loop = Loop.open()
    with loop.ledger.begin() as conn:
        models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=time.time())
        promotions.promote(conn, VARIANT, digest, reason="soak", elo_gain=None, games=0, at=time.time())


def _interrupted(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def main() -> int:
    """Run, judge, end everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=100, help="at least so many (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="of what is killed when")
    parser.add_argument("--keep", action="store_true", help="leave the folder with ledger, logs and hosts")
    parser.add_argument("--json", action="store_true", help="the last line is JSON in any case")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    folder = Path(tempfile.mkdtemp(prefix="ringrift-soak-"))
    soak = Soak(folder, options.hosts, options.seed)
    try:
        models = soak.prepare()
        took = soak.run(options.minutes * 60, options.kills, models)
        soak.finish()
        audit = soak.call("ledger", "verify", "--hosts", "--files")
        verdict = soak.witness.judge(soak.home / "ledger.db", soak.home / "incoming", time.time())
        orphans = soak.orphans()
    finally:
        soak.close()
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    wrong = {
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "orphans": orphans,
        "leases_left": verdict.leases,
        "temporaries": verdict.temporaries,
        "unlogged": verdict.unlogged,
        "audit": [] if audit.returncode == 0 else (audit.stdout + audit.stderr).splitlines(),
    }
    for kind, things in wrong.items():
        for thing in things[:20]:
            print(f"{kind}: {thing}", file=sys.stderr)
    report = {
        "minutes": round(took / 60, 1),
        "hosts": options.hosts,
        "seed": options.seed,
        "kills": dict(soak.kills),
        "ends": dict(soak.ends),
        "champions": MODELS - len(models),
        "emitted": verdict.emitted,
        "games": verdict.games,
        "twins": verdict.twins,
        "segments": verdict.segments,
        **{kind: len(things) for kind, things in wrong.items()},
        "max_seconds_to_ingest": round(verdict.slowest_s, 1),
    }
    print(json.dumps(report))
    return 1 if any(wrong.values()) or soak.kills.total() < options.kills else 0


if __name__ == "__main__":
    sys.exit(main())
