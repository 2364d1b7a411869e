"""This version of the program to the hosts, and its systemd units."""
