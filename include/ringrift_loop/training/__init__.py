"""From games to a candidate model."""
