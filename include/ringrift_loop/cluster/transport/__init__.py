"""Reaching a host: one protocol, whatever lies in between."""
