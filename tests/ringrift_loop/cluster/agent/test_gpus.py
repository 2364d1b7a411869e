"""The GPUs of a machine, from a stand-in for nvidia-smi."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ringrift_loop.cluster.agent.gpus import Gpu, gpus_of_host
from ringrift_loop.errors import DataError


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put an `nvidia-smi` on the path that is this line of shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(line: str) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return put


def test_gpus_are_read_from_the_driver(smi: Callable[[str], None]) -> None:
    smi("printf '0, NVIDIA A10, rev 2, 23028, 22510\\n1, NVIDIA GB10, [N/A], [N/A]\\n'")
    shares_memory = Gpu(1, None, None, "NVIDIA GB10")
    assert gpus_of_host() == (Gpu(0, 23028, 22510, "NVIDIA A10, rev 2"), shares_memory)
    assert shares_memory.known_free_mib == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo surprise", "reports index, name, total and free MiB, got 'surprise'"),
        ("echo '[N/A], A10, 1, 1'", "reports index, name, total and free"),
        ("echo '0, A10, 10, 20'", "reports index, name, total and free"),
        ("printf 'No \\033devices\\n'; exit 6", r"exit status 6: No \?devices"),
    ],
)
def test_a_driver_that_is_broken_is_no_host_without_gpus(smi: Callable[[str], None], line: str, said: str) -> None:
    smi(line)
    with pytest.raises(DataError, match=said):
        gpus_of_host()


def test_a_machine_without_the_program_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_of_host() == ()
