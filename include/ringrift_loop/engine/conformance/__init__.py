"""What proves the rules engine: the plain twin, and the check of recorded games. Nothing that plays needs it."""
