"""Listeners for what Airflow does with the loop's runs."""
