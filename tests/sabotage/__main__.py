"""`make sabotage`: put each fault of edits.toml into a copy of the tree, and see that the tests named there fail.

    make sabotage                  all of them, two at a time
    make sabotage ARGS=selfplay    those whose name contains a text

The tests must pass without the fault first, so that a test which always fails notices nothing. Copies lie in
`.sabotage/` and stay: kernels are compiled for the folder they lie in, which takes minutes the first time.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from ringrift_loop.machine.locks import locked
from sabotage.edits import PROJECT, Edit, load_edits

COPIES = PROJECT / ".sabotage"
AT_ONCE = 2
HEALTHY_LIMIT_S = 1200.0
"""For tests without a fault: the first ones in a copy may have to compile all kernels."""

PASSED, FAILED, NONE_RAN = 0, 1, 5
"""Exit statuses of pytest; every one beside the first two means that the tests did not run."""

_PAGES = Path("plugins", "ringrift_airflow", "ui", "node_modules")  # not in git, and no test of the pages runs without


@dataclass
class Copy:
    """A copy of the tree with an environment of its own: its Python imports the copy's packages and nobody else's."""

    folder: Path
    _healthy: set[tuple[str, bool]] = field(default_factory=set)

    def prepare(self) -> None:
        """Bring the copy in step with the tree; files that did not change keep their times, and so their kernels."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = _git_files()
        (self.folder / _PAGES).unlink(missing_ok=True)
        for path in [path for path in self.folder.rglob("*") if path.is_file()]:
            inside = path.relative_to(self.folder)
            if inside.parts[0] != ".venv" and "__pycache__" not in inside.parts and str(inside) not in files:
                path.unlink()
        for name in files:
            self.restore(name)
        if (PROJECT / _PAGES).is_dir():
            (self.folder / _PAGES).symlink_to(PROJECT / _PAGES)
        self._make_environment()

    def restore(self, name: str) -> None:
        """Make one file what it is in the tree, with its time: numba compiles again what is newer."""
        source, target = PROJECT / name, self.folder / name
        if target.exists() and source.stat().st_mtime_ns == target.stat().st_mtime_ns:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)

    def run(self, edit: Edit) -> str | None:
        """Put the fault in and run its tests; None if they noticed, else what is wrong."""
        if not self._is_healthy(edit):
            return "the tests do not pass without the fault, or are skipped here"
        path = self.folder / edit.file
        try:
            path.write_text(edit.applied_to(path.read_text(encoding="utf-8")), encoding="utf-8")
            status = self._pytest(edit, edit.limit_s)
        finally:
            os.utime(path, ns=(0, 0))
            self.restore(edit.file)
        if status is None:
            return f"the tests hang: no answer in {edit.limit_s:.0f} s"
        if status == PASSED:
            return "IT LIVES: the tests pass with the fault"
        return None if status == FAILED else f"the tests did not run: pytest ended with {status}"

    def _is_healthy(self, edit: Edit) -> bool:
        keys = {(test, edit.interpreted) for test in edit.tests}
        if keys <= self._healthy or self._pytest(edit, HEALTHY_LIMIT_S) == PASSED:
            self._healthy |= keys
            return True
        return False

    def _pytest(self, edit: Edit, limit_s: float) -> int | None:
        """pytest's exit status, NONE_RAN if it skipped all tests; None after the limit."""
        # Without pytest's own limit: a test that ran out of time while kernels were compiled has noticed nothing.
        command = [str(self.folder / ".venv" / "bin" / "python"), "-m", "pytest", "-q", "-x", "--timeout=0"]
        environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
        if edit.interpreted:
            environment["NUMBA_DISABLE_JIT"] = "1"
        with (
            TemporaryDirectory(prefix="sabotage-", ignore_cleanup_errors=True) as temporary,
            (COPIES / f"{edit.name}.txt").open("w") as output,
        ):
            environment["TMPDIR"] = temporary  # what other runs of pytest left elsewhere is not tidied up here
            process = subprocess.Popen(
                [*command, *edit.tests],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status = process.wait(limit_s)
                summary = Path(output.name).read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
                return status if status != PASSED or " passed" in summary else NONE_RAN
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _make_environment(self) -> None:
        """A virtual environment over this one's packages, with the copy's own before them."""
        ours = Path(sys.prefix)
        theirs = self.folder / ".venv"
        bin_folder, packages = theirs / "bin", theirs / Path(sysconfig.get_path("purelib")).relative_to(ours)
        if not (bin_folder / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(theirs)], check=True)
        paths = [self.folder / "include", self.folder / "plugins", sysconfig.get_path("purelib")]
        (packages / "copy.pth").write_text("".join(f"{path}\n" for path in paths))
        for script in (ours / "bin").iterdir():
            text = b"" if script.is_symlink() else script.read_bytes()
            if text.startswith(b"#!" + bytes(ours)):
                (bin_folder / script.name).write_bytes(text.replace(bytes(ours), bytes(theirs), 1))
                (bin_folder / script.name).chmod(0o755)
        code = "import ringrift_loop, ringrift_airflow; print(ringrift_loop.__file__, ringrift_airflow.__file__)"
        found = subprocess.run([bin_folder / "python", "-c", code], capture_output=True, text=True, check=True).stdout
        assert found.count(f"{self.folder}/") == 2, f"the copy imports {found}"


def _git_files() -> set[str]:
    """What git tracks, or would track, of the tree as it is now."""
    command = ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in listed if name and (PROJECT / name).is_file()}


def main(arguments: Sequence[str]) -> int:
    """Run the edits whose name contains one of the arguments; 1 when one lives, or could not be tried."""
    edits = [edit for edit in load_edits() if not arguments or any(word in edit.name for word in arguments)]
    if not edits:
        print(f"no edit has {' or '.join(arguments)} in its name; the list is tests/sabotage/edits.toml")
        return 1
    with locked(COPIES / "lock", wait_s=0):
        noticed = _run_all(edits)
    print(f"{noticed} of {len(edits)} noticed")
    return 0 if noticed == len(edits) else 1


def _run_all(edits: Sequence[Edit]) -> int:
    """Run the edits, a line for each as it ends; returns how many were noticed."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for number in range(min(AT_ONCE, len(edits))):
        copy = Copy(COPIES / str(number))
        copy.prepare()
        free.put(copy)

    def run(edit: Edit) -> bool:
        copy, began = free.get(), time.monotonic()
        try:
            problem = copy.run(edit)
        except ValueError as error:  # it no longer applies
            problem = str(error)
        finally:
            free.put(copy)
        verdict = "noticed" if problem is None else f"{problem} (.sabotage/{edit.name}.txt)"
        print(f"{edit.name:40} {time.monotonic() - began:6.1f} s  {verdict}", flush=True)
        return problem is None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(run, edits))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
