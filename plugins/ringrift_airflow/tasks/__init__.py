"""TaskFlow tasks and task groups, one module a stage; each body calls one library function and returns its record."""
