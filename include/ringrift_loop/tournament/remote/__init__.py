"""Blocks of matches that are played from a bundle on a host, and what is believed of what comes back."""
