"""`true` on many hosts: wall clock, CPU and memory of the coordinator, ours beside the usual tools.

    python benchmarks/fanout.py --hosts 10 --json
    python -m venv tools && tools/bin/pip install -r benchmarks/requirements.txt
    python benchmarks/fanout.py --hosts 200 --rounds 3 --tools-python tools/bin/python --json

The other tools run under `--tools-python`, an environment of their own: their pins must not bend the loop's. Those
that are not installed there are named as skipped.

Starts one OpenSSH server per host on addresses of 127/8, and ends each by its pid. The servers share this machine's
cores with the client. Every way is a process of its own, told the hosts by a file; the ways take turns for `--rounds`
rounds, and every figure is the median over the rounds. A way's figures: `wall_s` and `work_cpu_s` of the fan-out
itself; `cpu_s` of its whole process by the kernel (`wait4`), imports and children included; `peak_mb` of the largest
of its processes. `connects` is the handshake limit of the same servers: connections only, by asyncssh,
measured like the other ways from reading key and known hosts to the end of the event loop.
`ringrift-loop kept` is a fan-out on connections that are open already: its CPU is that of one cycle. `ratios` are
medians of ratios within a round: our wall clock over the limit, and our CPU without kept connections over that with.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import ssh_servers

LIMIT_S = 300.0
PAUSE_S = 1.0  # for the servers to end the sessions of the way before
OURS, KEPT, LIMIT = "ringrift-loop", "ringrift-loop kept", "connects"

_COMMON = """
import json, os, resource, sys, time
hosts = json.load(open(sys.argv[1]))
def cpu():
    kinds = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(kind.ru_utime + kind.ru_stime for kind in kinds)
def begin():
    global began, used
    began, used = time.perf_counter(), cpu()
def done(ok, cycles=1):
    assert ok == len(hosts) * cycles, f"{ok} of {len(hosts) * cycles} hosts succeeded"
    wall_s, work_cpu_s = (time.perf_counter() - began) / cycles, (cpu() - used) / cycles
    # Not RUSAGE_SELF's: that keeps the size of the process that started this one.
    own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    peak_mb = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
    print(json.dumps({"wall_s": wall_s, "work_cpu_s": work_cpu_s, "peak_mb": peak_mb}))
"""
_OURS = (
    _COMMON
    + """
import asyncio
from ringrift_loop.cluster.ssh.fan_out import Fleet, fan_out
from ringrift_loop.hosts.inventory import Host
fleet_hosts = [Host(one["name"], "ssh", frozenset(), ssh_host=one["address"], ssh_port=one["port"],
    ssh_user=one["user"], ssh_key=one["key"], known_hosts=one["known_hosts"]) for one in hosts]
"""
)
WAYS: dict[str, tuple[str | None, str]] = {
    "ringrift-loop": (
        None,
        _OURS
        + """
begin()
done(len(fan_out(fleet_hosts, ["true"], at_once=64).succeeded))
""",
    ),
    "ringrift-loop kept": (
        None,
        _OURS
        + """
async def main():
    async with Fleet(fleet_hosts) as fleet:
        await fleet.run(["true"], at_once=64)
        begin()
        done(sum([len((await fleet.run(["true"], at_once=64)).succeeded) for _ in range(5)]), cycles=5)
asyncio.run(main())
""",
    ),
    "connects": (
        None,
        _COMMON
        + """
import asyncio, asyncssh
async def main():
    gate, known = asyncio.Semaphore(64), asyncssh.read_known_hosts(hosts[0]["known_hosts"])
    keys = [asyncssh.read_private_key(hosts[0]["key"])]
    async def one(host):
        async with gate:
            async with asyncssh.connect(host["address"], host["port"], username=host["user"], client_keys=keys,
                known_hosts=known, kex_algs=["curve25519-sha256"], config=None):
                pass
    await asyncio.gather(*map(one, hosts))
begin()
asyncio.run(main())
done(len(hosts))
""",
    ),
    "parallel-ssh": (
        "pssh",
        _COMMON
        + """
