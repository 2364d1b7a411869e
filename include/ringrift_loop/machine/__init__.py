"""This machine: its processes and their priority. Nothing here knows the loop."""
