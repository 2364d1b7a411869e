"""The ledger: the one database of the loop."""
