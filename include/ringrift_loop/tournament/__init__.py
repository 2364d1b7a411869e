"""Players, paired matches, pairing."""
