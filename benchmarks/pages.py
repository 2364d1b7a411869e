"""How long the pages take in a browser with a large ledger, and what they ask of the server.

    python benchmarks/pages.py [--games 1000000] [--matches 100000] [--models 500] [--times 3] [--watch 30] [--json]

Makes the ledger of `endpoints.py` in a temporary folder and starts Airflow's API server over it as `make run` does,
with nothing else of the loop. Then headless Chromium opens each page: with an empty cache, with Airflow's own page in
its cache, and by a press on its tab. Each figure is a median; times count from the navigation, or from the press.

Exit status 1 when a first paint takes more than 1 s, a press more than 500 ms, when a page asks our endpoints more than
once a second or gets an answer of more than 64 KiB, or when the browser complains.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, Page, sync_playwright

from endpoints import ROOT, keep_alive, make_ledger
from ringrift_loop.cli.progress import counted
from ringrift_loop.errors import HostUnreachable
from ringrift_loop.launcher.airflow_api import AirflowApi
from ringrift_loop.launcher.components import component_specs
from ringrift_loop.launcher.environment import Addresses, component_environment
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.machine.processes import end_group, spawn
from ringrift_loop.project import Project

FIRST_PAINT_MS, PRESS_MS, PER_SECOND, SMALL_BYTES = 1000.0, 500.0, 1.0, 64 << 10
START_S, SHOWN_S = 180.0, 60.0
BASE = "plugin/ringrift"
PAGES = {
    "Overview": ("", "#ringrift article"),
    "Games": ("games", "#ringrift tbody a[href*='/games/']"),
    "Play": ("play", "#ringrift:has(select) section button:not(:disabled)"),
    "Models": ("models", "#ringrift svg[aria-label^='How generation']"),
    "Hosts": ("hosts", "#ringrift [aria-label='Hosts'] tbody tr"),
    "Experiments": ("experiments", "#ringrift [aria-label^='Arms of']"),
    "Control": ("control", "#ringrift [aria-label='Shares of the variants']"),
}
"""Each page's path, and what is there, and nowhere else, as soon as its data are."""
SHOWN = "wanted => document.querySelector(wanted) !== null && performance.now()"
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PRESSED = """([label, wanted, most]) => new Promise((resolve, reject) => {
  const tabs = [...document.querySelectorAll('[aria-label="Pages of the loop"] a')];
  const began = performance.now();
  tabs.find((each) => each.textContent === label).click();
  const look = () => {
    const passed = performance.now() - began;
    if (document.querySelector(wanted)) resolve(passed);
    else if (passed > most) reject(new Error(`${label} shows no data`));
    else requestAnimationFrame(look);
  };
  look();
})"""


@dataclass
class Traffic:
    """What went over the wire since it was cleared."""

    urls: dict[str, str] = field(default_factory=dict)
    """Of requests, by their id in the browser."""
    sizes: dict[str, int] = field(default_factory=dict)

    def listen(self, session: CDPSession) -> None:
        """Count what this page asks for."""
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._came)

    def _asked(self, told: dict[str, Any]) -> None:
        self.urls[told["requestId"]] = told["request"]["url"]

    def _came(self, told: dict[str, Any]) -> None:
        self.sizes[told["requestId"]] = int(told["encodedDataLength"])

    def clear(self) -> None:
        """Count anew."""
        self.urls.clear()
        self.sizes.clear()

    def ours(self) -> list[int]:
        """The size of each answer of our endpoints, bytes; 0 while it is under way."""
        return [self.sizes.get(each, 0) for each, url in self.urls.items() if "/ringrift/api/" in url]

    def bytes(self) -> int:
        """Of all answers."""
        return sum(self.sizes.values())


