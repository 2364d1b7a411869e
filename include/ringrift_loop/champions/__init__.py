"""Models that travel: the champions that come with the package, and exchange between machines."""
