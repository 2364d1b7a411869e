"""What the pages Games and Play are told: plain records, apart from what computes them.

The API server loads this module at its start; the rules engine and all that is numeric come with the first question
that needs them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.errors import DataError

PERSON = "person"
"""Stands for the person among the players of a game."""
MAX_SIMULATIONS = 1024
"""Of one search on behalf of a page."""


class Unknown(DataError):  # noqa: N818 - the name says what happened
    """There is no such game, or it is not this person's."""


class OutOfStep(DataError):  # noqa: N818 - the name says what happened
    """The game has moved on since the page last looked; it has to look again."""


@dataclass(frozen=True)
class Shape:
    """A variant's board and numbers."""

    variant: str
    board: str
    hexagonal: bool
    cells: list[tuple[int, int]]
    """x and y of each cell, in the order in which cells are numbered."""
    players: int
    rings_per_seat: int
    line_length: int
    elimination_target: int
    territory_target: int
    ply_budget: int


@dataclass(frozen=True)
class Step:
    """One position, told by what differs from the one before it (for the first: from an empty board)."""

    phase: str
    """Its code: RP, MO, CA, CH, LI, TE, FE or GO (docs/3-rules.md 4)."""
    seat: int
    """To move, from 1; the winner once the game is won."""
    hands: list[int]
    """Rings in hand of each seat."""
    eliminated: list[int]
    territory: list[int]
    swapped: bool
    """Whether the two people have exchanged seats (pie rule)."""
    changes: list[tuple[int, str]]
    """Cell and its content now."""
    move: str | None
    """Text of the move that led here; None for the first position."""
    mover: int | None
    """Seat that played it."""
    says: str
    """What the move does, in words; empty for the first position."""
    effects: list[str]
    """What came of it, a phrase each."""
    path: list[int]
    """The cells that the move names, in their order: from, over, to."""


@dataclass(frozen=True)
class Found:
    """What the search of self-play found at one ply."""

    ply: int
    values: list[float]
    """Share of the win per seat."""


@dataclass(frozen=True)
class Replay:
    """A game, move by move."""

    name: str
    """The game's id, or what it is called."""
    shape: Shape
    pie_rule: bool
    moves: str
    """Texts of all plies, joined by spaces."""
    steps: list[Step]
    """One more than there are plies."""
    winner: int | None
    result: str | None
    """How it ended, one of `engine.game.RESULT_NAMES`; None where it goes on."""
    player: str | None
    """Who played all seats, where a record says so."""
    searched: list[Found]
    """What self-play's own searches found, by ply; none where the record has no targets or is of another engine."""


@dataclass(frozen=True)
class Choice:
    """One legal move."""

    move: str
    """Its text (docs/3-rules.md 18), by which it is played."""
    kind: str
    """Its code, such as MV."""
    says: str
    """What it does, as an imperative phrase."""
    cells: list[int]
    """The cells to point at, in this order; none where the move is about a line, a region or nothing."""
    shown: list[int]
    """Other cells that it is about: the target jumped over, a line, a region."""


@dataclass(frozen=True)
class Question:
    """What is asked of the seat to move."""

    title: str
    explains: str
    """The rule, in words."""
    section: str
    """Of docs/3-rules.md."""
    kinds: dict[str, str]
    """What each kind of move that is legal now means, by its code."""
    choices: list[Choice]
    """Every legal move, in the engine's order."""


@dataclass(frozen=True)
class Preference:
    """One move of an answer."""

    choice: Choice
    policy: float
    """Share that the player gives to it; all legal moves together have 1."""
    value: float | None
    """Share of the win that the seat to move expects after it; None where no search has tried it."""
    visits: int


@dataclass(frozen=True)
class Judgement:
    """What a player thinks of a position."""

    player: str
    """Digest of the model, or the baseline's id."""
    simulations: int
    """That the search took; 0 for the network alone."""
    values: list[float]
    """Share of the win per seat; they sum to 1."""
    moves: list[Preference]
    """The moves it prefers, best first, at most 8; none when the game is over."""
    choices: int
    """Legal moves."""


@dataclass(frozen=True)
class NewGame:
    """What a person asks for."""

    variant: str
    seat: int
    """Of the person, from 1."""
    opponents: list[str]
    """For the other seats in order: a model's digest, or one of OPPONENTS."""
    simulations: int
    pie_rule: bool = False


@dataclass(frozen=True)
class GameOfPerson:
    """A game in the list of a person's games."""

    id: str
    login: str
    variant: str
    players: list[str]
    simulations: int
    plies: int
    hints: int
    taken_back: int
    started_at: float
    changed_at: float
    winner: int | None
    result: str | None
    won: bool | None
    """Whether the person has won; None while the game goes on."""


@dataclass(frozen=True)
class Table:
    """A game as the person at it sees it."""

    id: str
    login: str
    shape: Shape
    pie_rule: bool
    players: list[str]
    """Who sits in each seat now."""
    person: int
    """The person's seat now, from 1."""
    simulations: int
    ply: int
    """Plies played; what is sent names it, so that nothing is played twice."""
    moves: str
    steps: list[Step]
    """The positions after `known` plies and all later ones; the first is told by what differs."""
    known: int
    question: Question | None
    """What the person is asked; None when it is another's turn, or the game is over."""
    winner: int | None
    result: str | None
    places: list[int] | None
    hints: int
    taken_back: int
    can_take_back: bool


@dataclass(frozen=True)
class PersonRating:
    """A person's rating in one variant."""

    variant: str
    elo: float | None
    """On the scale of the variant's ratings; None without a game that counts."""
    stderr: float | None
    """Standard error, Elo; the opponents' own errors left out."""
    games: int
    """That count."""
    helped: int
    """Games that do not count: with hints or moves taken back."""
    unrated: int
    """Games that do not count: an opponent has no rating at the strength that was chosen."""


@dataclass(frozen=True)
class Opponent:
    """Somebody to play against."""

    spec: str
    """A model's digest, or a baseline's name."""
    generation: int | None
    """Of the model; None for a baseline."""
    champion: bool
    """Whether it is the champion now."""
    searches: bool
    """Whether the number of simulations matters to it."""
    elo: float | None
    """Rating at `rated_simulations`, as last fitted."""
    stderr: float | None


@dataclass(frozen=True)
class Opponents:
    """Everybody to play a variant against."""

    variant: str
    rated_simulations: int
    """The strength at which opponents have a rating: `evaluation.simulations`."""
    opponents: list[Opponent]
    """The champion, earlier champions from the last one on, baselines from the strongest on."""
