"""The hosts of the loop as a person wrote them down: the inventory and its entries."""
