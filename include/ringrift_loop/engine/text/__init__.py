"""The text form of cells, moves and states."""
