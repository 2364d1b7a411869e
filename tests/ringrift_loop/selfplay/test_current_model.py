from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.current_model import HostModel, borrowed_model, own_model
from ringrift_loop.selfplay.pointer import Pointer, write_pointer


def host_with(root: Path, *variants: str) -> HostDirectory:
    """A host whose pointers name a model for each of the variants: their number in hex digits."""
    host = HostDirectory(root)
    host.current_model("any").parent.mkdir(parents=True)
    for number, name in enumerate(variants, start=1):
        write_pointer(host, name, Pointer(f"{number:064x}", number))
    return host


@pytest.mark.parametrize(
    ("present", "lender"),
    [
        (["square8_2p"], "square8_2p"),
        (["square8_2p", "square8_4p", "square19_3p"], "square19_3p"),
        (["square19_2p", "square8_4p"], "square8_4p"),
        (["square8_3p", "square19_2p", "hex8_3p"], "square19_2p"),
        (["square8_3p", "hex8_3p"], None),
        ([], None),
    ],
)
def test_square8_3p_borrows_the_champion_of_the_nearest_variant_that_has_one(
    tmp_path: Path, present: list[str], lender: str | None
) -> None:
    host = host_with(tmp_path, *present)
    number = 0 if lender is None else 1 + present.index(lender)
    wanted = None if lender is None else HostModel(lender, Pointer(f"{number:064x}", number))
    assert borrowed_model(host, "square8_3p", {}) == wanted
    assert borrowed_model(host, "square8_3p", {"square8_3p": ("square19_4p",), "square8_4p": present}) is None


def test_the_own_model_is_the_one_of_the_own_pointer_only(tmp_path: Path) -> None:
    host = host_with(tmp_path, "square8_2p", "square8_4p")
    assert own_model(host, "square8_4p") == HostModel("square8_4p", Pointer(f"{2:064x}", 2))
    assert own_model(host, "square8_3p") is None


def test_a_torn_pointer_of_the_lender_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    host = host_with(tmp_path, "square8_2p", "square8_4p")
    host.current_model("square8_2p").write_text("torn")
    with pytest.raises(DataError, match="current-square8_2p"):
        borrowed_model(host, "square8_3p", {})
