"""The RingRift improvement loop: rules engine, self-play, training, ratings, promotion; knows nothing of Airflow."""

__version__ = "0.1.0"
