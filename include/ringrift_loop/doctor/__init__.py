"""`ringrift-loop doctor`: every sign of trouble is one check with its value, what would be right, and a remedy."""