from pssh.clients import ParallelSSHClient
from pssh.config import HostConfig
client = ParallelSSHClient([one["address"] for one in hosts], port=hosts[0]["port"], user=hosts[0]["user"],
    pkey=hosts[0]["key"], pool_size=64)
begin()
output = client.run_command("true")
client.join(output)
done(sum(one.exit_code == 0 for one in output))
""",
    ),
    "fabric": (
        "fabric",
        _COMMON
        + """
from concurrent.futures import ThreadPoolExecutor
from fabric import Config, Connection
def one(host):
    with Connection(host["address"], user=host["user"], port=host["port"],
        connect_kwargs={"key_filename": host["key"]}, config=Config(overrides={"load_ssh_configs": False})) as c:
        return c.run("true", hide=True, in_stream=False).ok
begin()
with ThreadPoolExecutor(64) as pool:
    ok = sum(pool.map(one, hosts))
done(ok)
""",
    ),
    "pyinfra": (
        "pyinfra",
        _COMMON
        + """
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.operations import server
data = {"ssh_port": hosts[0]["port"], "ssh_user": hosts[0]["user"], "ssh_key": hosts[0]["key"],
    "ssh_known_hosts_file": hosts[0]["known_hosts"]}
state = State(Inventory(([(one["address"], {}) for one in hosts], data)), Config(PARALLEL=64))
begin()
connect_all(state)
add_op(state, server.shell, commands=["true"])
run_ops(state)
done(sum(state.results[host].error_ops == 0 for host in state.activated_hosts))
""",
    ),
    "ansible": (
        "ansible",
        _COMMON
        + """
import subprocess, tempfile
with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
    for one in hosts:
        file.write(f"{one['name']} ansible_host={one['address']} ansible_port={one['port']} ansible_user={one['user']}"
            f" ansible_ssh_private_key_file={one['key']}\\n")
    file.flush()
    begin()
    options = f"-o UserKnownHostsFile={hosts[0]['known_hosts']} -o KexAlgorithms=curve25519-sha256 -o ControlMaster=no"
    run = subprocess.run([sys.executable, "-m", "ansible", "adhoc", "all", "-i", file.name, "-m", "raw", "-a", "true",
        "-f", "64", f"--ssh-common-args={options}"], capture_output=True, text=True)
    print(run.stdout[-300:], run.stderr[-300:], file=sys.stderr)
    done(run.stdout.count("| CHANGED | rc=0"))
""",
    ),
}


def start_servers(folder: Path, number: int) -> tuple[list[ssh_servers.OpenSSHServer], Path]:
    """So many sshds, all listening; and the file that tells a way of them."""
    keys = ssh_servers.Keys(folder / "keys")
    block = 1 + os.getpid() % 250
    servers = [
        ssh_servers.OpenSSHServer(folder / f"h{index:04d}", keys, f"127.{block}.{index // 250}.{index % 250 + 1}")
        for index in range(number)
    ]
    known = folder / "known_hosts"
    known.write_text("".join(f"[{one.address}]:{one.port} {one.public_key}\n" for one in servers))
    told = [
        {
            "name": one.folder.name,
            "address": one.address,
            "port": one.port,
            "user": ssh_servers.user(),
            "key": str(keys.private),
            "known_hosts": str(known),
        }
        for one in servers
    ]
    (folder / "hosts.json").write_text(json.dumps(told))
    for server in servers:
        server.begin()
    return servers, folder / "hosts.json"


def measure(program: str, told: Path, python: str) -> dict[str, float]:
    """Run a way once, as a process of its own; returns its figures.

    Raises:
        RuntimeError: it failed; the message has its last words.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            ["timeout", str(LIMIT_S), python, "-c", program, str(told)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)  # of this way alone, its children included
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            last_words = errors.read().decode("utf-8", "replace").strip()[-500:]
            raise RuntimeError(f"ended with status {process.returncode}: {last_words}")
        figures: dict[str, float] = json.loads(output.read().splitlines()[-1])
    cpu = figures["work_cpu_s"] if program is WAYS[KEPT][1] else usage.ru_utime + usage.ru_stime
    return figures | {"cpu_s": cpu}


