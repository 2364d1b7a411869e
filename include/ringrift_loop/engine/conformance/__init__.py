"""What proves the rules engine: the plain twin, recorded games, golden games. Nothing that plays needs it."""
