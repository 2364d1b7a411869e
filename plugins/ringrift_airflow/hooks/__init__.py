"""Airflow connections to library objects."""
