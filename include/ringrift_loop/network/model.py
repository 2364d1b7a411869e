"""The network: a residual trunk with global pooling, a policy over the legal moves, a value per seat.

One architecture fits every variant: the weights do not depend on the board's size or the number of players. There is no
batch
norm: the last convolution of each block starts at zero, which keeps the trunk stable at these depths, and what is
trained is exactly what is exported.

Axes: B states, T legal moves of all of them together, C planes or channels, S = side * side grid places, P = 4 seats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ringrift_loop.network import planes as pl
from ringrift_loop.network.encoding import ENCODING_VERSION
from ringrift_loop.network.move_features import FIRST, NUM_MOVE_TYPES, SIZE, TYPE

OWNER_CLASSES = 5
"""Final owner of a cell: four seats, mover first, or nobody."""
SCORES = 2
"""Numbers per seat that the score head predicts: territory and eliminated rings, over their targets."""
OFF_BOARD = -1e4
"""What is added to a channel beside the board, before a rectifier makes 0 of it; bfloat16 and float16 know it."""
ABSENT = -1e4
"""Value logit of a seat that the variant lacks: its softmax is exactly 0 in float32."""

# Types with a third and a fourth cell: CP, CC, RL1, RL2, RF, RS, LO and RL2, LO (move_features.py).
_THIRD_TYPES = (7, 8, 12, 13, 14, 15, 17)
_FOURTH_TYPES = (13, 17)
_NUM_UNARY = 2 * NUM_MOVE_TYPES + len(_THIRD_TYPES) + len(_FOURTH_TYPES)


@dataclass(frozen=True)
class Architecture:
    """What must be equal for weights to fit."""

    blocks: int
    """Residual blocks."""
    channels: int
    is_hex: bool
    """3x3 kernels lose the two corners that are no hex neighbours in axial coordinates."""
    encoding: int = ENCODING_VERSION
    """Version of the inputs: a network of an earlier one reads fewer numbers."""

    @property
    def num_globals(self) -> int:
        """How many numbers without a cell it reads."""
        return pl.GLOBALS_OF_ENCODING[self.encoding]

    @property
    def name(self) -> str:
        """A short name such as `b2c32` or `b2c32-hex`."""
        return f"b{self.blocks}c{self.channels}" + ("-hex" if self.is_hex else "")

    def __post_init__(self) -> None:
        if not 1 <= self.blocks <= 64 or not 8 <= self.channels <= 1024:
            raise ValueError(f"blocks must be 1..64 and channels 8..1024, got {self.blocks} and {self.channels}")
        if self.encoding not in pl.GLOBALS_OF_ENCODING:
            raise ValueError(f"encoding must be 1..{ENCODING_VERSION}, got {self.encoding}")


class Predictions(NamedTuple):
    """What the network says about B states and their T legal moves; seats are counted from the mover."""

    policy: Tensor
    """[T] logits; a softmax over the moves of one state gives its policy."""
    value: Tensor
    """[B, 4] logits of the share of the win, ABSENT for seats that the variant lacks."""
    owner: Tensor
    """[B, OWNER_CLASSES, S] logits of each cell's final owner."""
    score: Tensor
    """[B, 4, SCORES] final territory and eliminated rings over their targets."""
    moves_left: Tensor
    """[B] log2(1 + plies until the end)."""


