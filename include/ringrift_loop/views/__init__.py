"""What the pages show: one module a page, pure queries of the ledger and the files that return plain records."""
