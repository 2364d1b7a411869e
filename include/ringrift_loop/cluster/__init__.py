"""Hosts, transports, sync, distribution, supervision."""
