"""The list of small sabotages, and what an edit is: see edits.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("edits.toml")


@dataclass(frozen=True)
class Edit:
    """One fault to put into the program, and the tests that must notice it."""

    name: str
    why: str
    """What would go wrong, in a sentence."""
    file: str
    find: str
    """Stands in the file exactly once."""
    put: str
    tests: list[str]
    """pytest's node ids, without parameters."""
    interpreted: bool = False
    """Run the kernels as plain Python: nothing is compiled, and only tests of a few steps end in time."""
    limit_s: float = 240.0

    def applied_to(self, text: str) -> str:
        """The file's text with the fault in it.

        Raises:
            ValueError: the text to find is not there exactly once, or the edit changes nothing.
        """
        if text.count(self.find) != 1:
            raise ValueError(f"{self.name}: {self.file} has the text to find {text.count(self.find)} times, not once")
        if self.find == self.put:
            raise ValueError(f"{self.name} changes nothing")
        return text.replace(self.find, self.put)


def load_edits() -> list[Edit]:
    """Every edit, in the order of the list."""
    return [Edit(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["edit"]]
