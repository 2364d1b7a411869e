"""`true` on many hosts: wall clock, CPU and memory of the coordinator, ours beside the usual tools.

    python benchmarks/fanout.py --hosts 10 --json

Starts one OpenSSH server per host on addresses of 127/8, and ends each by its pid. Every way is a process of its own,
told the hosts by a file; its figures are those of the kernel (`wait4`), children included. Tools that are not
installed are named as skipped. `connects` is the handshake limit of the same servers: connections only, by asyncssh.
`ringrift-loop kept` is a second fan-out on open connections. The servers share this machine's cores with the client.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import ssh_servers

AT_ONCE = 64
LIMIT_S = 300.0

_COMMON = """
import json, os, sys, time
hosts = json.load(open(sys.argv[1]))
def done(seconds, ok):
    assert ok == len(hosts), f"{ok} of {len(hosts)} hosts succeeded"
    print(json.dumps({"work_s": seconds}))
"""
_OURS = (
    _COMMON
    + """
import asyncio
from ringrift_loop.cluster.fan_out import Fleet
from ringrift_loop.cluster.inventory import Host
fleet_hosts = [Host(one["name"], "ssh", frozenset(), ssh_host=one["address"], ssh_port=one["port"],
    ssh_user=one["user"], ssh_key=one["key"], known_hosts=one["known_hosts"]) for one in hosts]
"""
)
WAYS: dict[str, tuple[str | None, str]] = {
    "ringrift-loop": (
        None,
        _OURS
        + """
async def main():
    async with Fleet(fleet_hosts) as fleet:
        began = time.perf_counter()
        report = await fleet.run(["true"], at_once=64)
        done(time.perf_counter() - began, len(report.succeeded))
asyncio.run(main())
""",
    ),
    "ringrift-loop kept": (
        None,
        _OURS
        + """
async def main():
    async with Fleet(fleet_hosts) as fleet:
        await fleet.run(["true"], at_once=64)
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(5):
            report = await fleet.run(["true"], at_once=64)
        print(json.dumps({"work_s": (time.perf_counter() - began) / 5, "cpu_s": (time.process_time() - cpu) / 5}))
        assert report.outcome == "all"
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
    began = time.perf_counter()
    await asyncio.gather(*map(one, hosts))
    done(time.perf_counter() - began, len(hosts))
asyncio.run(main())
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
began = time.perf_counter()
output = client.run_command("true")
client.join(output)
done(time.perf_counter() - began, sum(one.exit_code == 0 for one in output))
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
began = time.perf_counter()
with ThreadPoolExecutor(64) as pool:
    ok = sum(pool.map(one, hosts))
done(time.perf_counter() - began, ok)
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
began = time.perf_counter()
connect_all(state)
add_op(state, server.shell, commands=["true"])
run_ops(state)
done(time.perf_counter() - began, sum(state.results[host].error_ops == 0 for host in state.activated_hosts))
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
    began = time.perf_counter()
    options = f"-o UserKnownHostsFile={hosts[0]['known_hosts']} -o KexAlgorithms=curve25519-sha256 -o ControlMaster=no"
    run = subprocess.run([sys.executable, "-m", "ansible", "adhoc", "all", "-i", file.name, "-m", "raw", "-a", "true",
        "-f", "64", "--ssh-common-args", options], capture_output=True, text=True)
    done(time.perf_counter() - began, run.stdout.count("| CHANGED | rc=0"))
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


def measure(program: str, told: Path) -> dict[str, float]:
    """Run a way as a process of its own.

    Returns:
        `wall_s` of the work without imports, `cpu_s` and `peak_mb` of the process (imports and children included).
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(told)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        raise RuntimeError(errors[-2000:])
    figures = json.loads(output.strip().splitlines()[-1])
    figures["process_s"] = time.perf_counter() - began
    return figures


def with_usage(program: str, told: Path) -> dict[str, float]:
    """`measure` in a child of its own, so that CPU and peak memory are this way's alone."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        status = 1
        try:
            with os.fdopen(writer, "w") as pipe:
                try:
                    json.dump(measure(program, told), pipe)
                    status = 0
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    json.dump({"error": str(error)}, pipe)
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = json.load(pipe)
    _, _, usage = os.wait4(pid, 0)
    if "error" in answer:
        raise RuntimeError(str(answer["error"]))
    return {
        "wall_s": round(answer["work_s"], 3),
        "cpu_s": round(answer.get("cpu_s", usage.ru_utime + usage.ru_stime), 3),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Fan `true` out to many OpenSSH hosts on this machine.")
    parser.add_argument("--hosts", type=int, default=10, help="number of hosts, 1 to 1000 (default 10)")
    parser.add_argument("--ways", help="only these, separated by commas")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    if not 1 <= args.hosts <= 1000:
        parser.error("--hosts is 1 to 1000")
    if not ssh_servers.SSHD.exists():
        print("skipped: the Debian package openssh-server is missing")
        return
    folder = Path(tempfile.mkdtemp(prefix="ringrift-fanout-"))
    servers: list[ssh_servers.OpenSSHServer] = []
    ways: dict[str, dict[str, float]] = {}
    skipped: dict[str, str] = {}
    try:
        servers, told = start_servers(folder, args.hosts)
        for server in servers:
            server.wait()
        for name, (package, program) in WAYS.items():
            if args.ways and name not in args.ways.split(","):
                continue
            if package is not None and importlib.util.find_spec(package) is None:
                skipped[name] = f"the package {package} is not installed"
                continue
            try:
                ways[name] = with_usage(program, told)
            except RuntimeError as error:
                skipped[name] = f"failed: {str(error).strip()[-500:]}"
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    for name, figures in ways.items():
        print(f"{name:20} wall {figures['wall_s']:7.3f} s  CPU {figures['cpu_s']:7.3f} s  {figures['peak_mb']:7.1f} MB")
    for name, reason in skipped.items():
        print(f"{name:20} {reason}")
    if args.json:
        print(json.dumps({"hosts": args.hosts, "at_once": AT_ONCE, "ways": ways, "skipped": skipped}))


if __name__ == "__main__":
    main()