class RingRiftNet(nn.Module):
    """The network; see the module."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.channels
        is_hex = architecture.is_hex
        self.stem: nn.Module = BoardConv(pl.GLOBALS, channels, is_hex)
        self.stem_globals = nn.Linear(architecture.num_globals, channels)
        self.blocks = nn.ModuleList(Block(channels, is_hex) for _ in range(architecture.blocks))
        self.policy = PolicyHead(channels)
        self.value = ValueHead(channels, architecture.num_globals)
        self.owner = nn.Conv1d(channels, OWNER_CLASSES, 1)

    def forward(self, planes: Tensor, move_row: Tensor, move_features: Tensor) -> Predictions:
        """Evaluate a batch.

        Args:
            planes: float32 [B, NUM_PLANES, side, side] of encoding.py.
            move_row: int64 [T], which of the B states each move belongs to.
            move_features: integers [T, MOVE_COLUMNS] of move_features.py.
        """
        trunk, numbers, cells = self._trunk(planes)
        pooled = _pool(trunk, cells)
        present = fn.pad(numbers[:, pl.G_PLAYERS : pl.G_PLAYERS + 3].flip(1).cumsum(1).flip(1), (1, 0), value=1.0)
        value, score, moves_left = self.value(pooled, numbers, present)
        return Predictions(
            policy=self.policy(trunk, pooled, move_row, move_features),
            value=value,
            owner=fn.linear(_by_cell(trunk), self.owner.weight[:, :, 0], self.owner.bias)
            .view(trunk.shape[0], -1, OWNER_CLASSES)
            .transpose(1, 2),
            score=score,
            moves_left=moves_left,
        )

    def _trunk(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The trunk [B, C, side, side], the numbers without a cell [B, G] that it reads, the number of cells [B, 1]."""
        mask = planes[:, pl.MASK : pl.MASK + 1]
        numbers = planes[:, pl.GLOBALS].flatten(1)[:, : self.architecture.num_globals]
        cells = mask.flatten(1).sum(1, keepdim=True)
        # Before a rectifier a large negative number is what a mask would be after it, and its gradient costs nothing.
        # On square boards every place is a cell.
        beside = OFF_BOARD * (1.0 - mask) if self.architecture.is_hex else None
        trunk = fn.relu(_off(self.stem(planes[:, : pl.GLOBALS]) + self.stem_globals(numbers)[:, :, None, None], beside))
        for block in self.blocks:
            trunk = block(trunk, beside, cells)
        return trunk, numbers, cells


