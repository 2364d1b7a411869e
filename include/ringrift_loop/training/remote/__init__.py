"""A training that runs from a bundle, here or on another host."""