def missing_packages(python: str) -> set[str]:
    """The packages of the other tools that this interpreter does not have."""
    names = [package for package, _ in WAYS.values() if package is not None]
    program = "import importlib.util, sys; print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None))"
    return set(
        subprocess.run([python, "-c", program, *names], capture_output=True, text=True, check=True).stdout.split()
    )


def ratio(over: list[dict[str, float]], under: list[dict[str, float]], figure: str) -> float:
    """The median over the rounds of one way's figure as a multiple of another's."""
    return round(statistics.median(a[figure] / b[figure] for a, b in zip(over, under, strict=True)), 2)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Fan `true` out to many OpenSSH hosts on this machine.")
    parser.add_argument("--hosts", type=int, default=10, help="number of hosts, 1 to 1000 (default 10)")
    parser.add_argument("--rounds", type=int, default=1, help="turns of every way; figures are medians (default 1)")
    parser.add_argument("--ways", help=f"only these, separated by commas: {', '.join(WAYS)}")
    parser.add_argument("--tools-python", default=sys.executable, help="interpreter that has the other tools")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    wanted = list(WAYS) if args.ways is None else args.ways.split(",")
    if not 1 <= args.hosts <= 1000 or args.rounds < 1:
        parser.error("--hosts is 1 to 1000, --rounds from 1")
    if unknown := set(wanted) - set(WAYS):
        parser.error(f"--ways knows {', '.join(WAYS)}, got {', '.join(sorted(unknown))}")
    if not ssh_servers.SSHD.exists():
        print("skipped: the Debian package openssh-server is missing")
        return
    missing = missing_packages(args.tools_python)
    skipped = {
        name: f"the package {package} is not installed for {args.tools_python} (benchmarks/requirements.txt)"
        for name, (package, _) in WAYS.items()
        if name in wanted and package in missing
    }
    folder = Path(tempfile.mkdtemp(prefix="ringrift-fanout-"))
    servers: list[ssh_servers.OpenSSHServer] = []
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in wanted if name not in skipped}
    try:
        servers, told = start_servers(folder, args.hosts)
        for server in servers:
            server.wait()
        order = list(rounds)
        for turn in range(args.rounds):
            # Each round begins with another way: what the one before left to do is nobody's handicap every time.
            first = turn % len(order)
            for name in [name for name in order[first:] + order[:first] if name not in skipped]:
                time.sleep(PAUSE_S)
                package, program = WAYS[name]
                try:
                    rounds[name].append(
                        measure(program, told, sys.executable if package is None else args.tools_python)
                    )
                except RuntimeError as error:
                    skipped[name] = f"failed: {error}"
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    whole = {name: figures for name, figures in rounds.items() if name not in skipped}
    ways = {
        name: {key: round(statistics.median(one[key] for one in figures), 3) for key in figures[0]}
        for name, figures in whole.items()
    }
    ratios = {}
    if OURS in whole and LIMIT in whole:
        ratios["wall_over_limit"] = ratio(whole[OURS], whole[LIMIT], "wall_s")
    if OURS in whole and KEPT in whole:
        ratios["cpu_new_over_kept"] = ratio(whole[OURS], whole[KEPT], "work_cpu_s")
    print(f"{args.hosts} hosts, median of {args.rounds}")
    for name, figures in ways.items():
        print(
            f"{name:20} wall {figures['wall_s']:7.3f} s  CPU {figures['cpu_s']:7.3f} s, "
            f"{figures['work_cpu_s']:7.3f} s without the start  {figures['peak_mb']:7.1f} MB"
        )
    for name, times in ratios.items():
        print(f"{name:20} {times:.2f}")
    for name, reason in skipped.items():
        print(f"{name:20} skipped: {reason}")
    if args.json:
        print(
            json.dumps({"hosts": args.hosts, "rounds": args.rounds, "ways": ways, "ratios": ratios, "skipped": skipped})
        )


if __name__ == "__main__":
    main()
