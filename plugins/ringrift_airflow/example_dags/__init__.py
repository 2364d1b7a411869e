"""DAGs to copy and change; the loop itself loads none of them."""
