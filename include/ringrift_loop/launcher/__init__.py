"""`ringrift-loop up`: Airflow, the metrics bridge and the embedded hosts from one command, on one machine.

Read `run.py` first: it tells the whole start, watch and stop in order.
"""
