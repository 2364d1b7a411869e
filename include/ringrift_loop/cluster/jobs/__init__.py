"""Detached jobs from the side of the coordinator."""
