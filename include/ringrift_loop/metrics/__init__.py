"""Every metric's name, and how it is emitted."""
