"""The self-play worker and the segments it writes."""
