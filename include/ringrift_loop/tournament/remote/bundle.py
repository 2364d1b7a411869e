"""A bundle of matches: `bundle.json` says which blocks a host shall play, and how.

The models that play are named by their digests and lie in the host's root folder; baselines are named by their ids. So
all that decides a game comes from the bundle, but for the arithmetic of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from ringrift_loop.checked_json import Document, File, line, parse
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError
from ringrift_loop.machine.files import read_plain, write_whole
from ringrift_loop.network.encoding import ENCODING_VERSION
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.openings import Opening, draw_opening
from ringrift_loop.tournament.participants import DIGEST, split_id

MANIFEST = "bundle.json"
MAX_BLOCKS = 8000
"""Each is a file of the job's output folder, which may hold 10,000."""
_MAX_BYTES = 64 << 20

_Player = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.|,=@-]{0,159}\Z")]
_Seats = Annotated[tuple[_Player, ...], Meta(min_length=2, max_length=4)]


class PlannedBlock(Document, frozen=True, array_like=True):
    """One block; its variant and purpose are the bundle's."""

    seatings: Annotated[tuple[_Seats, ...], Meta(min_length=1, max_length=4)]
    seed: Annotated[int, Meta(ge=0, lt=1 << 53)]


class MatchBundle(File, frozen=True):
    """What `bundle.json` says."""

    variant: str
    purpose: Annotated[str, Meta(pattern=r"^[a-z]{1,16}\Z")]
    opening_plies: Annotated[int, Meta(ge=0, le=100)]
    taken: Annotated[tuple[str, ...], Meta(max_length=MAX_BLOCKS)]
    """Texts of openings that must not come again, in any order."""
    blocks: Annotated[tuple[PlannedBlock, ...], Meta(min_length=1, max_length=MAX_BLOCKS)]
    engine_version: str
    encoding_version: int

    @classmethod
    def of(cls, plans: Sequence[BlockPlan], *, opening_plies: int, taken: Iterable[str]) -> MatchBundle:
        """The bundle of blocks of one variant and purpose."""
        (variant,), (purpose,) = {plan.variant for plan in plans}, {plan.purpose for plan in plans}
        blocks = tuple(PlannedBlock(plan.seatings, plan.seed) for plan in plans)
        return cls(variant, purpose, opening_plies, tuple(sorted(taken)), blocks, ENGINE_VERSION, ENCODING_VERSION)

    @property
    def plans(self) -> list[BlockPlan]:
        """The blocks, in the order in which they get their openings."""
        return [BlockPlan(self.variant, self.purpose, block.seatings, block.seed) for block in self.blocks]

    @property
    def models(self) -> list[str]:
        """Digests of the models that play, sorted."""
        names = {split_id(name)[0] for plan in self.plans for name in plan.participants}
        return sorted(name for name in names if DIGEST.fullmatch(name))

    def openings(self) -> dict[str, Opening]:
        """The opening of each block, by the block's id."""
        rules, taken = rules_for(self.variant), set(self.taken)
        found = {}
        for plan in self.plans:
            found[plan.id] = draw_opening(rules, plan.opening, self.opening_plies, taken)
            taken.add(found[plan.id].text)
        return found


def write_bundle(folder: Path, bundle: MatchBundle) -> None:
    """Write the bundle into a folder, which is made."""
    write_whole(folder / MANIFEST, line(bundle))


def read_bundle(folder: Path) -> MatchBundle:
    """What a bundle says.

    Raises:
        DataError: it is missing, malformed, or for another engine or encoder.
    """
    path = folder / MANIFEST
    bundle = parse(read_plain(path, _MAX_BYTES), MatchBundle, f"the bundle of matches {path}")
    if bundle.variant not in VARIANTS:
        raise DataError(f"{path}: no variant named {bundle.variant[:40]!r}")
    theirs, ours = (bundle.engine_version, bundle.encoding_version), (ENGINE_VERSION, ENCODING_VERSION)
    if theirs != ours:
        raise DataError(
            f"{path} is for engine {theirs[0]} and encoding {theirs[1]}, this program has {ours[0]} and {ours[1]}; "
            "install the coordinator's version of ringrift-loop here"
        )
    players = VARIANTS[bundle.variant].players
    if any(len(seats) != players for block in bundle.blocks for seats in block.seatings):
        raise DataError(f"{path}: every game of {bundle.variant} seats {players} players")
    return bundle
