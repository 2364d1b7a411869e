"""The commands about games, models and ratings."""
