"""The loop over HTTP, below `/ringrift` of Airflow's page: `app.py` puts it together, one module a page beside it."""
