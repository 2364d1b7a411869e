"""How kernels are compiled: one decorator, and a cache that cannot go stale.

numba's on-disk cache looks only at the file that holds a function: after a change in one kernel module, the callers in
other modules would go on running the old machine code that was compiled into them. So kernels are cached in a folder
that is named after a digest of every kernel source they may call, and of the modules whose constants these compile in;
a change in any of them is a new folder. warmup.py fills it once.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])

# numba fills this module when it is imported; its typing names neither the settings nor `_nrt`.
_numba_config: Any = config
_njit: Any = numba.njit

_ENGINE = Path(__file__).parent
_MARK = b"engine.jit import"
_IMPORT = re.compile(rb"^\s*(?:from|import)\s[^(\n]*(?:\([^)]*\))?", re.MULTILINE)


def kernel_decorator(*folders: Path, allocates: bool = False) -> Callable[[F], F]:
    """Return a decorator like `numba.njit(cache=True, nogil=True)` for the kernels of the engine and of `folders`.

    Args:
        folders: source folders besides the engine's whose kernels call each other; a module belongs to the digest if it
            imports from this one, or if one that belongs imports it: its constants are compiled in.
        allocates: whether the kernel makes arrays of its own, or returns one. Then numba counts the references to every
            array that it touches, at every slice and call of another kernel: half the time of a descent (docs/log.md).
            A kernel that makes arrays in spite of False does not compile: numba says "Only accept returning of array
            passed into the function as argument" or "NRT required but not enabled".
    """
    cache_dir = str(cache_folder(*folders))

    def decorate(function: F) -> F:
        # Without counting, numba would hand out the array that a slice was made of.
        if not allocates and "NDArray" in str(function.__annotations__.get("return")):
            raise TypeError(f"{function.__qualname__} returns an array: decorate it with allocates=True")
        # The folder is read while the dispatcher is built; the setting is numba's only way to pass it.
        previous = _numba_config.CACHE_DIR
        _numba_config.CACHE_DIR = cache_dir
        try:
            # The dispatcher is called like the function; typed as the function, calls are still checked.
            return cast(F, _njit(cache=True, nogil=True, error_model="numpy", _nrt=allocates)(function))
        finally:
            _numba_config.CACHE_DIR = previous

    return decorate


@cache
def cache_folder(*folders: Path) -> Path:
    """Return the folder for the machine code of the present sources, next to the engine if that is writable."""
    texts = {source: source.read_bytes() for folder in (_ENGINE, *folders) for source in sorted(folder.glob("*.py"))}
    compiled = _compiled_in(texts)
    digest = hashlib.sha256(numba.__version__.encode())
    for source, text in texts.items():
        if source in compiled:
            digest.update(source.name.encode() + b"\0" + text)
    return _writable_root() / f"kernels-{digest.hexdigest()[:16]}"


def _compiled_in(texts: Mapping[Path, bytes]) -> set[Path]:
    """The sources of kernels, and those that they import, in several steps too; rather one too many than too few."""
    compiled = {source for source, text in texts.items() if _MARK in text}
    to_read = list(compiled)
    while to_read:
        imported = set(re.findall(rb"\w+", b" ".join(_IMPORT.findall(texts[to_read.pop()]))))
        found = [source for source in texts if source not in compiled and source.stem.encode() in imported]
        compiled.update(found)
        to_read += found
    return compiled


@cache
def _writable_root() -> Path:
    # numba reads its folder from NUMBA_CACHE_DIR; where a person has set that, it holds for us too.
    chosen: tuple[Path, ...] = (Path(_numba_config.CACHE_DIR),) if _numba_config.CACHE_DIR else ()
    for root in (*chosen, _ENGINE / "__pycache__", Path.home() / ".cache" / "ringrift-loop"):
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                return root
        except OSError:
            continue
    raise OSError(
        f"no folder for compiled kernels: neither {_ENGINE}/__pycache__ nor ~/.cache/ringrift-loop is writable; "
        "name one in NUMBA_CACHE_DIR"
    )


kernel = kernel_decorator()
"""Decorator of the engine's own kernels."""


@kernel
def wide(value: int) -> int:
    """Return the number as an int64 for numba.

    Kernels are compiled once per argument type, and numba knows int16, int64 and the constant 0 as different ones. What
    comes from a table, or counts from 0, goes through here before it is handed on.
    """
    return np.int64(value)  # type: ignore[return-value]
