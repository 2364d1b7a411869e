"""One UGI conversation: lines in, lines out (github.com/kz04px/cutegames, ugi.md).

Beyond the standard: three and four players (`query turn`, `result` with p3win and p4win), `go simulations N`,
`position text` for a state in the text form of the project, and the queries legal, islegal, turn, text and variant.
What is wrong with a line is answered by a line `error <reason>`; the conversation goes on.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator

from ringrift_loop import __version__
from ringrift_loop.engine.game import Game
from ringrift_loop.errors import ConfigError, LoopError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ugi.options import OPTIONS, UgiOptions
from ringrift_loop.ugi.thinking import Limits, Thinker

MAX_LINE = 1 << 20


class UgiSession:
    """Answers the lines of a queue until `quit` or the end of the input (None)."""

    def __init__(
        self,
        lines: queue.SimpleQueue[str | None],
        say: Callable[[str], None],
        options: UgiOptions | None = None,
        directory: RunDirectory | None = None,
    ) -> None:
        """Start a conversation.

        Args:
            lines: what the other side says, without line breaks; None is the end.
            say: takes one line of answer.
            options: the options at the start.
            directory: where models and champions are looked up; the environment's if None.
        """
        self._lines, self._say = lines, say
        self._directory = directory or RunDirectory.from_environment()
        self._later: deque[str | None] = deque()
        self._quits = self._stops = False
        self._set_options(options or UgiOptions())

    def open_player(self) -> None:
        """Open the player now; the error that this raises would else be the answer to `isready`."""
        self._thinker.open_player()

    def run(self) -> None:
        """Answer until the end."""
        while not self._quits:
            line = self._later.popleft() if self._later else self._lines.get()
            if line is None:
                return
            try:
                for answer in self._answer(line.strip()):
                    self._say(answer)
            except (LoopError, ValueError, OSError) as error:
                self._say("error " + " ".join(str(error).split()))

    def _answer(self, line: str) -> Iterator[str]:
        if len(line) > MAX_LINE:
            raise ConfigError(f"a line has at most {MAX_LINE} characters, got {len(line)}")
        word, *rest = line.split() or [""]
        answer = {
            "ugi": self._introduce,
            "isready": self._get_ready,
            "uginewgame": self._new_game,
            "setoption": self._set_option,
            "position": self._set_position,
            "go": self._go,
            "query": self._query,
            "stop": self._ignore,
            "quit": self._quit,
            "": self._ignore,
        }.get(word)
        if answer is None:
            raise ConfigError(f"unknown command {word[:40]!r}")
        yield from answer(rest)

    def _introduce(self, words: list[str]) -> Iterator[str]:
        del words
        yield f"id name RingRift loop {__version__}"
        yield "id author the RingRift loop project"
        for option in OPTIONS:
            yield option.line(self._options)
        yield "ugiok"

    def _get_ready(self, words: list[str]) -> Iterator[str]:
        del words
        self._thinker.prepare()
        yield "readyok"

    def _new_game(self, words: list[str]) -> Iterator[str]:
        """`uginewgame [variant]`."""
        if words:
            self._set_options(self._options.with_option("Variant", words[0]))
        self._game = self._start()
        yield from ()

    def _set_option(self, words: list[str]) -> Iterator[str]:
        if len(words) < 4 or words[0] != "name" or words[2] != "value":
            raise ConfigError("say: setoption name <name> value <value>")
        self._set_options(self._options.with_option(words[1], " ".join(words[3:])))
        yield from ()

    def _set_options(self, options: UgiOptions) -> None:
        self._options = options
        self._thinker = Thinker(options, self._directory)
        self._game = self._start()

    def _start(self) -> Game:
        return Game(self._options.variant, pie_rule=self._options.pie_rule)

    def _set_position(self, words: list[str]) -> Iterator[str]:
        """`position startpos|text <state> [moves ...]`; on an error the position stays as it was."""
        head = words[: words.index("moves")] if "moves" in words else words
        moves = words[len(head) + 1 :]
        if head == ["startpos"]:
            game = self._start()
        elif len(head) == 2 and head[0] in ("text", "fen"):
            game = Game.from_text(self._options.variant, head[1])
        else:
            raise ConfigError("say: position startpos [moves ...] or position text <state> [moves ...]")
        for number, move in enumerate(moves, 1):
            try:
                game.play(move)
            except ValueError as error:
                raise ConfigError(f"move {number}: {error}") from error
        self._game = game
        yield from ()

    def _go(self, words: list[str]) -> Iterator[str]:
        if self._game.is_over:
            raise ConfigError("the game is over: there is no move to find")
        self._stops = False
        yield from self._thinker.think(self._game, Limits.parse(words, self._game.to_play), self._interrupted)

    def _interrupted(self) -> bool:
        """Take in what was said during a search; whether it ends the search.

        Only what UGI allows meanwhile counts; anything else, and the end of the input, waits until the search is done.
        What follows another `go` is about that one.
        """
        while not self._stops and not self._next_search_waits():
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                break
            word = None if line is None else line.strip()
            if word == "isready":
                self._say("readyok")
            elif word in ("stop", "quit"):
                self._stops = True
            if word not in ("isready", "stop", ""):
                self._later.append(line)
        return self._stops

    def _next_search_waits(self) -> bool:
        """Whether another `go`, or the end, waits: nothing is read beyond it, so it is the last that waits."""
        if not self._later:
            return False
        last = self._later[-1]
        return last is None or last.split(maxsplit=1)[:1] == ["go"]

    def _query(self, words: list[str]) -> Iterator[str]:
        game = self._game
        answers: dict[str, Callable[[], str]] = {
            "p1turn": lambda: _truth(not game.is_over and game.to_play == 1),
            "gameover": lambda: _truth(game.is_over),
            "result": lambda: _result(game),
            "turn": lambda: "none" if game.is_over else str(game.to_play),
            "legal": lambda: " ".join(game.legal()),
            "islegal": lambda: _truth(" ".join(words[1:]) in game.legal()),
            "text": game.text,
            "variant": lambda: self._options.variant,
        }
        if not words or words[0] not in answers:
            raise ConfigError(f"query one of {', '.join(answers)}")
        yield f"response {answers[words[0]]()}".rstrip()

    def _ignore(self, words: list[str]) -> Iterator[str]:
        del words
        yield from ()

    def _quit(self, words: list[str]) -> Iterator[str]:
        del words
        self._quits = True
        yield from ()


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _result(game: Game) -> str:
    if not game.is_over:
        return "none"
    return "draw" if game.winner is None else f"p{game.winner}win"
