"""Weights of the variants."""
