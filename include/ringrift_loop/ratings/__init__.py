"""Ratings and sequential tests, derived from the match log."""
