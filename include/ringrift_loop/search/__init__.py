"""Tree search over many games at once."""
