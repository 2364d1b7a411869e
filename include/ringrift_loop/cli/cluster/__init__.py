"""The commands about hosts."""