class BoardConv(nn.Conv2d):
    """A 3x3 convolution over neighbouring cells; on hex boards without the corners (1, 1) and (-1, -1)."""

    def __init__(self, inputs: int, outputs: int, is_hex: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        neighbours = torch.ones(3, 3)
        if is_hex:
            neighbours[0, 0] = neighbours[2, 2] = 0.0
        self.neighbours: Tensor
        self.register_buffer("neighbours", neighbours, persistent=False)
        self.is_hex = is_hex

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve [B, C, side, side] to [B, C', side, side]."""
        weight = self.weight * self.neighbours if self.is_hex else self.weight
        return fn.conv2d(inputs, weight, self.bias, padding=1)


class Block(nn.Module):
    """A residual block whose middle is shifted by what is pooled over the whole board (KataGo, section 3.3)."""

    def __init__(self, channels: int, is_hex: bool) -> None:
        super().__init__()
        self.first = BoardConv(channels, channels, is_hex)
        self.pooled = nn.Linear(2 * channels, channels)
        self.second = BoardConv(channels, channels, is_hex)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.pooled.weight)

    def forward(self, trunk: Tensor, beside: Tensor | None, cells: Tensor) -> Tensor:
        """[B, C, side, side] to the same; `beside` [B, 1, side, side] is OFF_BOARD beside the board, `cells` [B, 1]."""
        middle = _off(self.first(trunk), beside)
        pooled = self.pooled(_pool(fn.relu(middle), cells))
        middle = fn.relu(middle + pooled[:, :, None, None])
        return fn.relu(trunk + _off(self.second(middle), beside))


class PolicyHead(nn.Module):
    """Logits of legal moves: query of the first cell times key of the second, and a number for each role of a cell.

    As Lc0's attention policy, with the query scaled by the move's type, so that one pair of maps serves all kinds.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.type_scale = nn.Embedding(NUM_MOVE_TYPES, channels)
        self.unary = nn.Linear(channels, _NUM_UNARY)
        self.no_cell = nn.Linear(2 * channels, NUM_MOVE_TYPES)
        self.size = nn.Embedding(NUM_MOVE_TYPES, 1)
        self.channel: Tensor
        self.register_buffer("channel", _unary_channels(), persistent=False)
        nn.init.constant_(self.type_scale.weight, channels**-0.5)
        nn.init.zeros_(self.size.weight)

    def forward(self, trunk: Tensor, pooled: Tensor, move_row: Tensor, move_features: Tensor) -> Tensor:
        """[T] logits from the trunk [B, C, side, side] and its pooled form [B, 2C]."""
        features = move_features.long()
        board = _by_cell(trunk)
        places = trunk.shape[2] * trunk.shape[3]
        move_type, roles = features[:, TYPE], features[:, FIRST:SIZE]
        # A place beyond the last one is no cell: what is read for it counts nothing.
        is_cell = (roles < places).to(board.dtype)
        cell = (move_row * places)[:, None] + roles.clamp(max=places - 1)
        query = self.query(board).index_select(0, cell[:, 0])
        key = self.key(board).index_select(0, cell[:, 1])
        bilinear = (query * self.type_scale(move_type) * key).sum(1) * is_cell[:, 1]

        number = cell * _NUM_UNARY + self.channel[move_type]
        unary = (self.unary(board).flatten().index_select(0, number.flatten()).view_as(number) * is_cell).sum(1)
        no_cell = self.no_cell(pooled).flatten().index_select(0, move_row * NUM_MOVE_TYPES + move_type)
        roles_of_cells = unary + no_cell * (1.0 - is_cell[:, 0])

        size = torch.log2(1.0 + features[:, SIZE].to(query.dtype))
        logits: Tensor = bilinear + roles_of_cells + size * self.size(move_type)[:, 0]
        return logits


class ValueHead(nn.Module):
    """Share of the win, final score and moves left, from what is pooled over the board."""

    def __init__(self, channels: int, num_globals: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * channels + num_globals, 2 * channels)
        self.value = nn.Linear(2 * channels, pl.SEATS)
        self.score = nn.Linear(2 * channels, pl.SEATS * SCORES)
        self.moves_left = nn.Linear(2 * channels, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, pooled: Tensor, numbers: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Value logits [B, 4], scores [B, 4, SCORES], moves left [B]; `present` [B, 4] is 1 for seats in the game."""
        hidden = fn.relu(self.hidden(torch.cat([pooled, numbers], 1)))
        value = self.value(hidden) * present + ABSENT * (1.0 - present)
        score = self.score(hidden).view(-1, pl.SEATS, SCORES)
        return value, score, self.moves_left(hidden)[:, 0]


def _off(channels: Tensor, beside: Tensor | None) -> Tensor:
    """The channels with OFF_BOARD added beside the board; None: there is nothing beside it."""
    return channels if beside is None else channels + beside


def _by_cell(trunk: Tensor) -> Tensor:
    """[B, C, side, side] to [B * S, C]."""
    return trunk.permute(0, 2, 3, 1).reshape(-1, trunk.shape[1])


def _pool(trunk: Tensor, cells: Tensor) -> Tensor:
    """Mean and maximum over the board, [B, 2C]; the trunk is not negative and 0 off the board."""
    return torch.cat([trunk.sum((2, 3)) / cells, trunk.amax((2, 3))], 1)


def _unary_channels() -> Tensor:
    """int64 [NUM_MOVE_TYPES, 4]: which number of a cell's row each role of a move of that type reads.

    What a role that the type lacks would read counts nothing.
    """
    channels = torch.zeros((NUM_MOVE_TYPES, SIZE - FIRST), dtype=torch.int64)
    channels[:, 0] = torch.arange(NUM_MOVE_TYPES)
    channels[:, 1] = NUM_MOVE_TYPES + torch.arange(NUM_MOVE_TYPES)
    for place, move_type in enumerate(_THIRD_TYPES):
        channels[move_type, 2] = 2 * NUM_MOVE_TYPES + place
    for place, move_type in enumerate(_FOURTH_TYPES):
        channels[move_type, 3] = 2 * NUM_MOVE_TYPES + len(_THIRD_TYPES) + place
    return channels
