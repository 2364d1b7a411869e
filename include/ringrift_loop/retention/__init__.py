"""What may be deleted: files that nothing refers to any more, by age and by quota."""
