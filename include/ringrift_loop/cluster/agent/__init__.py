"""What runs on a host, and the documents in which it answers."""
