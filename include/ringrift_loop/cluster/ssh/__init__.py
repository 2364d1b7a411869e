"""Hosts by SSH: connections, host keys, command lines, and one command or file to many of them."""
