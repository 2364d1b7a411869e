"""The state of the loop for people and programs, read from the ledger and the files."""
