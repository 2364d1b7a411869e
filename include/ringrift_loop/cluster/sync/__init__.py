"""The sync cycle: games in, champions out, and the audit of both."""