@dataclass(frozen=True)
class Figures:
    """One page. Medians, ms and bytes."""

    page: str
    first_paint_cold: float
    shown_cold: float
    bytes_cold: int
    first_paint: float
    shown: float
    bytes: int
    pressed: float
    requests: int
    """Of everything, within the time that the page is watched."""
    own_requests: int
    """Of these, the ones to our endpoints."""
    own_bytes: int
    largest: int
    """Of the answers of our endpoints."""
    complaints: list[str]

    def late(self, watch_s: float) -> list[str]:
        """What is above its limit."""
        paints = (self.first_paint_cold, self.first_paint)
        found = [f"first paint {each:.0f} ms" for each in paints if each > FIRST_PAINT_MS]
        found += [f"press {self.pressed:.0f} ms"] if self.pressed > PRESS_MS else []
        found += [f"{self.own_requests} requests"] if self.own_requests > PER_SECOND * watch_s else []
        found += [f"an answer of {self.largest >> 10} KiB"] if self.largest > SMALL_BYTES else []
        return found + self.complaints


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """Airflow's API server over the run directory `home`, as the launcher starts it; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = RunDirectory(home)
    directory.airflow.mkdir(parents=True, exist_ok=True)
    addresses = Addresses(port, metrics_port=9, statsd_host="127.0.0.1", statsd_port=9, has_bridge=False)
    project = Project.find(ROOT)
    environment = component_environment(
        base=os.environ, project=project, directory=directory, addresses=addresses, launch_id="benchmark"
    )
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, cwd=project.root)
    spec = next(each for each in component_specs(addresses) if each.name == "api-server")
    with (home / "api-server.log").open("wb") as log:
        server = spawn(spec.command, env=environment, stdout=log, cwd=str(project.root))
    try:
        api, give_up_at = AirflowApi(addresses.url), time.monotonic() + START_S
        while True:
            try:
                api.health()
                break
            except HostUnreachable:
                if server.poll() is not None or time.monotonic() > give_up_at:
                    raise SystemExit((home / "api-server.log").read_text(errors="replace")[-4000:]) from None
                time.sleep(0.5)
        yield addresses.url
    finally:
        end_group(server.pid, grace_s=10.0)


class Person:
    """A browser that is logged in, and what it sees."""

    def __init__(self, context: BrowserContext, url: str, ledger: Ledger) -> None:
        """Open a page and get what Airflow gives to whoever comes without a login."""
        self._url, self._ledger = url, ledger
        self.complaints: list[str] = []
        self.traffic = Traffic()
        self._page: Page = context.new_page()
        self._page.set_default_timeout(1000 * SHOWN_S)
        self._page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self._page.on("console", lambda told: self.complaints.append(told.text) if told.type == "error" else None)
        self._session = context.new_cdp_session(self._page)
        self.traffic.listen(self._session)
        self.open("Overview")

    def open(self, name: str, *, cold: bool = False) -> tuple[float, float]:
        """Load a page; returns when something was painted and when its data were there, ms from the navigation."""
        with self._ledger.begin() as conn:
            keep_alive(conn, time.time())
        path, wanted = PAGES[name]
        self._page.goto("about:blank")
        if cold:
            self._session.send("Network.clearBrowserCache")
        self.traffic.clear()
        self._page.goto(f"{self._url}/{BASE}/{path}", wait_until="commit")
        shown = self._page.wait_for_function(SHOWN, arg=wanted, polling="raf").json_value()
        painted = self._page.wait_for_function(PAINTED, polling="raf").json_value()
        return float(painted), float(shown)

    def settle(self) -> None:
        """Wait until nothing is under way."""
        self._page.wait_for_load_state("networkidle")

    def press(self, name: str) -> float:
        """Go to a page by its tab from another one; returns when its data were there, ms from the press."""
        self.open("Overview" if name != "Overview" else "Control")
        self.settle()
        pressed: float = self._page.evaluate(PRESSED, [name, PAGES[name][1], 1000 * SHOWN_S])
        return pressed

    def watch(self, seconds: float) -> None:
        """Look at the page for a while."""
        self._page.wait_for_timeout(1000 * seconds)


def measure(person: Person, name: str, times: int, watch_s: float) -> Figures:
    """All figures of one page."""
    cold, warm, cold_bytes, warm_bytes, pressed = [], [], [], [], []
    for _ in range(times):
        cold.append(person.open(name, cold=True))
        person.settle()
        cold_bytes.append(person.traffic.bytes())
        warm.append(person.open(name))
        person.settle()
        warm_bytes.append(person.traffic.bytes())
        pressed.append(person.press(name))
    began = time.monotonic()
    person.open(name)
    person.watch(watch_s - (time.monotonic() - began))
    own, complaints = person.traffic.ours(), list(dict.fromkeys(person.complaints))
    person.complaints.clear()
    return Figures(
        page=name,
        first_paint_cold=statistics.median(each for each, _ in cold),
        shown_cold=statistics.median(each for _, each in cold),
        bytes_cold=round(statistics.median(cold_bytes)),
        first_paint=statistics.median(each for each, _ in warm),
        shown=statistics.median(each for _, each in warm),
        bytes=round(statistics.median(warm_bytes)),
        pressed=statistics.median(pressed),
        requests=len(person.traffic.urls),
        own_requests=len(own),
        own_bytes=sum(own),
        largest=max(own, default=0),
        complaints=complaints,
    )


def main() -> int:
    """Make the ledger, look at each page, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1_000_000)
    parser.add_argument("--matches", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--times", type=int, default=3, help="visits of each kind (default 3)")
    parser.add_argument("--watch", type=float, default=30.0, help="how long each page is watched, s (default 30)")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.chromium is None:
        raise SystemExit("no Chromium is on the path: install it, or name one with --chromium")
    for name in [each for each in os.environ if each.startswith("RINGRIFT_")]:
        del os.environ[name]  # of another loop
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run" / "ledger.db"
        file.parent.mkdir()
        made_s = make_ledger(file, args.games, args.matches, args.models)
        size = file.stat().st_size
        with serving(file.parent) as url, sync_playwright() as playwright:
            # Its own sandbox wants a user namespace, which root in a container has not; the pages are our own.
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            person = Person(context, url, Ledger.open(f"sqlite:///{file}"))
            found = [measure(person, name, args.times, args.watch) for name in counted(list(PAGES), "Pages")]
            browser.close()
    late = {each.page: each.late(args.watch) for each in found if each.late(args.watch)}
    if args.json:
        rows: list[dict[str, Any]] = [asdict(each) for each in found]
        print(json.dumps({"pages": rows, "watched_s": args.watch, "late": late, "ledger_bytes": size}))
    else:
        rows_made = f"{args.games} games, {args.matches} matches, {args.models} models"
        print(f"{rows_made}: {size >> 20} MiB, made in {made_s:.0f} s")
        print(table(found, args.watch))
        for name, reasons in late.items():
            print(f"LATE  {name}: {'; '.join(reasons)}")
    return 1 if late else 0


def table(found: list[Figures], watch_s: float) -> str:
    """A line a page."""
    heads = ("page", "paint", "shown", "KiB", "paint", "shown", "KiB", "press", "asked", "ours", "KiB", "largest")
    lines = [
        f"{'':12}{'empty cache, ms':>24}{'full cache, ms':>24}{'ms':>8}{f'in {watch_s:.0f} s':>32}",
        f"{heads[0]:12}" + "".join(f"{head:>8}" for head in heads[1:]),
    ]
    for each in found:
        figures = (
            each.first_paint_cold,
            each.shown_cold,
            each.bytes_cold / 1024,
            each.first_paint,
            each.shown,
            each.bytes / 1024,
            each.pressed,
            each.requests,
            each.own_requests,
            each.own_bytes / 1024,
            each.largest / 1024,
        )
        lines.append(f"{each.page:12}" + "".join(f"{figure:8.0f}" for figure in figures))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
