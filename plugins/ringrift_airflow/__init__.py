"""Everything that knows Airflow; decides nothing about the game."""
