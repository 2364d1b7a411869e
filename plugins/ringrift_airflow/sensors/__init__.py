"""Sensors: tasks that wait, deferred."""
