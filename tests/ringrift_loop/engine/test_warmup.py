from __future__ import annotations

import fcntl
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from ringrift_loop.engine import jit, kernels
from ringrift_loop.engine.jit import cache_folder, kernel_decorator
from ringrift_loop.engine.warmup import compile_kernels, compile_once
from ringrift_loop.search import trees


def test_after_the_warm_up_nothing_is_compiled_and_nothing_is_said() -> None:
    compile_kernels(io.StringIO())
    out = io.StringIO()
    compiled = [sum(kernel.stats.cache_misses.values()) for kernel in (kernels.legal_moves, kernels.apply_move)]
    assert compile_kernels(out) is False
    assert out.getvalue() == ""
    assert [sum(kernel.stats.cache_misses.values()) for kernel in (kernels.legal_moves, kernels.apply_move)] == compiled


def test_each_public_kernel_has_a_single_signature_after_use_on_different_boards() -> None:
    compile_kernels(io.StringIO())
    for kernel in (kernels.legal_moves, kernels.apply_move, kernels.play_forced, kernels.random_playout):
        assert len(kernel.signatures) == 1, kernel.py_func.__name__


def test_compiling_is_announced_once(tmp_path: Path) -> None:
    calls: list[int] = []
    outs = [io.StringIO(), io.StringIO()]
    compiled = [compile_once(tmp_path, "test", lambda: calls.append(1), out) for out in outs]
    assert compiled == [True, False]
    assert outs[0].getvalue().startswith("Compiling the test kernels for this machine, once")
    assert outs[0].getvalue().count("\n") == 1
    assert outs[1].getvalue() == ""
    assert len(calls) == 2


def test_a_failed_compilation_is_not_taken_for_done(tmp_path: Path) -> None:
    def fail() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        compile_once(tmp_path, "test", fail, io.StringIO())
    assert compile_once(tmp_path, "test", lambda: None, io.StringIO()) is True


def test_of_two_that_start_together_one_compiles_and_the_other_waits_for_it(tmp_path: Path) -> None:
    inside, release = threading.Event(), threading.Event()
    outs = [io.StringIO(), io.StringIO()]

    def slow() -> None:
        inside.set()
        assert release.wait(30)

    first = threading.Thread(target=compile_once, args=(tmp_path, "test", slow, outs[0]))
    first.start()
    assert inside.wait(30)
    with (tmp_path / "test.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second = threading.Thread(target=compile_once, args=(tmp_path, "test", lambda: None, outs[1]))
    second.start()
    release.set()
    first.join(30)
    second.join(30)
    assert ("done in" in outs[0].getvalue(), outs[1].getvalue()) == (True, "")


def test_the_cache_folder_changes_with_any_kernel_source(tmp_path: Path) -> None:
    source = tmp_path / "extra.py"
    source.write_text("from ringrift_loop.engine.jit import kernel_decorator\nLIMIT = 1\n")
    before = cache_folder(tmp_path)
    cache_folder.cache_clear()
    source.write_text("from ringrift_loop.engine.jit import kernel_decorator\nLIMIT = 2\n")
    after = cache_folder(tmp_path)
    cache_folder.cache_clear()
    assert before != after
    assert cache_folder() not in (before, after)


def test_the_cache_folder_changes_with_a_module_whose_constants_a_kernel_source_imports(tmp_path: Path) -> None:
    imports = "from ringrift_loop.engine.jit import kernel\nfrom ringrift_loop.extra import (\n    tables as tb,\n)\n"
    (tmp_path / "extra.py").write_text(imports)
    (tmp_path / "tables.py").write_text("import ringrift_loop.extra.units\n")
    (tmp_path / "units.py").write_text("LIMIT = 1\n")
    before = cache_folder(tmp_path)
    cache_folder.cache_clear()
    (tmp_path / "units.py").write_text("LIMIT = 2\n")
    after = cache_folder(tmp_path)
    cache_folder.cache_clear()
    assert before != after


def test_the_machine_code_of_the_search_belongs_to_the_constants_and_arrays_of_its_trees() -> None:
    sources = {source: source.read_bytes() for source in Path(trees.__file__).parent.glob("*.py")}
    assert Path(trees.__file__) in jit._compiled_in(sources)


def test_a_source_without_kernels_leaves_the_cache_folder_alone(tmp_path: Path) -> None:
    before = cache_folder(tmp_path)
    cache_folder.cache_clear()
    (tmp_path / "prose.py").write_text("LIMIT = 1\n")
    assert cache_folder(tmp_path) == before
    cache_folder.cache_clear()


def _sum_of_zeros(count: int) -> float:
    return float(np.zeros(count).sum())


def _tail(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return numbers[1:]


def test_a_kernel_that_makes_arrays_must_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ringrift_loop.engine.jit.cache_folder", lambda *folders: tmp_path)
    with pytest.raises(NumbaError, match="Only accept returning of array passed into the function"):
        kernel_decorator()(_sum_of_zeros)(3)
    assert kernel_decorator(allocates=True)(_sum_of_zeros)(3) == 0.0


def test_a_kernel_that_returns_an_array_must_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ringrift_loop.engine.jit.cache_folder", lambda *folders: tmp_path)
    with pytest.raises(TypeError, match="_tail returns an array: decorate it with allocates=True"):
        kernel_decorator()(_tail)
    assert kernel_decorator(allocates=True)(_tail)(np.arange(3)).tolist() == [1, 2]
